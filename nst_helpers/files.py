"""What every module needs to fail politely: one error, and files written whole."""

import contextlib
import os
import time
import uuid
from pathlib import Path

STRAY = 600.0  # seconds: no file takes that long to write


class InputError(ValueError):
    """Say in one line what was wrong with what, and what to do about it."""


def write_file(path: str | os.PathLike, data: bytes) -> None:
    """Write a file whole or not at all.

    The bytes go to a neighbouring temporary file that takes the name only once it is
    complete: a full disk or a pulled plug leaves the old file as it was. What a killed
    process left half written, a later write into the same folder removes.

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
