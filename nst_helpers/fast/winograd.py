"""Winograd's convolution: the same sums with a quarter of the multiplications.

Four results of a filter with three taps take 12 multiplications. They can be had with
6. A polynomial of 3 coefficients times one of 4 is known from its values at 6 points
(0, 1, −1, 2, −2 and ∞): evaluate both there, multiply the 6 pairs, interpolate. The
filter's sums are this product transposed: y = Aᵀ [(G g) ⊙ (Bᵀ d)], of 3 taps g and 6
pixels d, with the three small matrices below. In two dimensions it is 36
multiplications for a tile of 4×4 results, instead of 144. For all channels and tiles
together it is 36 products of matrices, which is what processors are best at; oneDNN
takes them as one convolution of 1×1 in 36 groups.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", CVPR,
section 4.
"""

import math

import torch
from torch import Tensor

ONCE = (0, 0), (1, 1), (1, 1)  # padding, stride, dilation
BT = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
G = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
AT = [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]
TILES = 100  # at a time, so that they stay in the processor's cache
# With fewer pairs of channels, or fewer tiles, it is not the faster way.
PAIRS = 64 * 128
FEWEST = 6


def is_faster(x: Tensor, kernels: Tensor, padding: int) -> bool:
    """Tell whether it beats oneDNN: in float32, with channels and tiles enough."""
    tiles = math.prod(math.ceil((side + 2 * padding - 2) / 4) for side in x.shape[2:])
    enough = math.prod(kernels.shape[:2]) >= PAIRS and tiles >= FEWEST
    return len(x) == 1 and x.dtype == torch.float32 and enough


def transform(kernels: Tensor, x: Tensor, padding: int) -> Tensor:
    """Evaluate kernels, (D, C, 3, 3), at the 36 points, in oneDNN's order for x.

    Returns (36·D, C, 1, 1), for convolve.
    """
    taps = kernels.permute(2, 3, 0, 1).flatten(0, 1)  # (9, D, C)
    values = torch.tensordot(_squared(G), taps, 1).flatten(0, 1)
    size = 1, 36 * x.shape[1], *_strip(x, padding)
    order = torch.ops.mkldnn._reorder_convolution_weight
    return order(values[:, :, None, None], *ONCE, 36, size)


def convolve(
    x: Tensor, transformed: Tensor, bias: Tensor | None, padding: int
) -> Tensor:
    """Convolve with kernels from transform, off by some millionths.

    With a bias, (D,), it is added before all below 0 is cut off; without, neither is.
    Padding is the zeros beyond each side of x, (1, C, H, W); best channels-last.
    """
    (channels, height, width), filters = x.shape[1:], len(transformed) // 36
    down, across = _strip(x, padding)
    shape = 1, filters, height + 2 * padding - 2, width + 2 * padding - 2
    kind = {"dtype": x.dtype, "device": x.device, "memory_format": torch.channels_last}
    result = torch.empty(shape, **kind)
    x, y = x[0].permute(1, 2, 0), result[0].permute(1, 2, 0)
    strip = x.new_empty(4 * down + 2, 4 * across + 2, channels).zero_()
    # Tiles of 6×6 pixels, which overlap by 2; and of 4×4 results, as they lie in y.
    windows = strip.unfold(0, 6, 4).unfold(1, 6, 4).permute(0, 1, 3, 4, 2)
    pixels, values = x.new_empty(2, down * across, 36, channels)
    fours = x.new_empty(down * across, 16, filters)
    joined = x.new_empty(4 * down, 4 * across, filters)
    in_order = fours.view(down, across, 4, 4, filters).transpose(1, 2)
    bt, at = (_squared(m).expand(down * across, -1, -1) for m in (BT, AT))
    for top in range(0, len(y), 4 * down):
        first = top - padding  # row of x that the strip begins with
        rows = x[max(0, first) : first + 4 * down + 2]
        above = max(0, -first)
        strip[above : above + len(rows), padding : padding + width] = rows
        strip[above + len(rows) :] = 0
        pixels.view(windows.shape).copy_(windows)
        torch.bmm(bt, pixels, out=values)
        # The 36 products of matrices: a convolution of 1×1 in as many groups.
        groups = values.view(1, down, across, -1).permute(0, 3, 1, 2)
        given = groups, transformed, None, *ONCE, 36, "none", [], ""
        products = torch.ops.mkldnn._convolution_pointwise(*given)
        products = products.permute(0, 2, 3, 1).view(-1, 36, filters)
        torch.bmm(at, products, out=fours)
        joined.view(in_order.shape).copy_(in_order)
        results = y[top : top + 4 * down]
        found = joined[: len(results), : results.shape[1]]
        if bias is None:
            results.copy_(found)
        else:
            torch.add(found, bias, out=results).relu_()
    return result


def _strip(x: Tensor, padding: int) -> tuple[int, int]:
    """Count the tiles, down and across, that are done at a time."""
    down, across = (math.ceil((side + 2 * padding - 2) / 4) for side in x.shape[2:])
    return min(down, max(1, TILES // across)), across


def _squared(matrix: list[list[float]]) -> Tensor:
    """Turn what acts on rows into what acts on tiles."""
    rows = torch.tensor(matrix, dtype=torch.float32, device="cpu")
    return torch.kron(rows, rows)
