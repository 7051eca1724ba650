"""The command line: python -m nst_helpers PHOTO PAINTING -o OUT."""

import argparse
import dataclasses
import io
import math
import sys
from pathlib import Path
from typing import NoReturn

import matplotlib
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from . import InputError, Settings, StyleTransfer, load_image, save_gif, save_image
from .images import check_ending, resize
from .plots import show_triptych
from .settings import CHOICES

GIF_FRAMES = 48  # an animation of more is large and no smoother


class Parser(argparse.ArgumentParser):
    """Say in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2."""
        self.exit(2, f"nst_helpers: {message}; --help lists the options\n")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        prog="python -m nst_helpers",
        description="Paint a photo in the manner of a painting (Gatys et al. 2016).",
    )
    parser.add_argument("photo", metavar="PHOTO", help="gives the content")
    parser.add_argument("painting", metavar="PAINTING", help="gives the style")
    parser.add_argument(
        "-o", "--out", metavar="OUT", required=True, help="the picture to write"
    )
    for setting in dataclasses.fields(Settings):
        if isinstance(setting.default, int | float | str):
            parser.add_argument(
                "--" + setting.name.replace("_", "-"),
                type=type(setting.default),
                choices=CHOICES.get(setting.name),
                default=argparse.SUPPRESS,
                help=f"default: {setting.default}",
            )
    parser.add_argument("--triptych", metavar="FILE", help="photo | painting | result")
    parser.add_argument("--frames", metavar="DIR", help="a picture of every iteration")
    parser.add_argument("--gif", metavar="FILE", help="the making-of, animated")
    parser.add_argument(
        "--recipe", metavar="FILE", help="settings: read if FILE is there, else written"
    )
    parser.add_argument("--yes", action="store_true", help="overwrite without asking")
    return parser.parse_args(arguments)


def choose_settings(options: argparse.Namespace) -> Settings:
    """Take the recipe, if there is one to read, and on top what the options say."""
    recipe = Settings()
    if options.recipe and Path(options.recipe).exists():
        recipe = Settings.load(options.recipe)
    names = [setting.name for setting in dataclasses.fields(Settings)]
    given = {name: value for name, value in vars(options).items() if name in names}
    return dataclasses.replace(recipe, **given)


def check_outputs(options: argparse.Namespace) -> None:
    """Refuse, before any work, what could not be written or must not be overwritten."""
    for picture in (options.out, options.triptych):
        if picture:
            check_ending(picture)
    files = [options.out, options.triptych, options.gif, options.recipe, options.frames]
    for file in filter(None, files):
        if not Path(file).parent.is_dir():
            raise InputError(f"{file}: there is no folder {Path(file).parent}")
    there = [f for f in files[:3] if f and Path(f).exists()]
    if options.frames and Path(options.frames).is_dir():
        there += [options.frames] if any(Path(options.frames).iterdir()) else []
    elif options.frames and Path(options.frames).exists():
        raise InputError(f"{options.frames}: not a folder; name another for --frames")
    if not there or options.yes:
        return
    question = f"{', '.join(there)}: there already. Overwrite? [y/N] "
    if not sys.stdin.isatty() or input(question).lower() not in ("y", "yes"):
        raise InputError(
            f"{', '.join(there)}: there already; choose another name or add --yes"
        )


def paint(options: argparse.Namespace) -> int:
    """Do what the command line asks and return the exit status."""
    check_outputs(options)
    settings = choose_settings(options)
    photo, painting = load_image(options.photo), load_image(options.painting)
    transfer = StyleTransfer(photo, painting, settings)
    if options.frames:
        Path(options.frames).mkdir(exist_ok=True)
    film, status = [], 0
    try:
        with tqdm(total=settings.steps, unit="step") as bar:
            for step in transfer:
                losses = {name: f"{step.losses[name]:.3f}" for name in step.losses}
                bar.set_postfix(losses, refresh=False)
                bar.update(step.iteration - bar.n)
                if options.frames:
                    save_image(step.image, f"{options.frames}/{step.iteration:05d}.png")
                if step.iteration % math.ceil(settings.steps / GIF_FRAMES) == 0:
                    film.append(step.image)
    except KeyboardInterrupt:
        status = 130
    save_image(transfer.image, options.out)
    if options.triptych:
        figure = show_triptych(resize(photo, settings.size), painting, transfer.image)
        save_image(as_image(figure), options.triptych)
    if options.gif:
        save_gif([*film, transfer.image], options.gif)
    if options.recipe and not Path(options.recipe).exists():
        settings.save(options.recipe)
    reason = "interrupted, the best so far" if status else transfer.reason
    print(f"{reason}: {transfer.iteration} iterations", file=sys.stderr)
    print(options.out)
    return status


def as_image(figure: Figure) -> Tensor:
    """Draw a figure as an image tensor."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150)
    return load_image(drawn.getvalue())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; bad input is one line on stderr and status 2."""
    matplotlib.use("Agg")
    try:
        return paint(parse(arguments))
    except InputError as error:
        print(f"nst_helpers: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before there was a picture to save
        return 130


if __name__ == "__main__":
    sys.exit(main())
