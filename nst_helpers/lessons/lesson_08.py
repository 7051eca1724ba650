"""Lesson 8: the photo's colours, the Gram matrix of a region, matched brightness."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, interpolate

from ..losses import gram_matrix
from ..pixels import fit_mask
from .hints import Hint, call, check, compare, draw


@check
def check_colours_back(colours_back: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check lesson 8's recolouring: x = photo + Y(picture) − Y(photo).

    Args:
        colours_back: a picture and a photo, (1, 3, H, W) each, to (1, 3, H, W).

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    # Middling numbers, so that it does not matter who clamps.
    picture, photo = 0.4 + 0.2 * draw(1, 3, 4, 5), 0.4 + 0.2 * draw(1, 3, 4, 5, seed=1)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    theirs, its = ((weights * x).sum(1, keepdim=True) for x in (picture, photo))
    mistakes = {
        "That has the picture's colours and the photo's brightness: the other way "
        "round.": picture + its - theirs,
        "The photo's own brightness is still in it: subtract it.": photo + theirs,
        "The signs of the two luminances are exchanged.": photo - theirs + its,
        "The photo is missing: that is only how much lighter the picture is.": (
            theirs - its
        ),
        "That is grey: the luminance has no colour, add it to what has.": theirs,
        "That is grey: the luminance has no colour; add what has.": (
            theirs.expand(-1, 3, -1, -1)
        ),
        "You scaled the photo by the ratio of the luminances: the formula adds their "
        "difference.": photo * theirs / its,
        "That is the plain mean of red, green and blue: luminance weighs them.": photo
        + (picture - photo).mean(1, keepdim=True),
        "The picture brings its colours with it: take its luminance only.": photo
        + picture
        - its,
        "That is the photo, as it was.": photo,
        "That is the picture, as it was.": picture,
    }
    compare(
        call(colours_back, picture, photo),
        photo + theirs - its,
        mistakes,
    )
    return "nst_helpers.color.recolour does the same, and cuts off to [0, 1]."


@check
def check_guided_gram(guided_gram: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check lesson 8's guided Gram matrix: G = F diag(m) Fᵀ / Σ m.

    Args:
        guided_gram: features (1, C, H, W) and a mask of the picture's size, to (C, C).

    Returns:
        One sentence; it begins with "Right" if it is.

    Source: Gatys et al. 2017, equation 7.
    """
    f, mask = draw(1, 3, 5, 4), draw(10, 12, seed=1) ** 2
    mask[:4, :6] = 0  # four positions of the layer do not count at all
    try:
        answer = call(guided_gram, f, mask)
    except Hint:
        call(guided_gram, f, fit_mask(mask, f))  # stops here too? Then that is wrong
        raise Hint(
            "Your function only works if the mask has the size of the layer. This one "
            "has the size of the picture: bring it to the height and width of the "
            "features first."
        ) from None
    compare(answer, gram_matrix(f, fit_mask(mask, f)), _masked_wrongly(f, mask))
    hint = (
        "It is right where the picture's sides are multiples of the layer's, but 7 × 9 "
        "pixels on a layer of 5 × 4 go wrong: let PyTorch shrink the mask, by area."
    )
    mask = draw(7, 9, seed=2)
    right = gram_matrix(f, fit_mask(mask, f))
    try:
        compare(call(guided_gram, f, mask), right, {})
    except Hint:
        raise Hint(hint) from None
    return "nst_helpers.StyleLoss does the same at every layer."


def _masked_wrongly(f: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Collect the answers of likely mistakes, {hint: (C, C) or another shape}."""
    m = fit_mask(mask, f)
    flat = f[0].flatten(1)

    def total(m: Tensor) -> Tensor:
        return flat * m.flatten() @ flat.T

    def brought(mode: str) -> Tensor:
        return interpolate(mask[None, None], f.shape[2:], mode=mode)[0, 0]

    squared = total(m * m)
    largest = adaptive_max_pool2d(mask[None, None], f.shape[2:])[0, 0]
    cut = mask[: f.shape[2], : f.shape[3]]
    others = {
        "Your mask takes one pixel where the layer has one number, and skips those "
        "between: average them instead, by area.": brought("nearest"),
        "Your mask is interpolated between a few pixels: at a deep layer most would be "
        "skipped. Average by area instead.": brought("bilinear"),
        "Your mask takes the largest of the pixels, so that it grows: average them, "
        "by area.": largest,
        "You cut the mask: its upper left corner is not the whole. Shrink it.": cut,
        "You cut the mask after laying it flat: shrink it while it still has rows and "
        "columns.": mask.flatten()[: m.numel()].view(m.shape),
        "That is the other region: everything but the mask.": 1 - m,
        "Your mask is upside down.": m.flipud(),
        "Your mask is mirrored, left and right.": m.fliplr(),
        "Your mask is transposed: rows of the mask belong to rows of the "
        "features.": fit_mask(mask.T, f),
        "Your mask is only 0 or 1: a position may also count in part.": (
            (m > 0.5).float()
        ),
    }
    return {
        "The mask is not applied: that is the Gram matrix of the whole "
        "layer.": gram_matrix(f),
        "You divided by H·W, the number of all positions: divide by the sum of the "
        "mask, or a small region has a small matrix.": total(m) / m.numel(),
        "You did not divide by the sum of the mask.": total(m),
        "You divided by the mean of the mask: divide by its sum.": total(m) / m.mean(),
        "You divided by the number of features, C·H·W: divide by the sum of the "
        "mask.": total(m) / f.numel(),
        "You divided by the sum of the mask as it came: take its sum at the layer's "
        "size.": total(m) / mask.sum(),
        "You divided by the number of positions in the mask: a soft mask counts some "
        "of them in part, so divide by its sum.": total(m) / (m > 0).sum(),
        "The mask is multiplied in twice: on one of the two factors is enough.": squared
        / m.sum(),
        "The mask is multiplied in twice, and its square counted below: on one factor "
        "is enough.": squared / (m * m).sum(),
        "The mask is multiplied in twice, and you divided by H·W, not by its "
        "sum.": squared / m.numel(),
        "The sum of the mask is right, but the features are not masked.": flat
        @ flat.T
        / m.sum(),
        "The matrix compares positions with positions: the channels must be the rows "
        "of F.": (flat * m.flatten()).T @ flat / m.sum(),
        "You also divided by C: divide by the sum of the mask alone.": total(m)
        / m.sum()
        / len(flat),
        **{hint: total(other) / other.sum() for hint, other in others.items()},
    }


@check
def check_brightness(match_brightness: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check lesson 8's matched brightness: σ_photo / σ (Y − μ) + μ_photo.

    Args:
        match_brightness: luminance of a painting, (1, 1, H, W), and of a photo, (1, 1,
            h, w), to (1, 1, H, W).

    Returns:
        One sentence; it begins with "Right" if it is.

    Source: Gatys et al. 2017, section 5.1.
    """
    y, like = draw(1, 1, 4, 6), 0.4 + 0.2 * draw(1, 1, 3, 8, seed=1)
    spread, mean, aim = like.std() / y.std(), y.mean(), like.mean()
    mistakes = {
        "The two standard deviations are exchanged: the photo's belongs above.": (
            y - mean
        )
        / spread
        + aim,
        "You multiply by the photo's standard deviation: divide by the painting's, "
        "too.": (y - mean) * like.std() + aim,
        "You divide by the painting's standard deviation: multiply by the photo's, "
        "too.": (y - mean) / y.std() + aim,
        "Those are variances: take their roots, the standard deviations.": (y - mean)
        * spread**2
        + aim,
        "The mean is right, but light and dark are as far apart as before.": y
        - mean
        + aim,
        "The photo's mean is missing: add it.": (y - mean) * spread,
        "The painting's own mean came back: add the photo's.": (y - mean) * spread
        + mean,
        "Subtract the painting's mean before you multiply.": y * spread + aim,
        "Subtract the painting's mean, before you multiply, not the photo's.": (y - aim)
        * spread
        + aim,
        "You multiplied the mean as well: subtract it inside the brackets.": y * spread
        - mean
        + aim,
        "You changed the photo: it is the painting that must be brought to it.": (
            like - aim
        )
        / spread
        + mean,
        "You multiplied the photo's mean as well: add it outside the brackets.": (
            y - mean + aim
        )
        * spread,
        "The two means are exchanged: subtract the painting's, add the photo's.": (
            y - aim
        )
        * spread
        + mean,
        "That is the painting, as it was.": y,
    }
    right = (y - mean) * spread + aim
    compare(call(match_brightness, y, like), right, mistakes)
    return "Now the painting is as bright as the photo, and as rich in contrast."
