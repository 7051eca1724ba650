"""A whole run: a picture in one call, and what it will take."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise

import torch
from torch import Tensor

from .device import count_pixels, memory_needed
from .files import InputError
from .images import Picture, as_image, as_paintings
from .settings import Settings
from .terms import choose_losses
from .transfer import StyleTransfer

TRIAL = 128  # pixels, the long side of the small run that is timed


def stylize(
    photo: Picture,
    painting: Picture | Sequence[Picture],
    settings: Settings = Settings(),
) -> Tensor:
    """Paint a photo in the manner of a painting, to the end.

    Args:
        photo: any picture that load_image takes: a path, say, or an image tensor.
        painting: another, or a list of them, which settings.mix mixes.
        settings: every other choice.

    Returns:
        (1, 3, h, w) in [0, 1], the best picture; its long side is settings.size.

    Raises:
        InputError: as StyleTransfer does.
    """
    transfer = StyleTransfer(photo, painting, settings)
    for _ in transfer:
        pass
    return transfer.image


def forecast(
    photo: Picture,
    painting: Picture | Sequence[Picture],
    settings: Settings = Settings(),
) -> tuple[float, float]:
    """Estimate roughly, by a small run, what a run takes on this computer.

    Args:
        photo: any picture that load_image takes.
        painting: another, or a list of them.
        settings: of the run.

    Returns:
        Seconds, and gigabytes of memory besides those already in use, at the peak, as
        on the CPU, whatever the device.

    Raises:
        InputError: what cannot be had, is no image, or gives no loss.
    """
    noise = torch.rand(2, 1, 3, TRIAL, TRIAL, device="cpu")
    plain = {"mix": (), "style_scale": 1.0, "start": "content", "keep_colors": None}
    small = replace(settings, size=TRIAL, scales=1, **plain)
    moments = [step.seconds for step in islice(StyleTransfer(*noise, small), 5)]
    if not moments:
        raise InputError("the loss is no number from the start; try other weights")
    a_step = min((b - a for a, b in pairwise(moments)), default=moments[0])
    photo, painting = as_image(photo, "photo"), as_paintings(painting)
    gigabytes = memory_needed(photo, choose_losses(painting, settings), settings)
    steps = sum(0.25 ** settings.halvings_at(i) for i in range(settings.steps))
    return steps * a_step * count_pixels(photo, settings.size) / TRIAL**2, gigabytes
