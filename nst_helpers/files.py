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
    """Refuse what is no number from low to high; a whole one, if low is an int."""
    whole = isinstance(low, int)
    is_number = isinstance(value, int if whole else int | float)
    if isinstance(value, bool) or not is_number or not low <= value <= high:
        limits = f"a{' whole' * whole} number from {low:,} to {high:,}"
        raise InputError(f"{name} is {limits}, not {tell(value)}")


def tell(value: Any) -> str:
    """Write any value for an error: on one line, and not at length."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # over 4300 digits, or nested too deeply
        text = f"this {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + " ..."


def write_file(path: str | os.PathLike, data: bytes) -> None:
    """Write all bytes of a file, or leave it as it was; its folder must exist.

    The bytes go to a temporary file beside it that takes its name once it is complete.
    What a killed process left of one, a later write into the same folder removes. An
    InputError says why it cannot be written.
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
