"""What is around a run: streams that may be gone, signals that may end it."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn, TextIO


class Stream:
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
            with contextlib.suppress(AttributeError, OSError, ValueError):
                # Or Python would try again when it ends, and complain.
                os.dup2(nowhere.fileno(), self._stream.fileno())
            self._stream = nowhere

    def flush(self) -> None:
        """Do nothing: all is written at once."""


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let nobody press Ctrl-C, or say SIGTERM, while what is painted is written."""
    with contextlib.ExitStack() as afterwards:
        for name in {"SIGINT", "SIGTERM", "SIGHUP"} & vars(signal).keys():
            number = getattr(signal, name)
            with contextlib.suppress(ValueError):  # only the main thread may
                old = signal.signal(number, signal.SIG_IGN)
                afterwards.callback(signal.signal, number, old)
        yield


@contextlib.contextmanager
def ending_signals() -> Iterator[None]:
    """Let SIGTERM (docker stop, a time limit) and SIGHUP do what Ctrl-C does."""

    def interrupt(number: int, _: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(128 + number)  # the exit status that shells give it

    with contextlib.ExitStack() as afterwards:
        for name in {"SIGTERM", "SIGHUP"} & vars(signal).keys():  # not all on Windows
            number = getattr(signal, name)
            if signal.getsignal(number) != signal.SIG_DFL:
                continue  # what nohup, say, has arranged stays
            with contextlib.suppress(ValueError):  # only the main thread may
                old = signal.signal(number, interrupt)
                afterwards.callback(signal.signal, number, old)
        yield
