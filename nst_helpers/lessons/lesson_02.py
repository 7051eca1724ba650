"""Lesson 2: the Gram matrix and a shuffle."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from ..losses import gram_matrix
from .hints import Hint, call, check, compare, draw


@check
def check_gram(gram: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 2's Gram matrix: G = F Fᵀ / (H·W).

    Args:
        gram: (1, C, H, W) to (C, C).

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    features = draw(1, 3, 4, 5)
    flat = features[0].flatten(1)
    right = gram_matrix(features)
    mistakes = {
        "You did not divide by H·W: a larger picture would have a larger matrix.": 20
        * right,
        "You also divided by C: that makes deep layers, which have more channels, "
        "count less.": right / 3,
        "You divided by C, not by H·W.": 20 * right / 3,
        "You divided by 4, the H·W of the example: each layer has its own.": 5 * right,
        "The matrix compares positions with positions: the channels must be the "
        "rows of F.": flat.T @ flat / 20,
        "That is the sum over positions of each channel squared, one number each: use "
        "a matrix product, @, not *.": (flat * flat).sum(1) / 20,
        "You subtracted the mean: that is the covariance, the Gram matrix keeps "
        "the mean.": torch.cov(flat, correction=0),
    }
    answer = call(gram, features)
    if isinstance(answer, Tensor) and answer.shape == (3, 3):
        if not torch.allclose(answer, answer.T, rtol=1e-4):
            raise Hint(
                "Your Gram matrix is not symmetric: did you reshape the second "
                "factor instead of transposing it?"
            )
    compare(answer, right, mistakes)
    return "nst_helpers.gram_matrix gives the same."


@check
def check_shuffle_each(shuffle_each: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 2's other shuffle: every channel in an order of its own.

    Args:
        shuffle_each: (1, C, H, W) to the same shape.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    features = torch.arange(120.0).view(1, 3, 5, 8)
    shuffled = call(shuffle_each, features)
    if not isinstance(shuffled, Tensor) or shuffled.shape != features.shape:
        raise Hint("The result must be a tensor of the shape given, (1, C, H, W).")
    before, after = features[0].flatten(1), shuffled[0].flatten(1)
    if torch.equal(before, after):
        raise Hint("Nothing moved: every number is where it was.")
    if not torch.equal(before, after.sort().values):
        raise Hint("Some numbers left their channel, or appear twice, or are lost.")
    orders = after - before[:, :1]  # in each channel, 0 to 39 in its new order
    for channel, order in enumerate(orders):
        if torch.equal(order, order.sort().values):
            raise Hint(f"Channel {channel} did not move: shuffle each of them.")
    if any(torch.equal(a, b) for a, b in itertools.combinations(orders, 2)):
        raise Hint("Channels moved together: draw a new order for each of them.")
    return "Only the diagonal of the Gram matrix survives this."
