"""What a run may cost on this computer: the faster precision, and the memory."""

import copy
import math
import time

import psutil
import torch
from torch import Tensor, nn

from .files import InputError
from .settings import Settings
from .vgg import VGG19

HISTORY = 8  # steps that L-BFGS remembers; 100 gets no further and fills memory
# At its peak an evaluation holds so many numbers for every pixel, nearly all of them
# features; L-BFGS holds its history and more pictures on the way, in float32. On top
# comes the network. Measured: make bench compares.
FEATURES = 340
PICTURES = 2 * HISTORY + 29
NETWORK = 0.25  # GB
TRIAL = 16  # pixels a side: kept small for chips that are slow at bfloat16


def pick_precision(network: VGG19, precision: str = "auto") -> str:
    """Choose the precision in which this computer runs a network faster.

    Args:
        network: in float32.
        precision: "float32" or "bfloat16" to insist on it, or "auto" to measure.

    Returns:
        "float32" or "bfloat16"; on a graphics card "auto" is always float32.
    """
    if precision != "auto":
        return precision
    if network.mean.device.type != "cpu":
        return "float32"
    exact = network.convs["conv3_2"]  # one layer will do for a trial
    layers = {"float32": exact, "bfloat16": copy.deepcopy(exact).to(torch.bfloat16)}
    for layer in layers.values():
        _time(layer)  # the first pass also sets things up
    best = dict.fromkeys(layers, math.inf)
    for _ in range(5):  # in turns, so that a busy moment slows down both
        for name, layer in layers.items():
            best[name] = min(best[name], _time(layer))
        if best["bfloat16"] > 3 * best["float32"]:
            break  # a chip without such numbers is slow at them: enough seen
    # Close calls go to float32: it rounds less.
    return "bfloat16" if best["bfloat16"] < 0.8 * best["float32"] else "float32"


def _time(layer: nn.Conv2d) -> float:
    """Time one pass forward and backward through a convolution."""
    shape, kind = (1, layer.in_channels, TRIAL, TRIAL), layer.weight.dtype
    features = torch.full(shape, 0.5, dtype=kind).requires_grad_()
    began = time.perf_counter()
    with torch.enable_grad():
        torch.autograd.grad(layer(features).float().mean(), features)
    return time.perf_counter() - began


def memory_needed(photo: Tensor, settings: Settings) -> float:
    """Estimate the memory that a run takes besides what this process holds already.

    Args:
        photo: (1, 3, H, W), of any size.
        settings: its size and precision count; "auto" may come to need float32.

    Returns:
        Gigabytes, at the peak.
    """
    height, width = photo.shape[2:]
    pixels = settings.size**2 * min(height, width) / max(height, width)
    of_a_number = 2 if settings.precision == "bfloat16" else 4
    return NETWORK + pixels * (FEATURES * of_a_number + PICTURES * 3 * 4) / 1e9


def check_memory(photo: Tensor, settings: Settings) -> None:
    """Refuse a run that this computer has no memory for.

    Args:
        photo: (1, 3, H, W), of any size.
        settings: its size and precision count.

    Raises:
        InputError: the memory would not do; the line says which size would.
    """
    needed = memory_needed(photo, settings)
    free = psutil.virtual_memory().available / 1e9
    if needed > free:
        rest = max(0, (free - NETWORK) / (needed - NETWORK))
        largest = int(settings.size * rest**0.5)
        raise InputError(
            f"a size of {settings.size} needs {needed:.1f} GB of memory and "
            f"{free:.1f} GB are free; choose a size up to {largest}"
        )
