"""The door to quicker convolutions on processors: all works without it.

`accelerate` gives a run a copy of the network in which each convolution, with its ReLU,
is one `torch.autograd.Function`. The network's own loop and the losses stay as they
are. Operators with private names are used in this folder only.
"""

import copy
import os
import warnings

import torch
from torch import Tensor

from ..layers import CONTENT_LAYERS, STYLE_LAYERS
from ..vgg import VGG19
from .convolution import ConvReLU, has_onednn

# PyTorch's large pages, on Linux: features are reached a tenth faster. It is read when
# the first tensor is made. Whoever has set it keeps what they chose.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# Of relative differences: of features, and of a gradient: near 0 a ReLU may go either
# way, and so may the largest of four.
TOLERANCE = {"float32": (1e-4, 1e-2), "bfloat16": (2e-2, 2e-1)}


def accelerate(vgg: VGG19, precision: str = "auto") -> tuple[VGG19, str]:
    """Copy a network for one run, so that it computes faster; weights are frozen.

    The copy is compared once with the network given. Where it cannot be had, or
    disagrees, a warning says so, and the network given is returned. With it comes the
    precision of its features: "auto" chooses "bfloat16" (numbers of 16 bits: 8 for the
    size, 8 for the digits) where the chip is made for it.
    """
    weight = vgg.convs["conv1_1"].weight
    try:
        if precision == "auto":
            precision = "bfloat16" if _is_made_for_bfloat16(weight) else "float32"
        if precision == "float32" and not has_onednn(weight):
            return vgg, precision  # graphics cards and others take the plain network
        quick = _copy(vgg, getattr(torch, precision))
        _compare(quick, vgg, *TOLERANCE[precision])
    except Exception as error:  # an operator is missing, has changed or disagrees
        line = " ".join(str(error).split())
        warnings.warn(f"painting without quick convolutions: {line}", stacklevel=2)
        return vgg, "float32"
    return quick, precision


def _is_made_for_bfloat16(weight: Tensor) -> bool:
    """Tell whether a processor multiplies numbers of 16 bits faster than others."""
    chip = torch.cpu  # its get_capabilities came with 2.7 or later
    is_made = chip._is_avx512_bf16_supported() or chip._is_amx_tile_supported()
    return is_made and has_onednn(weight) and has_onednn(weight.bfloat16())


def _copy(vgg: VGG19, dtype: torch.dtype) -> VGG19:
    """Copy a network, each convolution with its ReLU made one."""
    shared = {id(weights): weights for weights in vgg.parameters()}
    quick = copy.deepcopy(vgg, shared)
    for name, conv in vgg.convs.items():
        quick.convs[name] = ConvReLU(conv, dtype)
    quick.relu = torch.nn.Identity()
    return quick


def _compare(quick: VGG19, vgg: VGG19, near: float, about: float) -> None:
    """Refuse a copy whose features or gradient are others than the network's."""
    layers = [*CONTENT_LAYERS, *STYLE_LAYERS]
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 48, 48, generator=generator, device="cpu")
    found = []
    for network in (quick, vgg):
        pixels = image.to(vgg.mean).clone().requires_grad_()
        with torch.enable_grad():
            features = network(pixels, layers)
            sum(f.float().square().mean() for f in features.values()).backward()
        found.append([*features.values(), pixels.grad])
    for name, ours, theirs in zip([*layers, "the gradient"], *found, strict=True):
        off = ((ours - theirs).norm() / theirs.norm()).item()
        if not off <= (about if name == "the gradient" else near):
            raise ArithmeticError(f"{name} is off by {off:.1g}")
