"""The command line: python -m nst_helpers PHOTO PAINTING -o OUT."""

import argparse
import dataclasses
import inspect
import io
import math
import os
import re
import sys
import time
from pathlib import Path
from typing import NoReturn

import matplotlib
import torch
from torch import Tensor
from tqdm import tqdm

from .checkpoint import load_checkpoint, save_checkpoint
from .files import InputError
from .images import check_ending, load_image, save_image
from .pixels import stretch
from .plots import FRAMES, save_gif, show_triptych
from .run import forecast
from .settings import CHOICES, TERMS, Settings
from .transfer import StyleTransfer

GIF_SIDE = 512  # pixels, at most: larger ones are many megabytes
EXTRAS = {  # option: what it names, what it is for
    "second": ("PAINTING", "for --mix to mix in"),
    "triptych": ("FILE", "photo | painting | result"),
    "frames": ("DIR", "a picture of every iteration"),
    "gif": ("FILE", "the making-of, animated; of a run taken up again, from there on"),
    "recipe": ("FILE", "settings: read if FILE is there, else written"),
    "checkpoint": ("FILE", "to go on from after a crash or Ctrl-C; kept until the end"),
}


class _Parser(argparse.ArgumentParser):
    """Say in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2."""
        line = " ".join(message.splitlines())
        self.exit(2, f"nst_helpers: {line}; --help lists the options\n")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    what = "Paint a photo in the manner of a painting (Gatys et al. 2016)."
    parser = _Parser(prog="python -m nst_helpers", description=what)
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="gives the content")
    add("painting", metavar="PAINTING", help="gives the style")
    add("-o", "--out", metavar="OUT", required=True, help="the picture to write")
    # What each setting means stands in the docstring, and nowhere else.
    pattern = r"^ {4}(\w+): (.+(?:\n {8}.+)*)"
    meanings = re.findall(pattern, inspect.cleandoc(Settings.__doc__), re.MULTILINE)
    meanings = {name: " ".join(text.split()) for name, text in meanings}
    for setting in dataclasses.fields(Settings):
        if isinstance(setting.default, int | float | str):
            add(
                "--" + setting.name.replace("_", "-"),
                type=type(setting.default),
                choices=CHOICES.get(setting.name),
                default=argparse.SUPPRESS,
                help=f"{meanings.get(setting.name)} Default: {setting.default}.",
            )
    for name, (metavar, meaning) in EXTRAS.items():
        add(f"--{name}", metavar=metavar, help=meaning)
    between = "between two checkpoints. Default: 30."
    add("--every", metavar="SECONDS", type=float, default=30.0, help=between)
    add("--yes", action="store_true", help="overwrite without asking")
    return parser.parse_args(arguments)


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse, before any work, what could not be written or must not be overwritten."""
    if not 0 <= options.every < math.inf:
        raise InputError(f"--every is a number of seconds, not {options.every}")
    files = list(filter(None, (options.out, options.triptych)))
    for picture in files:
        check_ending(picture)
    if options.gif:
        files.append(options.gif)
        if Path(options.gif).suffix.lower() != ".gif":
            raise InputError(f"{options.gif}: end the name in .gif")
    read = filter(None, (options.photo, options.painting, options.second))
    taken = {Path(file).resolve() for file in read}
    others = options.frames, options.recipe, options.checkpoint
    for file in [*files, *filter(None, others)]:
        if Path(file).resolve() in taken:
            raise InputError(f"{file}: named twice; choose another name")
        taken.add(Path(file).resolve())
        if not os.access(Path(file).parent, os.W_OK):
            raise InputError(f"{file}: no folder {Path(file).parent} to write into")
        if file in files and Path(file).is_dir():
            raise InputError(f"{file}: this is a folder; name a file inside it")
    there = [file for file in files if Path(file).exists()]
    if options.frames and Path(options.frames).exists():
        if not Path(options.frames).is_dir():
            raise InputError(f"{options.frames}: not a folder; name one for --frames")
        there += [options.frames] if any(Path(options.frames).iterdir()) else []
    if not there or options.yes:
        return
    line, answer = f"{', '.join(there)}: there already", ""
    if sys.stdin.isatty():
        print(f"{line}. Overwrite? [y/N] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes"):
        raise InputError(f"{line}; choose another name or add --yes")


def _paint(options: argparse.Namespace) -> int:
    """Do what the command line asks and return the exit status."""
    _check_outputs(options)
    settings = Settings()
    if options.recipe and Path(options.recipe).exists():
        settings = Settings.load(options.recipe)
    given = {k: v for k, v in vars(options).items() if k in vars(settings)}
    settings = dataclasses.replace(settings, **given)
    names = filter(None, (options.photo, options.painting, options.second))
    photo, *paintings = [load_image(name, settings.size) for name in names]
    transfer = _begin(photo, paintings, settings, options.checkpoint)
    if options.frames:
        Path(options.frames).mkdir(exist_ok=True)
    film, stride, status = [], math.ceil(settings.steps / FRAMES), 0
    saved = time.monotonic()
    try:
        with tqdm(total=settings.steps, unit="step") as bar:
            for step in transfer:
                shown = {k: f"{v:.3f}" for k, v in step.losses.items() if k in TERMS}
                bar.set_postfix(shown, refresh=False)
                bar.update(step.iteration - bar.n)
                if options.checkpoint and time.monotonic() - saved >= options.every:
                    _keep(transfer, options.checkpoint)
                    saved = time.monotonic()
                if options.frames:
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
        Path(options.checkpoint).unlink(missing_ok=True)
    reason = "interrupted, the best so far" if status else transfer.reason
    print(f"{reason}: {max(0, transfer.iteration)} iterations", file=sys.stderr)
    print(options.out)
    return status


def _begin(
    photo: Tensor, paintings: list[Tensor], settings: Settings, checkpoint: str | None
) -> StyleTransfer:
    """Begin a run, saying what it will cost, or go on where a checkpoint is there."""
    if checkpoint and Path(checkpoint).exists():
        transfer = load_checkpoint(checkpoint)
        kept, given = [transfer.photo, *transfer.painting], [photo, *paintings]
        same = len(kept) == len(given) and all(map(torch.equal, kept, given))
        if transfer.settings != settings or not same:
            raise InputError(
                f"{checkpoint}: of a run with other pictures or settings; repeat that "
                "command, or delete the file to start anew"
            )
        print(f"{checkpoint}: going on at {transfer.iteration}", file=sys.stderr)
        return transfer
    if checkpoint:
        print(f"{checkpoint}: not there yet: starting anew", file=sys.stderr)
    transfer = StyleTransfer(photo, paintings, settings)
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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; what goes wrong is one line on stderr.

    Args:
        arguments: of the command; those it was started with if left out.

    Returns:
        The exit status: 0; 2 for bad input or too little memory; 130 after Ctrl-C.
    """
    try:
        return _paint(_parse(arguments))
    except KeyboardInterrupt:  # before there was a picture to save
        return 130
    except (InputError, OSError) as error:
        line = str(error)
    except (MemoryError, RuntimeError) as error:
        # torch, too, says by the latter that it could not allocate memory.
        if isinstance(error, RuntimeError) and "allocate" not in str(error):
            raise
        line = f"out of memory; choose a smaller --size ({error})"
    line = " ".join(line.splitlines())  # names of files may be any
    print(f"nst_helpers: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    matplotlib.use("Agg")  # draw without a window
    sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any
    sys.exit(main())
