"""What this computer offers a run: a device, the faster precision, and memory."""

import copy
import functools
import math
import time
from collections.abc import Sequence

import psutil
import torch
from torch import Tensor, nn

from .files import InputError
from .settings import Settings

# At its peak an evaluation holds so many numbers for every pixel, nearly all of them
# features; L-BFGS holds its history and more pictures on the way, in float32. To look
# at a painting takes fewer. On top come the network and what lies about. Measured with
# the default layers and weights: make bench compares.
FEATURES = 225
OF_PAINTING = 140
PICTURES = 28
NETWORK = 0.55  # GB
TRIAL = 16  # pixels a side: kept small for chips that are slow at bfloat16


def pick_device(name: str = "auto") -> torch.device:
    """Choose where to compute.

    Args:
        name: "auto" (the best there is), "cpu", "cuda" or "mps".

    Returns:
        The device.

    Raises:
        InputError: there is no such device here.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device in available if available[device])
    if not available[name]:
        raise InputError(f"no {name} device here; choose 'auto' or 'cpu'")
    return torch.device(name)


@functools.cache  # measured once a session: the same settings, the same picture
def pick_precision(device: torch.device, precision: str = "auto") -> str:
    """Choose the precision in which this computer runs a network faster.

    Args:
        device: where the network runs.
        precision: "float32" or "bfloat16" to insist on it, or "auto" to measure.

    Returns:
        "float32" or "bfloat16"; on a graphics card "auto" is always float32.
    """
    if precision != "auto":
        return precision
    if device.type != "cpu":
        return "float32"
    exact = nn.utils.skip_init(nn.Conv2d, 256, 256, kernel_size=3, padding=1)
    exact.requires_grad_(False).to(memory_format=torch.channels_last)
    for parameter in exact.parameters():
        parameter.fill_(0.01)  # what stands there without could be slow numbers
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


def pick_history(variables: float) -> int:
    """Choose how many steps L-BFGS remembers.

    Late in a run, 20 get further than 8; each takes time and memory.

    Args:
        variables: how many there are.

    Returns:
        20, or 8 where the 20 would fill more than 100 MB.
    """
    return 20 if 20 * 2 * 4 * variables < 100e6 else 8


def memory_needed(
    photo: Tensor, paintings: Sequence[Tensor], settings: Settings
) -> float:
    """Estimate the memory that a run takes besides what this process holds already.

    Args:
        photo: (1, 3, H, W), of any size.
        paintings: one or two such.
        settings: its size and precision count; "auto" may come to need float32.

    Returns:
        Gigabytes, at the peak.
    """
    of_a_number = 2 if settings.precision == "bfloat16" else 4
    pixels = _pixels(photo, settings.size)
    pictures = 2 * pick_history(3 * pixels) + PICTURES
    most = pixels * (FEATURES * of_a_number + pictures * 3 * 4)
    for painting in paintings:
        look = OF_PAINTING * of_a_number * _pixels(painting, settings.size)
        most = max(most, look)
    return NETWORK + most / 1e9


def _pixels(image: Tensor, size: int) -> float:
    """Count the pixels of a picture brought to a size."""
    height, width = image.shape[2:]
    return size**2 * min(height, width) / max(height, width)


def check_memory(
    photo: Tensor, paintings: Sequence[Tensor], settings: Settings
) -> None:
    """Refuse a run that this computer has no memory for.

    It asks how much of the whole computer's memory is free, and does not know of the
    limit that a container may have.

    Args:
        photo: (1, 3, H, W), of any size.
        paintings: one or two such.
        settings: its size and precision count.

    Raises:
        InputError: the memory would not do; the line says which size would.
    """
    needed = memory_needed(photo, paintings, settings)
    free = psutil.virtual_memory().available / 1e9
    if needed > free:
        rest = max(0, (free - NETWORK) / (needed - NETWORK))
        largest = int(settings.size * rest**0.5)
        advice = f"choose a size up to {largest}" if largest >= 16 else "close programs"
        raise InputError(
            f"a size of {settings.size} needs {needed:.1f} GB of memory and "
            f"{free:.1f} GB are free; {advice}"
        )
