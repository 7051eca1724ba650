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

from torch import Tensor

from ..files import InputError, check_number, look
from ..images import check_ending, save_image
from ..pixels import fit_mask
from ..settings import LIMITS
from ..transfer import StyleTransfer

READ = ["photo", "picture"]  # and the paintings
WRITTEN = ["out", "triptych", "gif", "frames", "recipe", "checkpoint"]
FRAME = "([0-9]{5}|100000)[.]png"  # 00000.png and so on


def check_places(options: argparse.Namespace) -> None:
    """Refuse, before any work, what could not be written or must not be overwritten.

    In all the names, a ~ at the start becomes the user's folder.
    """
    if options.every is not None and not 0 <= options.every < math.inf:
        raise InputError(f"--every is a number of seconds, not {options.every}")
    if options.every_frame is not None:
        check_number("--every-frame", options.every_frame, 1, LIMITS["steps"][1])
    places = vars(options)
    for option in READ + WRITTEN:
        places[option] = expand(option, places[option])
    options.paintings = [expand("painting", name) for name in options.paintings]
    for picture in filter(None, (options.out, options.triptych)):
        check_ending(picture)
    if options.gif and Path(options.gif).suffix.lower() != ".gif":
        raise InputError(f"{options.gif}: end the name in .gif")
    frames = look(options.frames) if options.frames else None
    read = list(READ)
    if os.path.exists(places.get("weights", "")):  # which may be no file's name
        read += ["weights"]
    if options.recipe and look(options.recipe):  # it will not be written
        read += ["recipe"]
    names = filter(None, [*options.paintings, *map(places.get, read)])
    taken, there = {_identify(name, frames) for name in names if look(name)}, []
    for option in WRITTEN:
        file = places[option]
        if not file or option in read:
            continue
        found = look(file)
        if found and option == "frames" and not stat.S_ISDIR(found.st_mode):
            raise InputError(f"{file}: not a folder; name one for --frames")
        is_file = not found or stat.S_ISREG(found.st_mode)
        if option != "frames" and not (is_file and os.path.basename(file)):
            what = "a folder; name a file inside it"
            if os.path.basename(file) and not os.path.isdir(file):
                what = "a pipe or a device; name a file"
            raise InputError(f"{file}: this is {what}")
        identity = _identify(file, frames, ignores_case=try_to_write(file))
        if identity in taken:
            raise InputError(f"{file}: named twice; choose another name")
        taken.add(identity)
        if option == "out":
            options.may_replace = bool(found or options.yes)
        if found and option != "checkpoint":
            there += [file] if option != "frames" or os.listdir(file) else []
    if not there or options.yes:
        return
    line, answer = f"{', '.join(there)}: there already", ""
    with contextlib.suppress(AttributeError, ValueError):  # stdin closed, or no text
        if sys.stdin.isatty():
            print(f"{line}. Overwrite? [y/N] ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes"):
        raise InputError(f"{line}; choose another name or add --yes")


def expand(what: str, name: str | None) -> str | None:
    """Refuse an empty name; a ~ at its start becomes the user's folder."""
    if name == "":
        raise InputError(f"{what}: an empty name; is a shell variable not set?")
    return name and os.path.expanduser(name)


def try_to_write(file: str | os.PathLike) -> bool:
    """Write where a file would be; tell whether x and X are one name on that disk."""
    folder = Path(os.path.realpath(file))
    folder = folder if folder.is_dir() else folder.parent
    temporary = {"prefix": ".nst-", "suffix": ".part", "dir": folder}
    try:
        with tempfile.NamedTemporaryFile(**temporary) as trial:
            trial.write(b"a")
            trial.flush()
            return Path(folder, Path(trial.name).name.upper()).exists()
    except OSError as error:
        line = f"{folder}: no file can be written there: {error.strerror}"
        if not folder.is_dir():
            line = f"no folder {Path(file).parent} to write into"
        raise InputError(f"{file}: {line}") from error


def _identify(
    file: str, frames: os.stat_result | None, ignores_case: bool = False
) -> tuple[int | str, ...]:
    """Tell files apart as their disk does, links followed; a frame is its folder."""
    target = Path(os.path.realpath(file))
    name = target.name.casefold() if ignores_case else target.name
    found, folder = look(file), look(target.parent)
    inside = frames and folder and os.path.samestat(folder, frames)
    if inside and re.fullmatch(FRAME, name):
        found = frames
    if found:
        return found.st_dev, found.st_ino
    return folder.st_dev, folder.st_ino, name


def check_frames(folder: str, steps: int, every: int) -> None:
    """Refuse a folder of pictures numbered like frames that a run would leave there."""
    for number, file in _list_frames(folder):
        if number > steps or number % every or file.is_symlink():
            raise InputError(
                f"{file}: none of this run's frames; name another --frames folder"
            )


def remove_frames(folder: str, iteration: int) -> None:
    """Remove the frames that the run has not come to overwrite."""
    for number, file in _list_frames(folder):
        if number > iteration:
            file.unlink()


def _list_frames(folder: str) -> list[tuple[int, Path]]:
    """List numbers and files of the frames in a folder, which may not be there."""
    files = sorted(Path(folder).iterdir()) if os.path.isdir(folder) else []
    return [(int(f.stem), f) for f in files if re.fullmatch(FRAME, f.name)]


def deliver(
    transfer: StyleTransfer,
    alpha: Tensor | None,
    options: argparse.Namespace,
    stop: BaseException | None,
) -> None:
    """Write the picture and say where; elsewhere if it must be, which is an error.

    Alpha is the photo's, (h, w); stop is what has ended the run too early.
    """
    reason = transfer.reason
    if stop:
        reason = "interrupted" if isinstance(stop, KeyboardInterrupt) else "broken off"
        if transfer.iteration < 1:
            print(f"{reason}: nothing painted yet, none written", file=sys.stderr)
            return
        reason += ", the best so far"
    print(f"{reason}: {max(0, transfer.iteration)} iterations", file=sys.stderr)
    if alpha is not None:
        alpha = fit_mask(alpha, transfer.image)
    place = options.out
    try:
        if look(place) and not options.may_replace:
            raise InputError(f"{place}: somebody has just written it")
        save_image(transfer.image, place, alpha)
        print(place)
    except InputError as error:
        name = f"painted-{uuid.uuid4().hex[:8]}{Path(place).suffix}"
        for find_folder in (os.getcwd, tempfile.gettempdir):
            with contextlib.suppress(InputError, OSError):
                elsewhere = os.path.join(find_folder(), name)
                save_image(transfer.image, elsewhere, alpha)
                break
        else:
            raise
        print(elsewhere)
        raise InputError(f"{error}; the picture is {elsewhere}") from error
