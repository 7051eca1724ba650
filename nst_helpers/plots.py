"""Pictures of pictures: rows of images, loss curves, film strips, animations.

Every plot is returned as a closed figure: let it be the last line of a cell to see it.
"""

import io
import math
import os
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .files import write_file
from .images import stretch, to_array, to_bytes
from .transfer import Step

# Okabe and Ito's colours can be told apart by colour-blind eyes, the dashes in print.
LOSS_LINES = {
    "content": ("#0072B2", "-"),
    "style": ("#D55E00", "--"),
    "tv": ("#009E73", "-."),
    "total": ("#000000", ":"),
}
FRAMES = 48  # of an animation: more make it larger and no smoother
GIF_SECONDS = 6.0


def show_images(
    images: Sequence[Tensor],
    titles: Sequence[str] = (),
    height: float = 2.4,
    columns: int | None = None,
) -> Figure:
    """Show images side by side at one height, each with its title.

    Args:
        images: of (1, 3, H, W) in [0, 1], one or more, of any shapes.
        titles: one for each image, or none at all.
        height: of the pictures, in inches.
        columns: images in a row; all of them in one row if left out.

    Returns:
        The figure.

    Raises:
        ValueError: another number of titles than of images.
    """
    fig, axes = _grid([image.shape[2:] for image in images], titles, height, columns)
    for axis, image in zip(axes, images, strict=True):
        axis.imshow(to_array(image))
    return fig


def show_maps(
    maps: Sequence[Tensor],
    titles: Sequence[str] = (),
    height: float = 1.6,
    columns: int | None = None,
    over: Tensor | None = None,
) -> Figure:
    """Show maps of numbers as colours, dark for the least of each, bright for the most.

    Args:
        maps: of (H, W), one or more; each has a scale of its own.
        titles: one for each map, or none at all.
        height: of the pictures, in inches.
        columns: maps in a row; all of them in one row if left out.
        over: (1, 3, H, W) in [0, 1], a picture to lay the maps over, in grey.

    Returns:
        The figure.

    Raises:
        ValueError: another number of titles than of maps.
    """
    shapes = [m.shape if over is None else over.shape[2:] for m in maps]
    fig, axes = _grid(shapes, titles, height, columns)
    for axis, values, (h, w) in zip(axes, maps, shapes, strict=True):
        values = values.detach().cpu().numpy()
        if over is None:
            axis.imshow(values, cmap="magma", interpolation="nearest")
            continue
        axis.imshow(to_array(over).mean(axis=2), cmap="gray", vmin=0, vmax=1)
        # Where the map is low, the picture shows through.
        alpha = np.clip(values / max(values.max(), 1e-12), 0, 1) ** 0.5 * 0.85
        whole = (-0.5, w - 0.5, h - 0.5, -0.5)
        axis.imshow(
            values, cmap="inferno", alpha=alpha, extent=whole, interpolation="bilinear"
        )
    return fig


def show_distances(
    distances: Tensor,
    images: Sequence[Tensor],
    title: str = "",
    largest: float | None = None,
) -> Figure:
    """Show the distances between images, all against all, as a table of colours.

    Args:
        distances: (N, N), 0 or more; row by row from image i to image j.
        images: N of (1, 3, H, W) in [0, 1]; they stand beside the rows and above the
            columns.
        title: of the table.
        largest: the distance shown brightest, to give several tables one scale; the
            largest of this table if left out.

    Returns:
        The figure.
    """
    count, distances = len(images), distances.detach().cpu().numpy()
    fig, axes = plt.subplots(
        count + 1, count + 1, figsize=(0.8 * count + 0.8,) * 2, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    for i, image in enumerate(images):
        for axis in (axes[0, i + 1], axes[i + 1, 0]):
            axis.imshow(to_array(image))
    table = fig.add_subplot(axes[1, 1].get_gridspec()[1:, 1:])
    largest = largest or distances.max()
    table.imshow(distances, cmap="magma", aspect="auto", vmin=0, vmax=largest)
    table.axis("off")
    for i, j in np.ndindex(count, count):
        colour = "black" if distances[i, j] > 0.55 * largest else "white"
        text = f"{distances[i, j]:.2f}"
        table.text(j, i, text, color=colour, ha="center", va="center", fontsize=9)
    fig.suptitle(title, fontsize=10)
    plt.close(fig)
    return fig


def show_triptych(photo: Tensor, painting: Tensor, result: Tensor) -> Figure:
    """Show photo | painting | result.

    Args:
        photo: (1, 3, H, W) in [0, 1].
        painting: (1, 3, H, W) in [0, 1].
        result: (1, 3, H, W) in [0, 1].

    Returns:
        The figure.
    """
    return show_images([photo, painting, result], ["photo", "painting", "result"])


def show_losses(steps: Sequence[Step]) -> Figure:
    """Plot the three relative losses and the weighted total against the iteration.

    A dotted vertical line marks where new settings bent the loss surface.

    Args:
        steps: of one run, in order.

    Returns:
        The figure.
    """
    fig, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
    iterations = [step.iteration for step in steps]
    for name, (colour, dashes) in LOSS_LINES.items():
        values = np.array([step.losses.get(name, np.nan) for step in steps])
        if np.isfinite(values).any():
            # A log scale has no place for 0, the content loss of the photo itself.
            values[values == 0] = np.nan
            label = "weighted total" if name == "total" else name
            axis.plot(iterations, values, dashes, color=colour, label=label)
    for step in steps:
        if step.restarted:
            axis.axvline(step.iteration, color="grey", linestyle=":", linewidth=1)
    axis.set(xlabel="iteration", ylabel="loss (log scale)", yscale="log")
    axis.set_title("Losses on the way", fontsize=10)
    axis.grid(alpha=0.3)
    fig.legend(loc="outside right upper", fontsize=9)
    plt.close(fig)
    return fig


def film_strip(steps: Sequence[Step]) -> Figure:
    """Show six pictures of a run, closer together in its first half.

    Args:
        steps: of one run, in order; of fewer than six, each is shown.

    Returns:
        The figure.
    """
    few = min(6, len(steps))
    places = np.geomspace(5, len(steps) + 4, few).round().astype(int) - 5
    chosen = [steps[place] for place in np.unique(places)]
    titles = [f"iteration {step.iteration}" for step in chosen]
    return show_images([step.image for step in chosen], titles, height=1.5)


def save_gif(images: Sequence[Tensor], path: str | os.PathLike) -> None:
    """Write images as an animation that loops and rests on the last one.

    The file is written whole or not at all.

    Args:
        images: of (1, 3, H, W) in [0, 1]; all are brought to the size of the last.
        path: the file to write.

    Raises:
        InputError: the file cannot be written.
    """
    write_file(path, encode_gif(images))


def encode_gif(images: Sequence[Tensor]) -> bytes:
    """Encode images as the content of an animated GIF.

    Args:
        images: of (1, 3, H, W) in [0, 1]; all are brought to the size of the last.

    Returns:
        The content; all but the last picture take GIF_SECONDS together.
    """
    shape = images[-1].shape[2:]
    frames = [Image.fromarray(to_bytes(stretch(x, *shape))) for x in images]
    # Browsers slow down frames shorter than 20 ms.
    each = max(20, round(1000 * GIF_SECONDS / max(1, len(frames) - 1)))
    encoded = io.BytesIO()
    frames[0].save(
        encoded,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[each] * (len(frames) - 1) + [2000],
        loop=0,
    )
    return encoded.getvalue()


def _grid(
    shapes: Sequence[tuple[int, int]],
    titles: Sequence[str],
    height: float,
    columns: int | None,
) -> tuple[Figure, list[Axes]]:
    """Lay out frames of the shapes (H, W), row by row, without axes, with titles."""
    columns = min(columns or len(shapes), len(shapes))
    rows = math.ceil(len(shapes) / columns)
    widths = [w / h for h, w in shapes[:columns]]
    fig, axes = plt.subplots(
        rows,
        columns,
        figsize=(height * sum(widths), (height + (0.4 if titles else 0.1)) * rows),
        width_ratios=widths,
        layout="constrained",
        squeeze=False,
    )
    for axis in axes.flat:
        axis.axis("off")
    axes = list(axes.flat)[: len(shapes)]
    for axis, title in zip(axes, titles or [""] * len(shapes), strict=True):
        axis.set_title(title, fontsize=10)
    plt.close(fig)
    return fig, axes
