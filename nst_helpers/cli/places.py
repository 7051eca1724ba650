"""Where the command line reads and writes: looked at before any work is done."""

import argparse
import contextlib
import math
import os
import re
import stat
import sys
import tempfile
import uuid
from pathlib import Path

from ..files import InputError, look
from ..images import check_ending, save_image
from ..transfer import StyleTransfer

READ = ["photo", "painting", "second"]
WRITTEN = ["out", "triptych", "gif", "frames", "recipe", "checkpoint"]
FRAME = "([0-9]{5}|100000)[.]png"  # 00000.png and so on


def check_places(options: argparse.Namespace) -> None:
    """Refuse, before any work, what could not be written or must not be overwritten.

    In all the names, a ~ at the start becomes the user's folder.
    """
    if not 0 <= options.every < math.inf:
        raise InputError(f"--every is a number of seconds, not {options.every}")
    places = {option: getattr(options, option) for option in READ + WRITTEN}
    for option, place in places.items():
        if place == "":
            empty = "an empty name; is a variable of the shell not set?"
            raise InputError(f"{option}: {empty}")
        places[option] = place and os.path.expanduser(place)
    vars(options).update(places)
    for picture in filter(None, (options.out, options.triptych)):
        check_ending(picture)
    if options.gif and Path(options.gif).suffix.lower() != ".gif":
        raise InputError(f"{options.gif}: end the name in .gif")
    frames = look(options.frames) if options.frames else None
    places["weights"] = vars(options).get("weights")  # a name of ours or of a file
    read = READ + ["weights"]
    if options.recipe and look(options.recipe):  # it will be read only
        read += ["recipe"]
    taken, there = set(), []
    for option in read:
        if places[option] and look(places[option]):
            taken.add(_identify(places[option], frames))
    for option in WRITTEN:
        file = places[option]
        if not file or option in read:
            continue
        found = look(file)
        if found and option == "frames" and not stat.S_ISDIR(found.st_mode):
            raise InputError(f"{file}: not a folder; name one for --frames")
        if found and option != "frames" and not stat.S_ISREG(found.st_mode):
            raise InputError(f"{file}: this is a folder; name a file inside it")
        identity = _identify(file, frames, ignores_case=_try_to_write(file))
        if identity in taken:
            raise InputError(f"{file}: named twice; choose another name")
        taken.add(identity)
        if found and option != "checkpoint":
            there += [file] if option != "frames" or os.listdir(file) else []
    if there and not options.yes:
        _ask(f"{', '.join(there)}: there already")


def _ask(line: str) -> None:
    """Refuse to overwrite what is there, unless somebody at the keyboard agrees."""
    answer = ""
    with contextlib.suppress(AttributeError, ValueError):  # stdin closed, or no text
        if sys.stdin.isatty():
            print(f"{line}. Overwrite? [y/N] ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes"):
        raise InputError(f"{line}; choose another name or add --yes")


def _try_to_write(file: str) -> bool:
    """Write where the file would be; tell whether x and X are one name on that disk."""
    target = Path(os.path.realpath(file))
    folder = target if target.is_dir() else target.parent
    try:
        with tempfile.NamedTemporaryFile(
            prefix=".nst-", suffix=".part", dir=folder
        ) as trial:
            trial.write(b"a")
            trial.flush()
            return Path(folder, Path(trial.name).name.upper()).exists()
    except OSError as error:
        line = f"no folder {Path(file).parent} to write into ({error.strerror})"
        raise InputError(f"{file}: {line}") from error


def _identify(
    file: str, frames: os.stat_result | None, ignores_case: bool = False
) -> tuple[int | str, ...]:
    """Tell files apart as their disk does, links followed; a frame is its folder."""
    target = Path(os.path.realpath(file))
    name = target.name.casefold() if ignores_case else target.name
    found, folder = look(file), look(target.parent)
    if frames and os.path.samestat(folder, frames) and re.fullmatch(FRAME, name):
        found = frames
    if found:
        return found.st_dev, found.st_ino
    return folder.st_dev, folder.st_ino, name


def prepare_frames(folder: str, iteration: int) -> None:
    """Make the folder; remove from it an older run's frames, after an iteration."""
    Path(folder).mkdir(exist_ok=True)
    for file in Path(folder).iterdir():
        if re.fullmatch(FRAME, file.name) and int(file.stem) > iteration:
            file.unlink()


def deliver(transfer: StyleTransfer, place: str, stop: BaseException | None) -> None:
    """Write the picture and say where; elsewhere if it must be, which is an error."""
    reason, count = transfer.reason, max(0, transfer.iteration)
    if stop:
        interrupted = isinstance(stop, KeyboardInterrupt)
        reason = ("interrupted" if interrupted else "broken off") + ", the best so far"
        if not count:
            print("nothing painted yet, nothing written", file=sys.stderr)
            return
    print(f"{reason}: {count} iterations", file=sys.stderr)
    try:
        save_image(transfer.image, place)
        print(place)
    except InputError as error:
        name = f"painted-{uuid.uuid4().hex[:8]}{Path(place).suffix}"
        for find_folder in (os.getcwd, tempfile.gettempdir):
            with contextlib.suppress(InputError, OSError):
                elsewhere = os.path.join(find_folder(), name)
                save_image(transfer.image, elsewhere)
                break
        else:
            raise
        print(elsewhere)
        raise InputError(f"{error}; the picture is {elsewhere}") from error
