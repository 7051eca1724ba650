"""The sheet: what is in its fields, and how it is drawn."""

import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..files import InputError
from ..plots import FONT, WIDEST, show_images
from ..settings import Settings


@dataclass(frozen=True, eq=False)
class Cell:
    """Hold one picture of a sheet, or the line that says why there is none.

    Args:
        place: among all of the sheet, from 0.
        photo, painting, recipe: names; that of a recipe may be "".
        settings: it is painted with.
        image: (1, 3, H, W) in [0, 1], of 256 levels; or None, with an error.
        losses: {name: loss} before weighting, and "total", of the picture.
        seconds: of the job, with all that it prepares.
        kept: it was not painted but found in the folder.
    """

    place: int
    photo: str
    painting: str
    recipe: str
    settings: Settings
    image: Tensor | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    kept: bool = False


def show_sheet(cells: Iterable[Cell], alt: str = "") -> Figure:
    """Draw a sheet, its rows and columns named by what differs.

    Args:
        cells: of contact_sheet, in any order. What was not painted is a grey field with
            the reason. If they fill no table, each has its own title.
        alt: as in show_images.

    Returns:
        The figure.

    Raises:
        InputError: no cells.
    """
    cells = sorted(cells, key=lambda cell: cell.place)
    if not cells:
        raise InputError("no pictures for a sheet; give one, or more")
    facts = [_describe(cell) for cell in cells]
    varied = [key for key in facts[0] if len({fact[key] for fact in facts}) > 1]
    cut = sum(key in ("photo", "painting") for key in varied)  # rows are of pictures
    cut = cut if 0 < cut < len(varied) else len(varied) - 1
    parts = varied[:cut], varied[cut:]
    names = [tuple(", ".join(map(f.get, part)) for part in parts) for f in facts]
    rows, columns = (list(dict.fromkeys(x)) for x in zip(*names, strict=True))
    table = list(product(rows, columns))
    is_table = len(rows) > 1 and sorted(table) == sorted(names)
    if is_table:
        cells = list(map(dict(zip(names, cells, strict=True)).get, table))
        count, titles = len(columns), columns
    else:
        count = len(cells) if len(cells) < 7 else math.ceil(len(cells) ** 0.5)
        rows, titles = [], [", ".join(filter(None, name)) for name in names]
    shape = next((c.image.shape for c in cells if c.image is not None), (1, 3, 64, 64))
    images = [torch.full(shape, 0.6) if c.image is None else c.image for c in cells]
    inches = min(2.4 * shape[3] / shape[2], WIDEST / count)
    titles = [_wrap(title, inches) for title in titles]
    fig = show_images(images, () if is_table else titles, 2.4, count, alt)
    look = {"ha": "center", "va": "center", "fontsize": FONT}
    above = titles + [""] * len(cells)
    for axis, title, cell in zip(fig.axes, above, cells, strict=False):
        axis.set_title(title, fontsize=FONT)
        line = _wrap(cell.error, inches, max(2, int(4 * inches)))
        axis.text(0.5, 0.5, line, transform=axis.transAxes, **look)
    look |= {"ha": "right", "ma": "center", "rotation": 90}
    for axis, row in zip(fig.axes[::count], rows, strict=False):
        label = _wrap(row, inches * shape[2] / shape[3])
        axis.text(-0.05, 0.5, label, transform=axis.transAxes, **look)
    return fig


def _describe(cell: Cell) -> dict[str, str]:
    """Tell all that may differ between cells, in words."""
    told = {"photo": cell.photo, "painting": cell.painting, "recipe": cell.recipe}
    told = {key: name.replace("_", " ") for key, name in told.items()}
    for name, value in vars(cell.settings).items() if not cell.recipe else ():
        if isinstance(value, Mapping):
            equal = len(set(value.values())) == 1
            value = " + ".join(n if equal else f"{w:g} {n}" for n, w in value.items())
        value = f"{value:g}" if isinstance(value, float) else value
        told[name] = f"{name.replace('_', ' ')} {value}"
    return told


def _wrap(text: str, inches: float, most: int | None = None) -> str:
    """Break a text into lines of a width, as many as there is room for."""
    # Of names of files: what is no text, and no formula.
    text = text.encode("utf-8", "replace").decode()
    lines = textwrap.wrap(text, max(6, int(inches * 9)))[:most]
    return "\n".join(lines).replace("$", r"\$")
