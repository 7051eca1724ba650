"""What is around a run: streams that may be gone, signals that may end it."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn, TextIO

from ..files import InputError


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


def report(act: Callable[[], int | None]) -> int:
    """Act for a command line; what goes wrong is one line on stderr.

    Args:
        act: does it all, and returns an exit status if that is not 0.

    Returns:
        The exit status: 0; 2 for bad input or too little memory; 130 after Ctrl-C; 143
        after SIGTERM, 129 after SIGHUP.
    """
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with streams[0], streams[1], ending_signals():
        try:
            return act() or 0
        except KeyboardInterrupt as stop:
            return stop.args[0] if stop.args else 130
        except InputError as error:
            line = str(error)
        except OSError as error:  # of a folder that changes while it is read, say
            line = f"{error.filename or 'a file'}: {error.strerror or error}"
        except (MemoryError, RuntimeError) as error:
            # torch, too, says by the latter that it could not allocate memory.
            if isinstance(error, RuntimeError) and "allocate" not in str(error):
                raise
            line = f"out of memory; choose a smaller --size ({error})"
        line = " ".join(line.splitlines())  # names of files may be any
        print(f"nst_helpers: {line}", file=sys.stderr)
        return 2
