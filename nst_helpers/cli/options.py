"""What the command line is told."""

import argparse
import dataclasses
import inspect
import re
from typing import NoReturn

from ..settings import CHOICES, Settings

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


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; the settings given are among the options by name."""
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
