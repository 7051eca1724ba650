"""The command line: python -m nst_helpers PHOTO... PAINTING -o OUT."""

import sys
from contextlib import suppress

import matplotlib

from .cli.options import parse
from .cli.process import report
from .cli.sheets import paint_photos


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; what goes wrong is one line on stderr.

    Args:
        arguments: of the command; those it was started with if left out.

    Returns:
        The exit status, as report says.
    """
    return report(lambda: paint_photos(parse(arguments)))


if __name__ == "__main__":
    backend = matplotlib.get_backend(auto_select=False)
    matplotlib.use("Agg")  # draw without a window
    try:
        sys.exit(main())
    finally:
        with suppress(ImportError):  # a notebook wants to go on showing figures
            matplotlib.use(backend or "Agg")
