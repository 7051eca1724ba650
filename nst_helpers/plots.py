"""Pictures of pictures: rows of images, loss curves, film strips, animations.

Every plot is returned as a closed figure: let it be the last line of a cell to see it.
"""

import io
import os
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .files import write_file
from .images import to_array, to_bytes
from .transfer import Step

# Okabe and Ito's colours can be told apart by colour-blind eyes, the dashes in print.
LOSS_LINES = {
    "content": ("#0072B2", "-"),
    "style": ("#D55E00", "--"),
    "tv": ("#009E73", "-."),
    "total": ("#000000", ":"),
}


def show_images(
    images: Sequence[Tensor], titles: Sequence[str] = (), height: float = 2.4
) -> Figure:
    """Show images side by side at one height, each with its title.

    Args:
        images: of (1, 3, H, W) in [0, 1], one or more, of any shapes.
        titles: one for each image, or none at all.
        height: of the pictures, in inches.

    Returns:
        The figure.
    """
    widths = [image.shape[3] / image.shape[2] for image in images]
    fig, axes = plt.subplots(
        1,
        len(images),
        figsize=(height * sum(widths), height + 0.4),
        width_ratios=widths,
        layout="constrained",
        squeeze=False,
    )
    titles = titles or [""] * len(images)
    for axis, image, title in zip(axes[0], images, titles, strict=True):
        axis.imshow(to_array(image))
        axis.set_title(title, fontsize=10)
        axis.axis("off")
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


def film_strip(steps: Sequence[Step], count: int = 6) -> Figure:
    """Show a few pictures of a run, closer together in its first half.

    Args:
        steps: of one run, in order.
        count: how many pictures at most, 2 or more.

    Returns:
        The figure.
    """
    few = min(count, len(steps))
    places = np.geomspace(5, len(steps) + 4, few).round().astype(int) - 5
    chosen = [steps[place] for place in np.unique(places)]
    titles = [f"iteration {step.iteration}" for step in chosen]
    return show_images([step.image for step in chosen], titles, height=1.5)


def save_gif(
    images: Sequence[Tensor], path: str | os.PathLike, seconds: float = 6.0
) -> None:
    """Write images as an animation that loops and rests on the last one.

    The file is written whole or not at all.

    Args:
        images: of (1, 3, H, W) in [0, 1], all of one shape.
        path: the file to write.
        seconds: how long all but the last picture take together.

    Raises:
        InputError: the file cannot be written.
    """
    frames = [Image.fromarray(to_bytes(image)) for image in images]
    # Browsers slow down frames shorter than 20 ms.
    each = max(20, round(1000 * seconds / max(1, len(frames) - 1)))
    encoded = io.BytesIO()
    frames[0].save(
        encoded,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[each] * (len(frames) - 1) + [2000],
        loop=0,
    )
    write_file(path, encoded.getvalue())
