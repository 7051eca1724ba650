"""Where the command line writes: looked at before any work is done."""

import argparse
import math
import os
import sys
from pathlib import Path

from ..files import InputError, check_number
from ..images import check_ending
from ..settings import LIMITS


def check_places(options: argparse.Namespace) -> None:
    """Refuse, before any work, what could not be written or must not be overwritten."""
    if options.every is not None and not 0 <= options.every < math.inf:
        raise InputError(f"--every is a number of seconds, not {options.every}")
    if options.every_frame is not None:
        check_number("--every-frame", options.every_frame, 1, LIMITS["steps"][1])
    files = list(filter(None, (options.out, options.triptych)))
    for picture in files:
        check_ending(picture)
    if options.gif:
        files.append(options.gif)
        if Path(options.gif).suffix.lower() != ".gif":
            raise InputError(f"{options.gif}: end the name in .gif")
    read = filter(None, (options.photo, *options.paintings, options.picture))
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
