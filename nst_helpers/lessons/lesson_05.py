"""Lesson 5: total variation, squared and isotropic."""

from collections.abc import Callable

from torch import Tensor

from ..losses import total_variation
from .hints import call, check, compare, draw


@check
def check_total_variation(roughness: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 5's total variation: mean (Δ down)² + mean (Δ right)².

    Args:
        roughness: (1, 3, H, W) to one number.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x = draw(1, 3, 5, 7)
    down, right = x[:, :, 1:] - x[:, :, :-1], x[..., 1:] - x[..., :-1]
    around = [x.roll(-1, axis) - x for axis in (2, 3)]
    vertical, horizontal = down.square().mean(), right.square().mean()
    mistakes = {
        "Only neighbours above each other are compared: add those side by "
        "side.": vertical,
        "Only neighbours side by side are compared: add those above each "
        "other.": horizontal,
        "You took absolute values: we take squares here.": down.abs().mean()
        + right.abs().mean(),
        "Without squares plus and minus cancel out.": down.mean() + right.mean(),
        "You summed: take means, or a larger picture has a larger total "
        "variation.": down.square().sum() + right.square().sum(),
        "Add the two means, do not average them.": (vertical + horizontal) / 2,
        "The last row or column is compared with the first: cut off instead.": sum(
            d.square().mean() for d in around
        ),
        "You compare colour channels with each other: rows are dimension 2, columns "
        "dimension 3.": (x[:, 1:] - x[:, :-1]).square().mean() + vertical,
    }
    compare(call(roughness, x), total_variation(x), mistakes)
    return "nst_helpers.losses.total_variation gives the same."


@check
def check_isotropic(isotropic: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 5's isotropic form: mean √((Δ down)² + (Δ right)²).

    Args:
        isotropic: (1, 3, H, W) to one number.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x = draw(1, 3, 5, 7)
    down = (x[:, :, 1:] - x[:, :, :-1])[..., :-1]
    right = (x[..., 1:] - x[..., :-1])[:, :, :-1]
    squares = down.square() + right.square()
    mistakes = {
        "The root is missing: that is the squared form.": squares.mean(),
        "One root of the mean: take the root at each pixel, then the "
        "mean.": squares.mean().sqrt(),
        "That is |down| + |right|, the form that sees corners: square, add, then take "
        "the root.": (down.abs() + right.abs()).mean(),
        "You summed over the pixels: take the mean.": squares.sqrt().sum(),
    }
    compare(call(isotropic, x), squares.sqrt().mean(), mistakes)
    return "An edge costs the same at every angle (almost: pixels are square)."
