"""VGG19 as a function: an image and names of layers in, features by name out."""

import copy
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

from .fast import FastConvolutions
from .files import InputError
from .pretrained import read_state

# Convolutions and channels of each block; pooling stands between the blocks.
BLOCKS = {1: (2, 64), 2: (2, 128), 3: (4, 256), 4: (4, 512), 5: (4, 512)}
LAYERS = tuple(
    f"conv{b}_{i + 1}" for b, (count, _) in BLOCKS.items() for i in range(count)
)
# VGG-16 has no such layers. A weights file without all three makes them pass their
# input on.
NOT_IN_VGG16 = ("conv3_4", "conv4_4", "conv5_4")


class VGG19(nn.Module):
    """Name what a network trained on ImageNet sees in a picture.

    `vgg(image, ["conv1_1", "conv4_2"])` returns the activations of these layers after
    their ReLU, as {name: features}. The weights are frozen: once the network has been
    used, it may not notice a change. Use it in one thread at a time.

    Args:
        weights: "bundled" (in the package, offline: the convolutions of VGG-16),
            "imagenet" (torchvision's VGG-19, downloaded once, or read from where the
            environment variable NST_WEIGHTS points), "random" (untrained), or the path
            of a .safetensors or .pth file in torchvision's layout.
        pooling: "avg", which Gatys et al. recommend for pictures, or "max", as trained.
        seed: chooses the random weights.

    Raises:
        InputError: weights that cannot be had or used, or an unknown pooling.

    Source: Simonyan and Zisserman 2015; Gatys et al. 2016, section 2.
    """

    def __init__(
        self,
        weights: str | os.PathLike = "bundled",
        pooling: str = "avg",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if pooling not in ("avg", "max"):
            raise InputError(f"pooling is 'avg' or 'max', not {pooling!r}")
        self.pool = avg_pool2d if pooling == "avg" else max_pool2d
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        self.convs = nn.ModuleDict()
        parameters = _random(seed) if weights == "random" else _trained(weights)
        for name, (weight, bias) in parameters.items():
            out_channels, in_channels = weight.shape[:2]
            # skip_init: no time spent on numbers that are replaced at once
            conv = nn.utils.skip_init(
                nn.Conv2d, in_channels, out_channels, kernel_size=3, padding=1
            )
            # Each pixel's channels side by side: fast convolutions want them so.
            conv.weight.data = weight.to(
                torch.float32, memory_format=torch.channels_last
            )
            conv.bias.data = bias.float()
            self.convs[name] = conv
        self.requires_grad_(False)
        self._fast = FastConvolutions(self.convs)

    def forward(self, image: Tensor, layers: Iterable[str] | str) -> dict[str, Tensor]:
        """Compute the features of some layers, running no deeper than the deepest.

        Args:
            image: (1, 3, H, W) RGB in [0, 1]; mean and deviation are handled here.
            layers: names out of conv1_1 … conv5_4, or one of them.

        Returns:
            {name: (1, C, h, w)}, 0 or more, where h and w are halved (rounded down)
            from each block to the next; float32, or as in_bfloat16 says.

        Raises:
            InputError: an unknown layer; the line lists the sixteen.
        """
        layers = {layers} if isinstance(layers, str) else set(layers)
        walked = self.walk(image, layers)
        return {name: features for name, features in walked if name in layers}

    def walk(
        self, image: Tensor, layers: Collection[str]
    ) -> Iterator[tuple[str, Tensor]]:
        """Compute the features of every layer down to the deepest of some.

        Args:
            image: as for forward.
            layers: names, as for forward.

        Yields:
            (name, features), from the first layer on.

        Raises:
            InputError: an unknown layer; the line lists the sixteen.
        """
        check_layers(layers)
        deepest = max((LAYERS.index(name) for name in layers), default=-1)
        x = (image - self.mean) / self.std
        if self.convs["conv1_1"].weight.dtype == torch.bfloat16:
            x = _in_nine(x)
        for name in LAYERS[: deepest + 1]:
            if name.endswith("_1") and name != "conv1_1":
                x = self.pool(x, 2)
            if name in self.convs:
                x = self.conv_relu(name, x)
            yield name, x

    def conv_relu(self, name: str, x: Tensor) -> Tensor:
        """Convolve, then cut off below 0: max(0, W ∗ x + b).

        Where no gradient is recorded, the fastest way is taken.

        Args:
            name: of the layer, which takes C channels to D.
            x: (1, C, H, W).

        Returns:
            (1, D, H, W), 0 or more.
        """
        if torch.is_grad_enabled():
            return self.convs[name](x).relu_()
        return self._fast(name, x)

    def in_arena(
        self, image: Tensor, layers: Collection[str]
    ) -> AbstractContextManager[bool]:
        """Let a walk and its way back use the same memory as the last ones.

        Args:
            image: as for walk.
            layers: as for walk.

        Returns:
            For a with statement; what was computed inside is overwritten in the next.
            It gives True if the features of conv1_1 are overwritten during the walk.
        """
        height, width = image.shape[2:]
        shapes = []
        for name, conv in self.convs.items():
            if name <= max(layers, default=""):  # by block, then by number
                halvings = int(name[4]) - 1
                size = height >> halvings, width >> halvings
                shapes.append(torch.Size((conv.out_channels, *size)))
        return self._fast.in_arena(shapes, self.convs["conv1_1"].weight)

    def release(self) -> None:
        """Give back the memory that in_arena keeps for the next walk."""
        self._fast.release()

    def pull_back(
        self, name: str, features: Tensor, gradient: Tensor, below: Tensor | None
    ) -> Tensor:
        """Turn the gradient by a layer's features into the one by what it was given.

        The chain rule for ReLU, convolution and pooling, in this order. Autograd would
        do the same, but keep more and copy more.

        Args:
            name: of the layer.
            features: (1, D, H, W), of the layer.
            gradient: (1, D, H, W), dL / d features; overwritten.
            below: (1, C, h, w), features of the layer before, needed only where there
                is a pooling between.

        Returns:
            (1, C, h, w), dL / d below.
        """
        if name not in self.convs:
            return gradient
        # Nothing comes through where the ReLU has cut off.
        torch.ops.aten.threshold_backward.grad_input(
            gradient, features, 0, grad_input=gradient
        )
        gradient = self._fast(name, gradient, back=True)
        if name == "conv1_1":
            return gradient.float().contiguous() / self.std
        return self._unpool(gradient, below) if name.endswith("_1") else gradient

    def _unpool(self, gradient: Tensor, below: Tensor) -> Tensor:
        """Hand a gradient back through the pooling between two blocks."""
        arena, (height, width) = self._fast.arena, gradient.shape[2:]
        spread = arena.lend(below.shape[1:]) if arena else torch.empty_like(below)
        if self.pool is max_pool2d:
            shape = [2, 2], [2, 2], [0, 0], [1, 1], False
            _, places = torch.ops.aten.max_pool2d_with_indices(below, *shape)
            return torch.ops.aten.max_pool2d_with_indices_backward.grad_input(
                gradient, below, *shape, places, grad_input=spread
            )
        # Each of the four pixels that were averaged gets a quarter; an odd last row or
        # column was left out.
        spread[:, :, 2 * height :] = spread[:, :, :, 2 * width :] = 0
        fours = spread[:, :, : 2 * height, : 2 * width]
        fours = fours.unflatten(3, (width, 2)).unflatten(2, (height, 2))
        fours.copy_(gradient.div_(4)[:, :, :, None, :, None].expand_as(fours))
        return spread

    def in_bfloat16(self) -> "VGG19":
        """Copy the network for numbers of 16 bits: 8 for the size, 8 for the digits.

        Chips that compute with them need half the time and half the memory; each
        rounding errs by up to 0.4 %. Pixels and the first layer's kernels stay whole,
        each as a sum of two such numbers, what 8 digits can hold and the rest, and
        (a + b)(c + d) = ac + bc + ad, all but bd: a convolution of nine channels. It
        costs next to nothing, and late in a run the gradient errs a third less.

        Returns:
            The copy.
        """
        network = copy.deepcopy(self)
        network.convs.to(torch.bfloat16)
        rounded, rest = _split(self.convs["conv1_1"].weight)
        nine = torch.cat([rounded, rounded, rest], 1)
        network.convs["conv1_1"].weight = nn.Parameter(nine, requires_grad=False)
        return network


def _in_nine(pixels: Tensor) -> Tensor:
    """Write pixels as nine channels of 16 bits, see in_bfloat16."""
    rounded, rest = _split(pixels)
    return torch.cat([rounded, rest, rounded], 1)


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Split numbers into two of 16 bits: rounded, and what that leaves out."""
    rounded = x.to(torch.bfloat16)
    return rounded, (x - rounded).to(torch.bfloat16)


def check_layers(layers: Iterable[str]) -> None:
    """Refuse names that are none of VGG19's sixteen convolutions.

    Args:
        layers: names.

    Raises:
        InputError: an unknown one; the line lists the sixteen.
    """
    for name in layers:
        if name not in LAYERS:
            raise InputError(f"no layer {name!r}; there are {', '.join(LAYERS)}")


def _shapes() -> dict[str, tuple[int, int]]:
    """List (out_channels, in_channels) of every convolution."""
    outs = [channels for count, channels in BLOCKS.values() for _ in range(count)]
    return dict(zip(LAYERS, zip(outs, [3, *outs[:-1]], strict=True), strict=True))


def _torchvision_indices() -> dict[str, int]:
    """Find each convolution's place in torchvision's vgg19().features.

    A convolution and its ReLU take two places, each pooling before a block one.
    """
    return {name: 2 * i + int(name[4]) - 1 for i, name in enumerate(LAYERS)}


def _random(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Draw untrained weights as torchvision does: normal, variance 2 / fan-out."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (
            torch.randn(out, into, 3, 3, generator=generator) * (2 / (9 * out)) ** 0.5,
            torch.zeros(out),
        )
        for name, (out, into) in _shapes().items()
    }


def _trained(weights: str | os.PathLike) -> dict[str, tuple[Tensor, Tensor]]:
    """Pick {layer: (weight, bias)} out of torchvision's names for them."""
    state, parameters = read_state(weights), {}
    indices = _torchvision_indices()
    is_vgg16 = all(f"features.{indices[n]}.weight" not in state for n in NOT_IN_VGG16)
    for name, (out, into) in _shapes().items():
        if is_vgg16 and name in NOT_IN_VGG16:
            continue
        keys = [f"features.{indices[name]}.{part}" for part in ("weight", "bias")]
        pair = [state.get(key) for key in keys]
        if [p is not None and p.shape for p in pair] != [(out, into, 3, 3), (out,)]:
            raise InputError(
                f"{weights}: not the weights of a VGG19: {keys[0]} and {keys[1]} "
                f"should have shapes {(out, into, 3, 3)} and {(out,)}"
            )
        if not all(p.isfinite().all() for p in pair):
            raise InputError(f"{weights}: {name} has infinite weights; get it again")
        parameters[name] = pair
    return parameters
