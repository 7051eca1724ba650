"""Memory for the features and gradients of a large picture, taken once.

A program gives large pieces of memory back to the system as soon as they are free, and
to get others, page by page, takes time: at 1024 pixels a quarter of an evaluation. And
small pieces put between large ones leave holes. So one large piece is kept here.
Features are stacked in it from the bottom. On the way back the topmost ones are dropped
one after the other, and above those that are left there is room for two gradients: the
one that is known, and the one that is being computed from it. The first layer's
features, a fourth of all and the cheapest, are not kept: they lie where a gradient
would, and are computed again.
"""

import contextlib
import ctypes
import mmap
from itertools import accumulate, pairwise

import torch
from torch import Tensor

# Bytes. Smaller pieces are kept by the program itself; malloc's limit is 32 MB at most.
LARGE = 2**25


def _give_back() -> None:
    """Give memory that malloc keeps for later back to the system, where it can."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def in_large_pages(count: int, dtype: torch.dtype) -> Tensor:
    """Take memory in pages of 2 MB, where the system has such: they are found faster.

    Args:
        count: of numbers.
        dtype: their type.

    Returns:
        (count,), of any content.
    """
    with torch.inference_mode(False):  # to be used outside of it as well
        if not hasattr(mmap, "MADV_HUGEPAGE"):
            return torch.empty(count, dtype=dtype)
        # Memory that is shared between processes has no large pages.
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        memory = mmap.mmap(-1, count * dtype.itemsize, flags=private)
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
        return torch.frombuffer(memory, dtype=dtype)


class Arena:
    """Hand out memory for one evaluation, and the same again for the next.

    Args:
        shapes: (C, H, W) of each layer's features, in the order of the walk.
        dtype: the type of their numbers.
    """

    def __init__(self, shapes: list[torch.Size], dtype: torch.dtype) -> None:
        self.shapes = shapes
        sizes = [shape.numel() for shape in shapes]
        # Above a layer: its gradient and the one of the layer below.
        above = [size + below for below, size in pairwise([0, *sizes])]
        ends = accumulate([0, *sizes[1:]])
        total = max(end + room for end, room in zip(ends, above, strict=True))
        _give_back()  # before as much again is taken
        self._memory = in_large_pages(total, dtype)
        self.clear()

    def clear(self) -> None:
        """Forget what was handed out."""
        self._ends, self._is_low = [0], True

    def stack(self, shape: torch.Size) -> Tensor:
        """Place features on top of those that are there.

        Args:
            shape: (C, H, W).

        Returns:
            (1, C, H, W), in channels-last order, of any content.
        """
        begin = self._ends[-1]
        self._ends.append(begin + shape.numel())
        return self._placed(begin, shape)

    def drop(self) -> None:
        """Take the topmost features off the stack."""
        self._ends.pop()

    def lend(self, shape: torch.Size) -> Tensor:
        """Place what goes soon, by turns at the far end and right above the stack.

        Args:
            shape: (C, H, W).

        Returns:
            (1, C, H, W), in channels-last order, of any content; overwritten by the
            second one after it, or by what is stacked meanwhile.
        """
        self._is_low = not self._is_low
        far = len(self._memory) - shape.numel()
        return self._placed(self._ends[-1] if self._is_low else far, shape)

    def _placed(self, begin: int, shape: torch.Size) -> Tensor:
        """Return a piece of the memory as a tensor."""
        channels, height, width = shape
        piece = self._memory[begin : begin + shape.numel()]
        return piece.view(1, height, width, channels).permute(0, 3, 1, 2)
