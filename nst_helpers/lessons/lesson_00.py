"""Lesson 0: the first lines that paint, and an array as an image tensor."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..pixels import to_tensor
from ..run import stylize
from ..settings import Settings
from ..transfer import StyleTransfer
from .hints import Hint, call, check, compare, draw

SIZE = 48  # pixels, so that a check takes about a second


@check
def check_paint_bold(paint_bold: Callable[[Tensor, Tensor, int], Tensor]) -> str:
    """Check lesson 0's three lines: paint in 10 steps with a style weight of 1000.

    Args:
        paint_bold: photo and painting, (1, 3, H, W) in [0, 1], and the size, to the
            picture.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    photo, painting = draw(1, 3, 32, SIZE), draw(1, 3, 40, 40, seed=1)
    answer = call(paint_bold, photo, painting, SIZE)
    if isinstance(answer, Settings):
        raise Hint("These are the settings only: hand them to stylize, with the rest.")
    if isinstance(answer, StyleTransfer | list):
        raise Hint("That is a whole run: stylize gives its last picture.")
    if not isinstance(answer, Tensor) or answer.shape[:2] != (1, 3):
        raise Hint("It gives no picture: return what stylize gives you.")
    height, width = answer.shape[2:]
    if height == width:
        raise Hint("Photo and painting are swapped: the photo comes first.")
    if (height, width) != (32, SIZE):
        line = f"The picture is {width} pixels wide, not {SIZE}: hand size to Settings."
        raise Hint(line)
    if torch.equal(answer, photo):
        raise Hint("That is the photo as it was: return what stylize gives you.")

    def paint(**settings: float) -> Tensor:
        return stylize(photo, painting, Settings(size=SIZE, **settings))

    right = paint(style_weight=1000.0, steps=10)
    if torch.allclose(answer, right, atol=1e-4):
        return "You have painted: three lines are the whole program."
    mistakes = {
        "The style weight is still 100, as it comes: give style_weight=1000.": paint(
            steps=10
        ),
        "The content got the 1000: say style_weight=1000, by its name.": paint(
            content_weight=1000.0, steps=10
        ),
    }
    for hint, mistake in mistakes.items():
        if torch.allclose(answer, mistake, atol=1e-4):
            raise Hint(hint)
    raise Hint(
        "It paints, but another picture: are the steps 10, and are only style_weight, "
        "size and steps given?"
    )


@check
def check_to_image(to_image: Callable[[np.ndarray], Tensor]) -> str:
    """Check lesson 0's conversion: (H, W, 3), 0 to 255, to (1, 3, H, W), 0 to 1.

    Args:
        to_image: a NumPy array of bytes to an image tensor.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    array = (draw(4, 6, 3) * 255).byte().numpy()
    pixels = torch.from_numpy(array.astype(np.float32))
    right = to_tensor(array.astype(np.float32) / 255)
    answer = call(to_image, array)
    if isinstance(answer, np.ndarray):
        raise Hint(
            "That is still a NumPy array: torch.from_numpy makes a tensor of it."
        )
    mistakes = {
        "The numbers still go up to 255: divide them by 255.": 255 * right,
        "Divide by 255, not by 256: white is 1.": 255 / 256 * right,
        "The batch dimension is missing: [None] puts a 1 in front.": right[0],
        "The colours come last: permute moves them in front of H and W.": (
            pixels[None] / 255
        ),
        "The shape is right, but the pixels are jumbled: reshape only counts off "
        "anew, permute turns the axes.": pixels.reshape(right.shape) / 255,
        "Height and width are exchanged.": right.transpose(2, 3),
        "Red and blue are exchanged: the order of the colours stays.": right.flip(1),
        "Everything is 0 or 1: divide after .float(), not before.": right.floor(),
    }
    compare(answer, right, mistakes)
    if answer.dtype != torch.float32:
        raise Hint(
            f"The numbers are right, their type is {answer.dtype}: say .float()."
        )
    return "load_image ends with the same three moves."
