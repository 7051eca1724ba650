"""The command line: python -m nst_helpers PHOTO PAINTING -o OUT."""

import sys

import matplotlib

from .cli.options import parse
from .cli.paint import paint
from .files import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; what goes wrong is one line on stderr.

    Args:
        arguments: of the command; those it was started with if left out.

    Returns:
        The exit status: 0; 2 for bad input or too little memory; 130 after Ctrl-C.
    """
    try:
        return paint(parse(arguments))
    except KeyboardInterrupt:  # before there was a picture to save
        return 130
    except (InputError, OSError) as error:
        line = str(error)
    except (MemoryError, RuntimeError) as error:
        # torch, too, says by the latter that it could not allocate memory.
        if isinstance(error, RuntimeError) and "allocate" not in str(error):
            raise
        line = f"out of memory; choose a smaller --size ({error})"
    line = " ".join(line.splitlines())  # names of files may be any
    print(f"nst_helpers: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    matplotlib.use("Agg")  # draw without a window
    sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any
    sys.exit(main())
