"""Lesson 3: the relative error and its gradient."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..losses import relative_error
from .hints import call, check, compare, draw


@check
def check_relative(relative: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check lesson 3's relative error: ‖x − target‖² / ‖target‖².

    Args:
        relative: two tensors of one shape to one number.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x, target = draw(1, 3, 4, 5), draw(1, 3, 4, 5, seed=1)
    difference, size = (x - target).square(), target.square()
    mistakes = {
        "That is the raw sum: divide by the squared target, summed.": difference.sum(),
        "That is the raw mean: divide by the mean squared target.": difference.mean(),
        "Sum both, then divide once: you divided each number by its own target.": (
            difference / size
        ).sum(),
        "Sum both, then divide once: you averaged the quotients.": (
            difference / size
        ).mean(),
        "You divided by the squared x: the target is the measure.": difference.sum()
        / x.square().sum(),
        "You took the root: the squares stay squares.": (
            difference.sum() / size.sum()
        ).sqrt(),
        "You forgot the squares above the line: plus and minus cancel out.": (
            x - target
        ).sum()
        / size.sum(),
        "You took absolute values: take squares.": (x - target).abs().sum()
        / target.abs().sum(),
        "A sum above and a mean below: use the same for both.": difference.sum()
        / size.mean(),
        "A mean above and a sum below: use the same for both.": difference.mean()
        / size.sum(),
    }
    compare(call(relative, x, target), relative_error(x, target), mistakes)
    return "nst_helpers computes the same, as content_loss, at one layer."


@check
def check_content_gradient(gradient: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check lesson 3's gradient: 2 (x − target) / ‖target‖².

    Args:
        gradient: two tensors of one shape to a tensor of that shape.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x, target = draw(1, 3, 4, 5).requires_grad_(), draw(1, 3, 4, 5, seed=1)
    (right,) = torch.autograd.grad(relative_error(x, target), x)
    mistakes = {
        "The sign is wrong: the gradient points uphill, away from the target.": -right,
        "The 2 from the square is missing.": right / 2,
        "You did not divide by the squared target, summed.": 2 * (x - target),
        "Divide by the sum of the squared target, not by their mean.": right * 60,
        "Divide by the squared target, summed: you divided each number by its own.": 2
        * (x - target)
        / target.square(),
        "That is the loss, one number: the gradient has a number for each "
        "feature.": relative_error(x, target),
    }
    compare(call(gradient, x.detach(), target), right, mistakes)
    return "PyTorch's autograd gives the same."
