"""The command line: python -m nst_helpers PHOTO PAINTING -o OUT."""

import sys
from contextlib import redirect_stderr, redirect_stdout, suppress

import matplotlib

from .cli.options import parse
from .cli.paint import paint
from .cli.process import Stream, ending_signals
from .files import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; what goes wrong is one line on stderr.

    Args:
        arguments: of the command; those it was started with if left out.

    Returns:
        The exit status: 0; 2 for bad input or too little memory; 130 after Ctrl-C; 143
        after SIGTERM, 129 after SIGHUP.
    """
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err), ending_signals():
        try:
            paint(parse(arguments))
            return 0
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


if __name__ == "__main__":
    backend = matplotlib.get_backend(auto_select=False)
    matplotlib.use("Agg")  # draw without a window
    try:
        sys.exit(main())
    finally:
        with suppress(ImportError):  # a notebook wants to go on showing figures
            matplotlib.use(backend or "Agg")
