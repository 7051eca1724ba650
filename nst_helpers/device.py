"""What this computer offers a run: a device, quicker convolutions, and memory."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .files import InputError
from .limits import free_memory
from .losses import Loss, StyleLoss
from .settings import Settings
from .vgg import VGG19

try:
    from .fast import accelerate as quicken
except ImportError:  # the folder may be deleted: then the plain network paints
    quicken = None

# At the peak of an evaluation by the default layers, measured: make bench compares.
BYTES = {"float32": 2200, "bfloat16": 1300}  # for each pixel of the photo
OF_PAINTING = 0.4  # of that, for each pixel of the painting, which is only looked at
NETWORK = 0.75  # GB, whatever the size
Network = tuple[VGG19, VGG19, str]  # plain, what computes as it does, its precision


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name, "auto" for the best there is, if it can compute."""
    count = {"cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0}
    count |= {"mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name == "auto":
        name = next(kind for kind in count if count[kind])
    kind, _, number = name.partition(":")
    if int(number or 0) >= count[kind]:
        raise InputError(f"no {name} device here; choose 'auto' or 'cpu'")
    try:
        torch.ones(2, device=name).sum().item()
    except RuntimeError as error:  # a card that this torch has no kernels for
        raise InputError(
            f"torch cannot compute on {name} here; choose device 'cpu' (--device cpu): "
            + " ".join(str(error).split())[:100]
        ) from None
    return torch.device(name)


def accelerate(vgg: VGG19, precision: str) -> tuple[VGG19, str]:
    """Return a quicker copy of a network, where this computer has one, for one run.

    With it comes the precision of its numbers, which "auto" leaves to the chip.
    """
    return quicken(vgg, precision) if quicken else (vgg, "float32")


def load_network(settings: Settings, device: torch.device) -> Network:
    """Make the network of a run."""
    choices = settings.weights, settings.pooling, settings.padding, settings.seed
    with device:
        plain = VGG19(*choices)
    return plain, *accelerate(plain, settings.precision)


def memory_needed(photo: Tensor, losses: Sequence[Loss], settings: Settings) -> float:
    """Estimate the gigabytes, at the peak, that a run adds to this process."""
    most = count_pixels(photo, settings.size)
    for loss in losses:
        if isinstance(loss, StyleLoss):
            look = OF_PAINTING * count_pixels(loss.painting, settings.size * loss.scale)
            most = max(most, look)
    precision = "bfloat16" if settings.precision == "bfloat16" else "float32"
    return NETWORK + BYTES[precision] * most / 1e9


def count_pixels(image: Tensor, size: float) -> float:
    """Count the pixels of a picture brought to a size."""
    height, width = image.shape[2:]
    return size**2 * min(height, width) / max(height, width)


def check_memory(photo: Tensor, losses: Sequence[Loss], settings: Settings) -> None:
    """Refuse a run that there is no memory for here; say which size would do."""
    needed = memory_needed(photo, losses, settings)
    free = free_memory() / 1e9
    if needed > free:
        rest = max(0, (free - NETWORK) / (needed - NETWORK))
        largest = int(settings.size * rest**0.5)
        advice = f"choose a size up to {largest}" if largest >= 16 else "close programs"
        raise InputError(
            f"a size of {settings.size} needs {needed:.1f} GB of memory and "
            f"{free:.1f} GB are free; {advice}"
        )
