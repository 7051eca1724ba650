"""What is around a run: streams that may be gone, signals that may end it."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn, TextIO


class _Stream:
    """Write to a stream; what it does not take (it is closed, full) is left unsaid."""

    def __init__(self, stream: TextIO | None) -> None:
        # None is a closed one; its number shall go to no file of ours.
        self._stream = stream or open(os.devnull, "w")

    def __getattr__(self, name: str) -> Any:
        """Be like the stream in all else."""
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        """Write a text at once, with codes for letters that the stream lacks."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except UnicodeEncodeError:
            self.write(text.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError):
            nowhere = open(os.devnull, "w")
            with contextlib.suppress(OSError, ValueError):
                # Or Python would try again when it ends, and complain.
                os.dup2(nowhere.fileno(), self._stream.fileno())
            self._stream = nowhere


@contextlib.contextmanager
def forgiving_streams() -> Iterator[None]:
    """Let no stdout or stderr that is closed, full or broken end a run."""
    out, err = _Stream(sys.stdout), _Stream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


@contextlib.contextmanager
def ending_signals() -> Iterator[None]:
    """Let docker stop, a time limit or a closed terminal do what Ctrl-C does."""

    def interrupt(number: int, _: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(128 + number)  # the exit status that shells give it

    names = "SIGTERM", "SIGHUP"  # Windows lacks the latter
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What nohup or a program around this one has arranged stays.
    ours = [n for n in numbers if signal.getsignal(n) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []  # only that one may
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
