"""Convolutions as fast as the processor can do them, where no gradient is recorded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from . import winograd
from .arena import LARGE, Arena

PLAIN = (1, 1), (1, 1), (1, 1), 1  # padding, stride, dilation; groups
ONEDNN = torch.ops.mkldnn
# All of Winograd's kernels fill 0.3 GB. For a picture of more than MANY squares of 4×4
# pixels it takes little of the time to make them anew, FILTERS at a time.
MANY = 25_000
FILTERS = 256


def has_onednn(x: Tensor) -> bool:
    """Tell whether oneDNN can compute with numbers of this kind, where they are.

    Args:
        x: any tensor.

    Returns:
        True on most processors, for float32; for bfloat16 if the chip knows it.
    """
    mkldnn = torch.backends.mkldnn  # its old name
    if x.device.type != "cpu" or not mkldnn.is_available() or mkldnn.is_acl_available():
        return False  # on ARM it fuses nothing
    if x.dtype == torch.bfloat16:
        return ONEDNN._is_mkldnn_bf16_supported()
    return x.dtype == torch.float32


class FastConvolutions:
    """Do a network's convolutions, forward and back.

    In float32 Winograd's way is the fastest. Otherwise it is oneDNN, which convolves
    and cuts off in one pass over the memory. Both want kernels in an order of their
    own, which depends on the picture's size. To bring them into it takes time that does
    not shrink with the picture: it is done once for a size.

    Args:
        convs: {layer: convolution of 3×3}.
    """

    def __init__(self, convs: nn.ModuleDict) -> None:
        self._convs = convs
        # Kernels in the order that a picture's size asks for.
        self._packed: dict[tuple[str, bool], tuple[torch.Size, Tensor]] = {}
        self._scratch = winograd.Scratch()
        self.arena: Arena | None = None
        self._last_arena: Arena | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out of copies all but the network's own kernels."""
        return FastConvolutions, (self._convs,)

    @contextmanager
    def in_arena(self, shapes: list[torch.Size], x: Tensor) -> Iterator[bool]:
        """Keep the features of a walk, and the gradients of the way back, in one place.

        Does nothing for small pictures, or without oneDNN.

        Args:
            shapes: (C, H, W) of each convolution's result, in the order of the walk.
            x: any tensor, where and of the kind that these will be.

        Yields:
            True if there is an arena; the first layer's features are then overwritten
            during the walk.
        """
        largest = max((shape.numel() for shape in shapes), default=0)
        if largest * x.element_size() < LARGE or not has_onednn(x):
            self._last_arena = None
        elif self._last_arena is None or self._last_arena.shapes != shapes:
            self._last_arena = None  # before another is taken
            self._last_arena = Arena(shapes, x.dtype)
        else:
            self._last_arena.clear()
        try:
            self.arena = self._last_arena
            yield self.arena is not None
        finally:
            self.arena = None

    def release(self) -> None:
        """Give the arena's memory back until the next evaluation."""
        self.arena = self._last_arena = None

    def __call__(self, name: str, x: Tensor, back: bool = False) -> Tensor:
        """Convolve and cut off below 0; or take a gradient back through the kernels.

        Args:
            name: of the layer, which takes C channels to D.
            x: (1, C, H, W); or a gradient, (1, D, H, W).
            back: which of the two.

        Returns:
            (1, D, H, W), 0 or more; or the gradient by what was given, (1, C, H, W).
        """
        conv = self._convs[name]
        bias = None if back else conv.bias
        if not has_onednn(x):
            y = conv2d(x, self._kernels(name, back), bias, padding=1)
            return y if back else y.relu_()
        result = self._room_for(name, x, back)
        if winograd.pays(x, conv.weight):
            return self._by_winograd(name, x, back, bias, result)
        order = ONEDNN._reorder_convolution_weight
        kernels = self._kept(name, x, back, lambda k: order(k, *PLAIN, x.shape))
        given = x, kernels, bias, *PLAIN
        # The last three say what is done in the same pass, with which numbers, and how.
        if result is None:
            then = "none" if back else "relu"
            return ONEDNN._convolution_pointwise(*given, then, [], "")
        # oneDNN writes into memory that it is given by adding to what stands there.
        add, then = ("add", 1), None if back else "relu"
        result.zero_()
        return ONEDNN._convolution_pointwise_.binary(result, *given, *add, then, [], "")

    def _by_winograd(
        self, name: str, x: Tensor, back: bool, bias: Tensor | None, y: Tensor | None
    ) -> Tensor:
        """Convolve in Winograd's way, and fill y if there is one."""
        if y is None:
            filters = self._convs[name].weight.shape[1 if back else 0]
            shape = 1, filters, *x.shape[2:]
            y = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        if winograd.squares(x) * 4 ** (int(name[4]) - 1) <= MANY:  # of the picture
            kernels = self._kept(name, x, back, lambda k: winograd.transform(k, x))
            return winograd.convolve(x, kernels, bias, y, self._scratch)
        self._packed.pop((name, back), None)  # of a smaller picture
        kernels = self._kernels(name, back)
        for first in range(0, len(kernels), FILTERS):
            part = slice(first, first + FILTERS)
            transformed = winograd.transform(kernels[part], x)
            of_part = None if bias is None else bias[part]
            winograd.convolve(x, transformed, of_part, y[:, part], self._scratch)
        return y

    def _room_for(self, name: str, x: Tensor, back: bool) -> Tensor | None:
        """Find a place for the result, if there is an arena."""
        if self.arena is None:
            return None
        conv, (height, width) = self._convs[name], x.shape[2:]
        shape = torch.Size((conv.out_channels, height, width))
        if name == "conv1_1":  # the gradient by the pixels is a small one
            return None if back else self.arena.lend(shape)
        if not back:
            return self.arena.stack(shape)
        self.arena.drop()  # this layer's features: the way back has passed them
        return self.arena.lend(torch.Size((conv.in_channels, height, width)))

    def _kept(
        self, name: str, x: Tensor, back: bool, order: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return kernels in the order for x, from the last time if it had this size."""
        key = name, back
        if self._packed.get(key, [None])[0] != x.shape:
            self._packed.pop(key, None)  # before there are others
            self._packed[key] = x.shape, order(self._kernels(name, back))
        return self._packed[key][1]

    def _kernels(self, name: str, back: bool) -> Tensor:
        """Return the kernels of a layer; or those that take a gradient back.

        The latter are turned by 180° and lead from D channels to C.
        """
        kernels = self._convs[name].weight
        if not back:
            return kernels
        if name == "conv1_1":  # of bfloat16's nine channels, the first are the pixels
            kernels = kernels[:, :3]
        return kernels.flip(2, 3).transpose(0, 1)
