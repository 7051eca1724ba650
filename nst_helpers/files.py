"""What every module needs to fail politely: one error, numbers checked, whole files."""

import contextlib
import os
import time
import uuid
from numbers import Integral, Real
from pathlib import Path
from typing import Any

STRAY = 600.0  # seconds: no file takes that long to write


class InputError(ValueError):
    """Say in one line what was wrong with what, and what to do about it."""


def check_number(name: str, value: float, low: float, high: float) -> int | float:
    """Return a number, NumPy's too, as Python's; a whole one, if low is an int.

    What is none, or lies not from low to high, is refused.
    """
    whole = isinstance(low, int)
    is_number = isinstance(value, Integral if whole else Real)
    if isinstance(value, bool) or not is_number or not low <= value <= high:
        limits = f"a{' whole' * whole} number from {low:,} to {high:,}"
        raise InputError(f"{name} is {limits}, not {tell(value)}")
    return int(value) if whole or isinstance(value, int) else float(value)


def tell(value: Any) -> str:
    """Write any value for an error: on one line, and not at length."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # over 4300 digits, or nested too deeply
        text = f"this {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + " ..."


def look(path: str | os.PathLike) -> os.stat_result | None:
    """Return what the disk knows of a file, links followed; None if it is not there.

    An InputError says why none can bear the name: a file in it stands for a folder,
    links lead in a circle, it is too long, or holds what no name may hold.
    """
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: {reason}; choose another name") from error


def write_file(path: str | os.PathLike, data: bytes) -> None:
    """Write all bytes of a file, or leave it as it was; its folder must exist.

    The bytes go to a temporary file beside it that takes its name once it is complete.
    What a killed process left of one, a later write into the same folder removes. A
    link stays one: the file that it leads to is written. An InputError says why it
    cannot be written.
    """
    look(path)  # refuses impossible names
    temporary = f".nst-{uuid.uuid4().hex}.part"
    try:
        target = Path(os.path.realpath(path))
        temporary = target.with_name(temporary)
        for stray in target.parent.glob(".nst-*.part"):
            with contextlib.suppress(OSError):  # somebody else's, or gone already
                if time.time() - stray.stat().st_mtime > STRAY:
                    stray.unlink()
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):  # mostly gone; where not, that was said
            os.unlink(temporary)
