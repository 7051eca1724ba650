"""The command line of films: python -m nst_helpers.film FRAMES PAINTING -o OUT."""

import sys

from ..cli.films import paint_frames
from ..cli.process import report

if __name__ == "__main__":
    sys.exit(report(paint_frames))
