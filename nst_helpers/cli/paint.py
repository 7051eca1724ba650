"""The loop of the command line: it paints, keeps, and writes."""

import argparse
import dataclasses
import io
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ..checkpoint import load_checkpoint, save_checkpoint
from ..files import InputError
from ..images import load_image, save_image
from ..pixels import fit_inside, resize, stretch
from ..plots import FRAMES, save_gif, show_triptych
from ..run import forecast
from ..settings import LIMITS, TERMS, Settings
from ..transfer import StyleTransfer
from .options import check_effect
from .places import check_places

GIF_SIDE = 512  # pixels, at most: larger ones are many megabytes


def paint(options: argparse.Namespace) -> int:
    """Do what the command line asks and return the exit status."""
    check_places(options)
    settings = Settings()
    if options.recipe and Path(options.recipe).exists():
        settings = Settings.load(options.recipe)
    given = {k: v for k, v in vars(options).items() if k in vars(settings)}
    photo = None
    if "size" in given and given["size"] is None:
        photo = load_image(options.photo)
        given["size"] = min(max(photo.shape), LIMITS["size"][1])
    settings = dataclasses.replace(settings, **given)
    check_effect(options, settings)
    size = settings.size
    photo = load_image(options.photo, size) if photo is None else resize(photo, size)
    paintings = [load_image(name, size) for name in options.paintings]
    transfer = _begin(photo, paintings, settings, options)
    if options.frames:
        Path(options.frames).mkdir(exist_ok=True)
    film, stride, status = [], math.ceil(settings.steps / FRAMES), 0
    every = 30.0 if options.every is None else options.every
    saved = time.monotonic()
    try:
        with tqdm(total=settings.steps, unit="step") as bar:
            for step in transfer:
                shown = {k: f"{v:.3f}" for k, v in step.losses.items() if k in TERMS}
                bar.set_postfix(shown, refresh=False)
                bar.update(step.iteration - bar.n)
                if options.checkpoint and time.monotonic() - saved >= every:
                    _keep(transfer, options.checkpoint)
                    saved = time.monotonic()
                if options.frames and step.iteration % (options.every_frame or 1) == 0:
                    save_image(step.image, f"{options.frames}/{step.iteration:05d}.png")
                if options.gif and step.iteration % stride == 0:
                    film.append(_as_frame(step.image))
    except KeyboardInterrupt:
        status = 130
        if options.checkpoint:
            _keep(transfer, options.checkpoint)
    finally:
        try:
            save_image(transfer.image, options.out)
        except KeyboardInterrupt:  # while it was being written: write it after all
            save_image(transfer.image, options.out)
            status = 130
    if options.triptych:
        drawn = io.BytesIO()
        figure = show_triptych(photo, paintings[0], transfer.image)
        figure.savefig(drawn, format="png", dpi=150, bbox_inches="tight")
        save_image(load_image(drawn.getvalue()), options.triptych)
    if options.gif:
        save_gif([*film, _as_frame(transfer.image)], options.gif)
    if options.recipe and not Path(options.recipe).exists():
        settings.save(options.recipe)
    if options.checkpoint and not status:
        _keep(transfer, options.checkpoint)
    reason = "interrupted, the best so far" if status else transfer.reason
    print(f"{reason}: {max(0, transfer.iteration)} iterations", file=sys.stderr)
    print(options.out)
    return status


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
        print(f"{checkpoint}: going on at {transfer.iteration}", file=sys.stderr)
        return transfer
    if checkpoint:
        print(f"{checkpoint}: not there yet: starting anew", file=sys.stderr)
    transfer = StyleTransfer(photo, paintings, settings)
    if options.picture:
        start = load_image(options.picture)
        transfer.image = fit_inside(start, *transfer.image.shape[2:])
    seconds, gigabytes = forecast(photo, paintings, settings)
    minutes = round(seconds / 60)
    cost = f"about {minutes} minutes" if minutes > 1 else "about a minute"
    if seconds < 45:
        cost = f"about {max(1, float(f'{seconds:.1g}')):.0f} s"
    cost += f", {gigabytes:.1f} GB of memory"
    print(f"{transfer.precision}, {settings.size} pixels: {cost}", file=sys.stderr)
    return transfer


def _keep(transfer: StyleTransfer, checkpoint: str) -> None:
    """Write a checkpoint; a full disk does not end the run."""
    try:
        save_checkpoint(transfer, checkpoint)
    except InputError as error:
        tqdm.write(f"{error}; the run goes on", file=sys.stderr)


def _as_frame(image: Tensor) -> Tensor:
    """Make a picture small enough for an animation, which holds many."""
    height, width = image.shape[2:]
    part = min(1, GIF_SIDE / max(height, width))
    # Not resize, which refuses thin ones.
    return stretch(image, round(part * height), round(part * width))
