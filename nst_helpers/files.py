"""What every module needs to fail politely: one error, and files written whole."""

import os
import uuid
from pathlib import Path


class InputError(ValueError):
    """Say in one line what was wrong with what, and what to do about it."""


def write_file(path: str | os.PathLike, data: bytes) -> None:
    """Write a file whole or not at all.

    The bytes go to a neighbouring temporary file that takes the name only once it is
    complete: a full disk or a pulled plug leaves the old file as it was.

    Args:
        path: the file; its folder must exist.
        data: all of its bytes.

    Raises:
        InputError: the file cannot be written there, and why.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
