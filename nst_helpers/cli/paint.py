"""The loop of the command line: it paints, keeps, and writes."""

import argparse
import dataclasses
import io
import math
import os
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from ..checkpoint import load_checkpoint, save_checkpoint
from ..files import InputError
from ..images import load_image, load_with_alpha, save_image
from ..pixels import fit_inside, stretch
from ..plots import FRAMES, save_gif, show_triptych
from ..run import forecast
from ..settings import LIMITS, Settings
from ..transfer import StyleTransfer
from .options import choose_settings
from .places import check_frames, check_places, deliver, remove_frames
from .process import undisturbed

REST = ("range", "total")  # losses that the bar does not show
GIF_SIDE = 512  # pixels, at most: larger ones are many megabytes
WIDEST = 40  # heights side by side, in a triptych: WebP holds no more


def paint(options: argparse.Namespace) -> None:
    """Do what the command line asks; what breaks it off is raised in the end."""
    check_places(options)
    if vars(options).get("size", 0) is None:  # as large as the photo
        photo, _ = load_with_alpha(options.photo, None)
        options.size = min(max(photo.shape), LIMITS["size"][1])
    settings = choose_settings(options)
    photo, alpha = load_with_alpha(options.photo, settings.size)
    largest = round(settings.size * max(1, settings.style_scale))
    paintings = [
        load_with_alpha(name, largest, enlarge=False)[0] for name in options.paintings
    ]
    three = [photo, paintings[0], photo]
    if options.triptych and sum(x.shape[3] / x.shape[2] for x in three) > WIDEST:
        raise InputError(f"{options.triptych}: too wide; crop, or leave it out")
    if options.frames:
        check_frames(options.frames, settings.steps, options.every_frame or 1)
    transfer = _begin(photo, paintings, settings, options)
    if options.frames:
        Path(os.path.realpath(options.frames)).mkdir(exist_ok=True)
    film, stride, stop = [], math.ceil(settings.steps / FRAMES), None
    every = 30.0 if options.every is None else options.every
    saved = time.monotonic()
    try:
        with tqdm(total=settings.steps, unit="step") as bar:
            for step in transfer:
                shown = {k: f"{v:.3f}" for k, v in step.losses.items() if k not in REST}
                bar.set_postfix(shown, refresh=False)
                bar.update(step.iteration - bar.n)
                due = step.iteration and time.monotonic() - saved >= every
                if options.checkpoint and due:
                    _keep(transfer, options.checkpoint)
                    saved = time.monotonic()
                if options.frames and step.iteration % (options.every_frame or 1) == 0:
                    # All of one size, as films want them.
                    frame = stretch(step.image, *photo.shape[2:])
                    save_image(frame, f"{options.frames}/{step.iteration:05d}.png")
                if options.gif and step.iteration % stride == 0:
                    film.append(shrink(step.image, GIF_SIDE))
    except BaseException as error:  # what is painted is written first
        stop = error
    with undisturbed():
        try:
            deliver(transfer, alpha, options, stop)
        except KeyboardInterrupt as again:  # in a thread, say: write it after all
            stop = stop or again
            deliver(transfer, alpha, options, stop)
        except InputError as error:
            stop = error
        if transfer.iteration > 0:
            if options.checkpoint:
                _keep(transfer, options.checkpoint)
            if options.frames:
                remove_frames(options.frames, transfer.iteration)
    if stop and (not isinstance(stop, KeyboardInterrupt) or transfer.iteration < 1):
        raise stop
    film.append(shrink(transfer.image, GIF_SIDE))
    three = photo, paintings[0], transfer.image
    missing = []
    for place, write in (
        (options.gif, lambda: save_gif(film, options.gif)),
        (options.recipe, lambda: save_recipe(settings, options)),
        (options.triptych, lambda: draw(show_triptych(*three), options.triptych)),
    ):
        try:
            if place:
                write()
        except KeyboardInterrupt as again:
            stop = stop or again
            missing.append(f"{place}: interrupted, not written")
        except InputError as error:
            missing.append(str(error))
    if stop:
        print(*missing, sep="; ", end="\n" * bool(missing), file=sys.stderr)
        raise stop
    if missing:
        raise InputError("; ".join(missing))


def draw(figure: Figure, place: str, dpi: float = 150) -> None:
    """Write a figure as a picture."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, bbox_inches="tight")
    plt.close(figure)  # or a notebook would show it
    save_image(load_image(drawn.getvalue()), place)


def save_recipe(settings: Settings, options: argparse.Namespace) -> None:
    """Write the recipe, unless it was read."""
    if not Path(options.recipe).exists():
        settings.save(options.recipe)
        if options.picture:
            again = f"--start {options.picture}"
            print(f"{options.recipe}: say {again} beside it", file=sys.stderr)


def _begin(
    photo: Tensor,
    paintings: list[Tensor],
    settings: Settings,
    options: argparse.Namespace,
) -> StyleTransfer:
    """Begin a run, saying what it will cost, or go on where a checkpoint is there."""
    checkpoint = options.checkpoint
    if checkpoint and Path(checkpoint).exists():
        transfer = load_checkpoint(checkpoint)
        kept, given = [transfer.photo, *transfer.painting], [photo, *paintings]
        same = len(kept) == len(given) and all(map(torch.equal, kept, given))
        longer = dataclasses.replace(transfer.settings, steps=settings.steps)
        if longer != settings or not same:
            raise InputError(
                f"{checkpoint}: of a run with other pictures or settings; repeat that "
                "command, with more --steps if you like, or delete the file"
            )
        transfer.settings = settings
        past = "; --start has no more effect" if options.picture else ""
        print(f"{checkpoint}: going on at {transfer.iteration}{past}", file=sys.stderr)
        return transfer
    if checkpoint:
        print(f"{checkpoint}: not there yet: starting anew", file=sys.stderr)
    transfer = StyleTransfer(photo, paintings, settings)
    if options.picture:
        start = load_image(options.picture)
        transfer.image = fit_inside(start, *transfer.image.shape[2:])
    seconds, gigabytes = forecast(photo, paintings, settings)
    time_needed = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    cost = f"about {time_needed}, {gigabytes:.1f} GB of memory"
    print(f"{transfer.precision}, {settings.size} pixels: {cost}", file=sys.stderr)
    return transfer


def _keep(transfer: StyleTransfer, checkpoint: str) -> None:
    """Write a checkpoint; a full disk does not end the run."""
    try:
        save_checkpoint(transfer, checkpoint)
    except InputError as error:
        tqdm.write(f"{error}: no checkpoint now", file=sys.stderr)


def shrink(image: Tensor, side: float) -> Tensor:
    """Make a picture small enough for an animation, which holds many, or a sheet."""
    height, width = image.shape[2:]
    part = min(1, side / max(height, width))
    # Not resize, which refuses thin ones.
    return stretch(image, round(part * height), round(part * width))
