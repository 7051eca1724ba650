"""The command line of contact sheets: python -m nst_helpers.sheet PHOTO... -o OUT."""

import sys

import matplotlib

from ..cli.process import report
from ..cli.sheets import paint_sheet

if __name__ == "__main__":
    matplotlib.use("Agg")  # draw without a window
    sys.exit(report(paint_sheet))
