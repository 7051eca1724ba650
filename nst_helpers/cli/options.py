"""What the command line is told."""

import argparse
import dataclasses
import inspect
import math
import os
import re
from typing import Any, NoReturn

from ..files import InputError, check_number
from ..settings import CHOICES, Settings

EXTRAS = {  # option: what it names, what it is for
    "triptych": ("FILE", "photo | painting | result"),
    "frames": ("DIR", "a picture of every iteration, or of every N-th"),
    "gif": ("FILE", "the making-of, animated; of a run taken up again, from there on"),
    "recipe": ("FILE", "settings: read if FILE is there, else written"),
    "checkpoint": ("FILE", "to go on from: after a crash, or with more --steps"),
}


def number(text: str) -> int | None:
    """Read --size; None is as large as the photo."""
    return None if text == "photo" else int(text)


LARGE = Settings(size=768, steps=60)  # larger than lessons want it
COARSEST = 256  # pixels, at least: at smaller sizes the subject would get lost
MORE = {  # what the command line takes besides
    "keep_colors": {
        "type": lambda text: None if text == "none" else text,
        "choices": None,
        "metavar": "photo|painting|none",
    },
    "scales": {"help": "Without it, as many as begin at 256 pixels or more."},
    "size": {"type": number, "metavar": "PIXELS", "help": "Or photo, as it is."},
    "start": {"choices": None, "metavar": "WHAT", "help": "Or a picture's file."},
}


class Parser(argparse.ArgumentParser):
    """Say in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2."""
        line = " ".join(message.splitlines())
        self.exit(2, f"nst_helpers: {line}; --help lists the options\n")


def add_settings(parser: Parser) -> None:
    """Add an option for each setting; its meaning is that of the docstring."""
    pattern = r"^ {4}(\w+): (.+(?:\n {8}.+)*)"
    meanings = re.findall(pattern, inspect.cleandoc(Settings.__doc__), re.MULTILINE)
    meanings = {name: " ".join(text.split()) for name, text in meanings}
    for setting in dataclasses.fields(Settings):
        if isinstance(setting.default, int | float | str | None):
            more = MORE.get(setting.name, {})
            kind = {"type": type(setting.default), "default": argparse.SUPPRESS}
            kind["choices"] = CHOICES.get(setting.name)
            meaning = f"{meanings.get(setting.name, '')} {more.get('help', '')}".strip()
            default = getattr(LARGE, setting.name)
            tail = "" if setting.name == "scales" else f" Default: {default}."
            kind |= more | {"help": meaning + tail}
            parser.add_argument("--" + setting.name.replace("_", "-"), **kind)


def change(settings: Settings, options: argparse.Namespace, **more: Any) -> Settings:
    """Change what options say of settings, and more."""
    given = {k: v for k, v in vars(options).items() if k in vars(settings)} | more
    if given.get("size", 0) is None:
        raise InputError("--size photo is for one photo; say how many pixels")
    changed = dataclasses.replace(settings, **given)
    if "scales" in given or settings is not LARGE:
        return changed
    # Coarse to fine: from the smallest half, quarter, ... of 256 pixels or more.
    scales = 1 + int(math.log2(max(1, changed.size / COARSEST)))
    return dataclasses.replace(changed, scales=min(scales, changed.steps))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; the settings given are among the options by name."""
    what = "Paint a photo in the manner of a painting (Gatys et al. 2016)."
    parser = Parser(prog="python -m nst_helpers", description=what)
    add = parser.add_argument
    what = "gives the content; of several, OUT is a folder"
    add("photos", metavar="PHOTO", nargs="+", help=what)
    add("painting", metavar="PAINTING", help="gives the style")
    also = "mixed in, counting WEIGHT times as much as the first; may be repeated"
    add("--also", metavar="PAINTING[:WEIGHT]", action="append", default=[], help=also)
    add("-o", "--out", metavar="OUT", required=True, help="the picture to write")
    add_settings(parser)
    for name, (metavar, meaning) in EXTRAS.items():
        add(f"--{name}", metavar=metavar, help=meaning)
    between = "between two checkpoints. Default: 30."
    add("--every", metavar="SECONDS", type=float, help=between)
    add("--every-frame", metavar="N", type=int, help="of --frames. Default: 1.")
    add("--yes", action="store_true", help="overwrite without asking")
    options = parser.parse_args(arguments)
    _read_paintings(options)
    options.photo = options.photos[0]
    options.picture = None  # to start from
    if vars(options).get("start", "content") not in CHOICES["start"]:
        options.picture = vars(options).pop("start")
        if not os.path.exists(os.path.expanduser(options.picture)):
            words = "content, noise, style or a picture's file"
            parser.error(f"--start is {words}, not {options.picture!r}")
    return options


def _read_paintings(options: argparse.Namespace) -> None:
    """Tell paintings from weights; without any weight, a recipe's mix may stand."""
    options.paintings, mix = [options.painting], [1.0]
    for also in options.also:
        path, _, weight = also.rpartition(":")
        try:
            mix.append(float(weight))
        except ValueError:  # a name without a weight
            path = also
            mix.append(1.0)
        check_number(f"the weight in --also {also}", mix[-1], 1e-6, 1e6)
        options.paintings.append(path)
    if options.also != options.paintings[1:]:
        options.mix = mix


def choose_settings(options: argparse.Namespace) -> Settings:
    """Change the recipe, if it is there, by the options; refuse what does nothing."""
    is_recipe = options.recipe and os.path.exists(options.recipe)
    settings = change(Settings.load(options.recipe) if is_recipe else LARGE, options)
    is_random = settings.start == "noise" or settings.weights == "random"
    for name, has_effect, cure in (
        ("every", options.checkpoint, "without --checkpoint"),
        ("every_frame", options.frames, "without --frames"),
        ("seed", is_random, "without --start noise or --weights random"),
        ("style_scale", settings.style_weight, "at a style weight of 0"),
        ("also", settings.style_weight, "at a style weight of 0"),
    ):
        if vars(options).get(name) not in (None, []) and not has_effect:
            option = name.replace("_", "-")
            raise InputError(f"--{option} does nothing {cure}; change that, or drop it")
    return settings
