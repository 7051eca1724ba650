"""Films: each frame is begun from the one before, moved along with what moves."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..device import load_network, pick_device
from ..files import InputError, check_number
from ..images import Picture, as_image, as_paintings
from ..pixels import resize, stretch
from ..settings import Settings
from ..terms import OF_LOSSES, choose_losses, finish
from ..transfer import StyleTransfer
from .flow import follow, hold


def paint_film(
    frames: Iterable[Picture],
    painting: Picture,
    settings: Settings = Settings(),
    weight: float = 1.0,
    painted: Picture | None = None,
) -> Iterator[Tensor]:
    """Paint frames, each begun from the one before, and held to it.

    Args:
        frames: pictures of one shape, in order.
        painting: as in StyleTransfer.
        settings: of the first frame; the others take half the steps, at one scale.
        weight: of the temporal loss, in weights of content, style and tv together, 0 to
            1000.
        painted: the first frame, if that is painted already; then it is not yielded.

    Yields:
        (1, 3, H, W) in [0, 1], each frame.

    Raises:
        InputError: as StyleTransfer does; a frame of another shape, or a weight.
    """
    weight = check_number("weight", weight, 0.0, 1e3)
    painting, before = as_paintings(painting), None
    keep = None if settings.keep_colors == "photo" else settings.keep_colors
    plain = {name: getattr(Settings(), name) for name in OF_LOSSES}
    aim = replace(settings, keep_colors=keep, **plain)  # the losses know these
    network = load_network(settings, pick_device(settings.device))
    later = replace(aim, steps=max(1, settings.steps // 2), scales=1)
    for frame in frames:
        now = resize(as_image(frame, "frame"), settings.size, "the frame")
        losses = choose_losses(painting, settings)
        if before is not None and now.shape != before.shape:
            raise InputError("the frames differ in shape; bring them to one")
        if before is None and painted is not None:
            painted, before = stretch(as_image(painted, "frame"), *now.shape[2:]), now
            continue
        if before is None:
            run = StyleTransfer(now, painting, aim, losses, network)
        else:
            moved, trust = follow(painted, before, now)
            losses = hold(losses, moved, trust, weight)
            run = StyleTransfer(now, painting, later, losses, network)
            run.image = torch.where(trust > 0, moved, now)
        for _ in run:
            pass
        painted, before = run.image, now
        yield finish(painted, now, settings)
