"""Lesson 4: the style loss and a shifted Gram matrix."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..losses import gram_matrix, relative_error, style_loss
from .hints import call, check, compare, draw


@check
def check_style(style: Callable[[dict, dict, dict], Tensor]) -> str:
    """Check lesson 4's style loss: Σ w ‖G − G_painting‖² / ‖G_painting‖² / Σ w.

    Args:
        style: features by layer, the painting's Gram matrices by layer, weights by
            layer, to one number.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    weights = {"a": 3.0, "b": 1.0}
    # So square that who forgets the Gram matrix gets a number too, and the hint below.
    features = {"a": draw(1, 3, 3, 3), "b": draw(1, 4, 4, 4, seed=1)}
    painting = {"a": draw(1, 3, 4, 5, seed=2), "b": draw(1, 4, 2, 3, seed=3)}
    painting["c"] = draw(1, 2, 2, 3, seed=4)  # has no weight: does not count
    target = {name: gram_matrix(f) for name, f in painting.items()}
    grams = {name: gram_matrix(f) for name, f in features.items()}
    errors = {name: relative_error(grams[name], target[name]) for name in weights}
    raw = {name: (grams[name] - target[name]).square() for name in weights}
    mistakes = {
        "Divide by the sum of the weights: else more layers mean a larger loss.": sum(
            weights[n] * errors[n] for n in weights
        ),
        "The weights are missing: every layer counts the same.": sum(errors.values())
        / 2,
        "The weights are missing, and so is the division by their sum.": sum(
            errors.values()
        ),
        "Compare Gram matrices, not features: gram_matrix(features[name]).": sum(
            weights[n] * relative_error(features[n], target[n]) for n in weights
        )
        / 4,
        "Only the first layer counts: is return inside the loop?": 0.75 * errors["a"],
        "Only the last layer counts: do you add up in the loop?": errors["b"] / 4,
        "You divide by the number of layers, not by the sum of the weights.": sum(
            weights[n] * errors[n] for n in weights
        )
        / 2,
        "Your differences have a unit: divide each by the squared Gram matrix of the "
        "painting.": sum(weights[n] * raw[n].sum() for n in weights) / 4,
        "Your differences have a unit: divide each by the mean squared Gram matrix of "
        "the painting.": sum(weights[n] * raw[n].mean() for n in weights) / 4,
        "You divide by the picture's Gram matrix: the painting's is the measure.": sum(
            weights[n] * relative_error(target[n], grams[n]) for n in weights
        )
        / 4,
    }
    right = style_loss(features, target, weights)
    compare(call(style, features, target, weights), right, mistakes)
    return "nst_helpers.style_loss gives the same."


@check
def check_shifted_gram(shifted_gram: Callable[[Tensor, int], Tensor]) -> str:
    """Check lesson 4's shifted Gram matrix: channel i here, channel j to the right.

    Args:
        shifted_gram: features (1, C, H, W) and a shift s to (C, C), entry (i, j) the
            mean of F_i[y, x] · F_j[y, x + s].

    Returns:
        One sentence; it begins with "Right" if it is.

    Source: Berger and Memisevic 2017, "Incorporating long-range consistency in
    CNN-based texture generation".
    """
    f = draw(1, 3, 4, 7)

    def right(s: int) -> Tensor:
        here, there = f[0, :, :, :-s], f[0, :, :, s:]
        return torch.einsum("iyx,jyx->ij", here, there) / here[0].numel()

    total = 20 * right(2)
    down = torch.einsum("iyx,jyx->ij", f[0, :, :-2], f[0, :, 2:])
    around = torch.einsum("iyx,jyx->ij", f[0], f[0].roll(-2, 2))
    mistakes = {
        "That is the plain Gram matrix: nothing is shifted.": gram_matrix(f),
        "It is transposed: channel j is the one further right.": total.T / 20,
        "You divided by all H·W positions; there are only H·(W − s) pairs.": total / 28,
        "You did not divide by the number of pairs, H·(W − s).": total,
        "You shifted downwards: the last dimension is x.": down / 14,
        "Your shift wraps around: the right edge meets the left one. Cut off "
        "instead.": around / 28,
    }
    compare(call(shifted_gram, f, 2), right(2), mistakes)
    hint = "It is right for a shift of 2, but not for 1. Do you use s?"
    compare(call(shifted_gram, f, 1), right(1), {hint: right(2)})
    return "In the formula, s = 0 gives the Gram matrix itself."
