"""Winograd's convolution: the same sums with a quarter of the multiplications.

Four results of a filter with three taps take 12 multiplications. They can be had with
6. A polynomial of 3 coefficients times one of 4 is known from its values at 6 points
(0, 1, −1, 2, −2 and ∞): evaluate both there, multiply the 6 pairs, interpolate. The
filter's sums are this product transposed: the taps are evaluated; what interpolated
comes first, on 6 pixels; and what evaluated the other polynomial comes last, and turns
6 products into 4 results. These are sums with small fixed weights, the three matrices
below. In two dimensions it is 36 multiplications for 4×4 results, instead of 144. For
all channels and squares together it is 36 products of matrices, which is what
processors are best at; oneDNN takes them as one convolution of 1×1 in 36 groups. On a
chip with AVX2, an evaluation at 512 pixels takes seven tenths of the time.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", CVPR,
section 4.
"""

import math

import torch
from torch import Tensor

from .arena import in_large_pages

ONCE = (0, 0), (1, 1), (1, 1)  # padding, stride, dilation
# Of 6 pixels, 3 taps and 6 products (Bᵀ, G and Aᵀ in the paper); in two dimensions
# their Kronecker products with themselves.
OF_PIXELS = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
OF_TAPS = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
OF_PRODUCTS = [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]
SQUARES = 100  # at a time, so that they stay in the processor's cache
# With fewer pairs of channels, or fewer squares, it does not pay.
PAIRS = 64 * 128
FEWEST = 6


class Scratch:
    """Hand out the same memory again and again: a new one each time leaves holes."""

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def pieces(self, *shapes: tuple[int, ...]) -> list[Tensor]:
        """Cut the memory up, after making it larger if it must be.

        Args:
            shapes: of the pieces.

        Returns:
            Tensors of these shapes, of any content.
        """
        sizes = [math.prod(shape) for shape in shapes]
        if len(self._memory) < sum(sizes):
            self._memory = in_large_pages(sum(sizes), torch.float32)
        pieces = self._memory[: sum(sizes)].split(sizes)
        return [x.view(shape) for x, shape in zip(pieces, shapes, strict=True)]


def pays(x: Tensor, kernels: Tensor) -> bool:
    """Tell whether Winograd's way is the faster one, where there is oneDNN.

    Args:
        x: (1, C, H, W), to be convolved.
        kernels: (D, C, 3, 3).

    Returns:
        True for one picture in float32, of channels and pixels enough.
    """
    enough = math.prod(kernels.shape[:2]) >= PAIRS and squares(x) >= FEWEST
    return len(x) == 1 and x.dtype == torch.float32 and enough


def squares(x: Tensor) -> int:
    """Count the squares of 4×4 results.

    Args:
        x: (1, C, H, W).

    Returns:
        How many cover H×W.
    """
    return math.ceil(x.shape[2] / 4) * math.ceil(x.shape[3] / 4)


def transform(kernels: Tensor, x: Tensor) -> Tensor:
    """Evaluate kernels at the 36 points, and bring them into oneDNN's order.

    Args:
        kernels: (D, C, 3, 3).
        x: (1, C, H, W), of the size that they are for.

    Returns:
        (36·D, C, 1, 1), for convolve.
    """
    taps = kernels.permute(2, 3, 0, 1).flatten(0, 1)  # (9, D, C)
    values = torch.tensordot(_squared(OF_TAPS), taps, 1).flatten(0, 1)
    size = 1, 36 * x.shape[1], *_strip(x)
    order = torch.ops.mkldnn._reorder_convolution_weight
    return order(values[:, :, None, None], *ONCE, 36, size)


def convolve(
    x: Tensor,
    transformed: Tensor,
    bias: Tensor | None,
    result: Tensor,
    scratch: Scratch,
) -> Tensor:
    """Convolve with 3×3 kernels, the border padded with 0.

    Args:
        x: (1, C, H, W), best in channels-last order.
        transformed: (36·D, C, 1, 1), kernels from transform.
        bias: (D,), which is added before all below 0 is cut off; None: neither is done.
        result: (1, D, H, W), to be filled.
        scratch: for what is known in between.

    Returns:
        The result, off by some millionths of the largest.
    """
    (channels, height, width), filters = x.shape[1:], result.shape[1]
    down, across = _strip(x)
    x, y = x[0].permute(1, 2, 0), result[0].permute(1, 2, 0)
    strip, pixels, values, fours, joined = scratch.pieces(
        (4 * down + 2, 4 * across + 2, channels),  # of x, with a border
        (down * across, 36, channels),  # the pixels of each square's window
        (down * across, 36, channels),  # the same, transformed
        (down * across, 16, filters),  # each square's results
        (4 * down, 4 * across, filters),  # the same as they belong together
    )
    strip.zero_()
    # Windows of 6 pixels a side, which overlap by 2; and the order of the results.
    windows = strip.unfold(0, 6, 4).unfold(1, 6, 4).permute(0, 1, 3, 4, 2)
    in_order = fours.view(down, across, 4, 4, filters).transpose(1, 2)
    of_pixels, of_products = (
        _squared(weights).expand(down * across, -1, -1)
        for weights in (OF_PIXELS, OF_PRODUCTS)
    )
    for top in range(0, height, 4 * down):
        rows, border = x[max(0, top - 1) : top + 4 * down + 1], int(top == 0)
        strip[border : border + len(rows), 1 : width + 1] = rows
        strip[border + len(rows) :] = 0
        pixels.view(windows.shape).copy_(windows)
        torch.bmm(of_pixels, pixels, out=values)
        # The 36 products of matrices: a convolution of 1×1 in as many groups.
        groups = values.view(1, down, across, -1).permute(0, 3, 1, 2)
        given = groups, transformed, None, *ONCE, 36, "none", [], ""
        products = torch.ops.mkldnn._convolution_pointwise(*given)
        products = products.permute(0, 2, 3, 1).view(-1, 36, filters)
        torch.bmm(of_products, products, out=fours)
        joined.view(in_order.shape).copy_(in_order)
        results = y[top : top + 4 * down]
        if bias is None:
            results.copy_(joined[: len(results), :width])
        else:
            torch.add(joined[: len(results), :width], bias, out=results).relu_()
    return result


def _strip(x: Tensor) -> tuple[int, int]:
    """Count the squares, down and across, that are done at a time."""
    across = math.ceil(x.shape[3] / 4)
    return min(math.ceil(x.shape[2] / 4), max(1, SQUARES // across)), across


def _squared(weights: list[list[float]]) -> Tensor:
    """Turn weights for rows into weights for squares."""
    matrix = torch.tensor(weights, dtype=torch.float32)
    return torch.kron(matrix, matrix)
