"""What every module needs to fail politely: one error, numbers checked, whole files."""

import contextlib
import os
import time
import uuid
from pathlib import Path
from typing import Any

STRAY = 600.0  # seconds: no file takes that long to write


class InputError(ValueError):
    """Say in one line what was wrong with what, and what to do about it."""


def check_number(name: str, value: float, low: float, high: float) -> None:
    """Refuse what is no number of the limits' kind between them.

    Args:
        name: of the number, for the error.
        value: the number.
        low: the smallest; if it is an int, the number must be a whole one.
        high: the largest.

    Raises:
        InputError: no such number.
    """
    whole = isinstance(low, int)
    is_number = isinstance(value, int if whole else int | float)
    if isinstance(value, bool) or not is_number or not low <= value <= high:
        limits = f"a{' whole' * whole} number from {low:,} to {high:,}"
        raise InputError(f"{name} is {limits}, not {tell(value)}")


def tell(value: Any) -> str:
    """Write a value for an error: on one line, and not at length.

    Args:
        value: anything.

    Returns:
        A line.
    """
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # over 4300 digits, or nested too deeply
        text = f"this {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + " ..."


def write_file(path: str | os.PathLike, data: bytes) -> None:
    """Write a file whole or not at all.

    The bytes go to a temporary file beside it that takes its name once it is complete.
    What a killed process left of one, a later write into the same folder removes.

    Args:
        path: the file; its folder must exist.
        data: all of its bytes.

    Raises:
        InputError: the file cannot be written there, and why.
    """
    path = Path(path)
    temporary = path.with_name(f".nst-{uuid.uuid4().hex}.part")
    try:
        for stray in path.parent.glob(".nst-*.part"):
            with contextlib.suppress(OSError):  # somebody else's, or gone already
                if time.time() - stray.stat().st_mtime > STRAY:
                    stray.unlink()
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
