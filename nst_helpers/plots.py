"""Pictures of pictures: rows of images, loss curves, film strips, animations.

A notebook shows each figure once, whether a cell ends in it or not; a script shows them
with plt.show().
"""

import io
import math
import os
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from PIL import Image
from torch import Tensor

from .files import InputError, write_file
from .images import Picture, as_image
from .pixels import stretch, to_array, to_bytes
from .step import Step

# Okabe and Ito's colours can be told apart by colour-blind eyes, the dashes in print.
LOSS_LINES = {
    "content": ("#0072B2", "-"),
    "style": ("#D55E00", "--"),
    "tv": ("#009E73", "-."),
    "total": ("#000000", ":"),
}
OTHER_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9")  # of losses that others made
FONT = 11  # points, at 100 dots per inch: about 15 pixels
WIDEST = 8.8  # inches: JupyterLab shrinks what is wider, on 1280 pixels, letters too
FRAMES = 48  # of an animation: more make it larger and no smoother
GIF_SECONDS = 6.0


class _Figure(Figure):
    """Be shown once by a notebook, which shows what a cell returns and what is open."""

    alt = ""  # what can be seen, for those who cannot see it

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        plt.close(self)  # it is being shown
        kinds = ("image/png", "image/jpeg") if self.alt else ()
        # Beside the picture that any figure becomes.
        return {}, {kind: {"alt": self.alt} for kind in kinds}


def show_images(
    images: Sequence[Picture] | Picture,
    titles: Sequence[str] = (),
    height: float = 2.4,
    columns: int | None = None,
    alt: str = "",
) -> Figure:
    """Show images side by side at one height, each with its title.

    Args:
        images: whatever load_image takes, one or more, of any shapes; or one of them.
        titles: one for each image, or none at all.
        height: of the pictures, in inches; less where a row would be too wide.
        columns: images in a row; all of them in one row if left out.
        alt: what can be seen, for those who cannot; so in all show_*.

    Returns:
        The figure.

    Raises:
        ValueError: another number of titles than of images.
        InputError: no images, or what is no picture.
    """
    images = images if isinstance(images, list | tuple) else [images]
    images = [_as_shown(image) for image in images]
    shapes = [image.shape[2:] for image in images]
    fig, axes = _grid(shapes, titles, height, columns, alt)
    for axis, image in zip(axes, images, strict=True):
        axis.imshow(to_array(image))
    return fig


def show_maps(
    maps: Sequence[Tensor],
    titles: Sequence[str] = (),
    height: float = 1.6,
    columns: int | None = None,
    over: Picture | None = None,
    alt: str = "",
) -> Figure:
    """Show maps of numbers as colours, dark for the least of each, bright for the most.

    Args:
        maps: of (H, W), one or more; each has a scale of its own.
        titles: one for each map, or none at all.
        height: as in show_images.
        columns: maps in a row; all of them in one row if left out.
        over: a picture to lay the maps over, in grey.
        alt: as in show_images.

    Returns:
        The figure.

    Raises:
        ValueError: another number of titles than of maps.
    """
    over = None if over is None else _as_shown(over)
    shapes = [m.shape if over is None else over.shape[2:] for m in maps]
    fig, axes = _grid(shapes, titles, height, columns, alt)
    for axis, values, (h, w) in zip(axes, maps, shapes, strict=True):
        values = values.detach().cpu().numpy()
        look = {"cmap": "magma", "interpolation": "nearest"}
        if over is not None:
            axis.imshow(to_array(over).mean(axis=2), cmap="gray", vmin=0, vmax=1)
            # Where the map is low, the picture shows through.
            alpha = np.clip(values / max(values.max(), 1e-12), 0, 1) ** 0.5 * 0.85
            look = {"cmap": "inferno", "interpolation": "bilinear", "alpha": alpha}
        axis.imshow(values, extent=(-0.5, w - 0.5, h - 0.5, -0.5), **look)
    return fig


def show_distances(
    distances: Tensor,
    images: Sequence[Picture],
    title: str = "",
    largest: float | None = None,
    alt: str = "",
) -> Figure:
    """Show the distances between images, all against all, as a table of colours.

    Args:
        distances: (N, N), 0 or more; row by row from image i to image j.
        images: N pictures, to stand beside the rows and columns.
        title: of the table.
        largest: the distance shown brightest; the table's own largest if left out.
        alt: as in show_images.

    Returns:
        The figure.
    """
    count, distances = len(images), distances.detach().cpu().numpy()
    fig, axes = _grid([(1, 1)] * (count + 1) ** 2, (), 0.8, count + 1, alt)
    for i, image in enumerate(images, start=1):
        for axis in (axes[i], axes[i * (count + 1)]):
            axis.imshow(to_array(_as_shown(image)))
    table = fig.add_subplot(axes[0].get_gridspec()[1:, 1:])
    largest = largest or distances.max()
    table.imshow(distances, cmap="magma", aspect="auto", vmin=0, vmax=largest)
    table.axis("off")
    for (i, j), distance in np.ndenumerate(distances):
        colour = "black" if distance > 0.55 * largest else "white"
        look = {"color": colour, "ha": "center", "va": "center", "fontsize": FONT}
        table.text(j, i, f"{distance:.2f}", **look)
    fig.suptitle(title, fontsize=FONT)
    return fig


def show_triptych(
    photo: Picture, painting: Picture, result: Picture, alt: str = ""
) -> Figure:
    """Show photo | painting | result.

    Args:
        photo: whatever load_image takes.
        painting: likewise.
        result: likewise.
        alt: as in show_images.

    Returns:
        The figure.
    """
    titles = ["photo", "painting", "result"]
    return show_images([photo, painting, result], titles, alt=alt)


def show_losses(
    steps: Sequence[Step], ax: Axes | None = None, alt: str = ""
) -> Figure | None:
    """Plot the losses and their weighted total against the iteration.

    A dotted vertical line marks where something bent the loss surface. The term that
    keeps pixels in [0, 1] is left out: it is no relative loss, and hardly ever counts.

    Args:
        steps: of one run, in order.
        ax: to plot into; axes of a figure of its own if left out.
        alt: as in show_images; of a figure of its own.

    Returns:
        The figure of its own, if it is one.
    """
    fig = None
    if ax is None:
        fig = plt.figure(figsize=(8, 3.2), layout="constrained", FigureClass=_Figure)
        fig.alt = alt
        ax = fig.add_subplot()
    lines = dict(LOSS_LINES)
    others = {name for step in steps for name in step.losses} - lines.keys() - {"range"}
    for k, name in enumerate(sorted(others)):
        lines[name] = OTHER_COLOURS[k % 3], (0, (2 * k + 1, 1))
    for name, (colour, dashes) in lines.items():
        values = np.array([step.losses.get(name, np.nan) for step in steps])
        # A log scale has no place for 0, the content loss of the photo itself.
        values[values == 0] = np.nan
        if np.isfinite(values).any():
            label = {"total": "weighted total", "tv": "total variation"}.get(name, name)
            iterations = [step.iteration for step in steps]
            ax.plot(iterations, values, ls=dashes, color=colour, label=label)
    for step in steps:
        if step.restarted:
            ax.axvline(step.iteration, color="grey", linestyle=":", linewidth=1)
    ax.set(xlabel="iteration", ylabel="loss (log scale)", yscale="log")
    ax.yaxis.set_major_formatter("{x:g}")  # 0.01: exponents would be small
    ax.yaxis.set_minor_formatter(LogFormatter())
    ax.tick_params(which="both", labelsize=FONT)
    ax.set_title("Losses on the way")
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
        text.set_size(FONT)
    ax.grid(alpha=0.3)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=FONT)
    return fig


def film_strip(steps: Sequence[Step], alt: str = "") -> Figure:
    """Show six pictures of a run in two rows, closer together in its first half.

    Args:
        steps: of one run, in order; of fewer than six, each is shown.
        alt: as in show_images.

    Returns:
        The figure.
    """
    few = min(6, len(steps))
    places = np.geomspace(5, len(steps) + 4, few).round().astype(int) - 5
    chosen = [steps[place] for place in np.unique(places)]
    titles = [f"iteration {step.iteration}" for step in chosen]
    return show_images([step.image for step in chosen], titles, 1.8, 3, alt)


def save_gif(images: Sequence[Picture], path: str | os.PathLike) -> None:
    """Write images as an animation that loops and rests on the last one.

    Args:
        images: whatever load_image takes; all are brought to the size of the last.
        path: the file to write, whole or not at all.

    Raises:
        InputError: no images, or the file cannot be written.
    """
    write_file(path, encode_gif(images))


def encode_gif(images: Sequence[Picture]) -> bytes:
    """Encode images as the content of an animated GIF, as save_gif writes it."""
    images = [_as_shown(image) for image in images]
    if not images:
        raise InputError("no pictures to animate; give one, or more")
    shape = images[-1].shape[2:]
    first, *rest = [Image.fromarray(to_bytes(stretch(x, *shape))) for x in images]
    # Browsers slow down frames shorter than 20 ms.
    each = max(20, round(1000 * GIF_SECONDS / max(1, len(rest))))
    film = {"append_images": rest, "duration": [each] * len(rest) + [2000]}
    encoded = io.BytesIO()
    first.save(encoded, "GIF", save_all=True, loop=0, **film)
    return encoded.getvalue()


def _as_shown(image: Picture) -> Tensor:
    """Read a picture; what of a tensor lies outside [0, 1] is cut off."""
    return as_image(image.clamp(0, 1) if isinstance(image, Tensor) else image, "image")


def _grid(
    shapes: Sequence[tuple[int, int]],
    titles: Sequence[str],
    height: float,
    columns: int | None,
    alt: str,
) -> tuple[Figure, list[Axes]]:
    """Lay out frames of the shapes (H, W), row by row, without axes, with titles."""
    if not shapes:
        raise InputError("no pictures to show; give one, or more")
    columns = min(columns or len(shapes), len(shapes))
    rows = math.ceil(len(shapes) / columns)
    widths = [w / h for h, w in shapes[:columns]]
    height = min(height, WIDEST / sum(widths))
    lines = max((title.count("\n") + 2 for title in titles), default=0.5)
    size = height * sum(widths), (height + 0.2 * lines) * rows
    fig = plt.figure(figsize=size, layout="constrained", FigureClass=_Figure)
    fig.alt = alt
    axes = list(fig.subplots(rows, columns, squeeze=False, width_ratios=widths).flat)
    for axis in axes:
        axis.axis("off")
    axes = axes[: len(shapes)]
    for axis, title in zip(axes, titles or [""] * len(shapes), strict=True):
        axis.set_title(title, fontsize=FONT)
    return fig, axes
