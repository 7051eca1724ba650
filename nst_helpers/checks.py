"""Kind checks of what a learner wrote in a notebook.

Each takes the learner's function and returns one sentence: "Right. …", or what is
wrong. To know what is wrong, it compares with the answers of likely mistakes.
"""

import copy
import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from .losses import gram_matrix, relative_error, style_loss, total_variation
from .settings import Settings
from .vgg import VGG19


class Hint(Exception):
    """Tell the learner what is wrong."""


def _check(judge: Callable[..., str]) -> Callable[..., str]:
    """Turn a judge, which praises or raises a Hint, into a check."""

    @functools.wraps(judge)
    def check(*args: Any) -> str:
        try:
            return "Right. " + judge(*args)
        except Hint as hint:
            return str(hint)

    return check


def _call(function: Callable, *inputs: Any) -> Any:
    """Ask the learner's function for its answer."""
    before = copy.deepcopy(inputs)
    try:
        answer = function(*inputs)
    except Exception as error:
        raise Hint(f"Your function stops: {type(error).__name__}: {error}") from error
    if answer is ...:
        raise Hint("Nothing there yet: replace the dots.")
    if answer is None:
        raise Hint("Your function returns nothing: does it say return?")
    for old, new in zip(before, inputs, strict=True):
        if isinstance(new, Tensor) and not torch.equal(old, new):
            raise Hint("Your function changes what it is given: begin with a clone().")
    return answer


def _compare(answer: Any, right: Tensor, mistakes: dict[str, Tensor | float]) -> None:
    """Raise a Hint unless the answer is right; {hint: answer of that mistake}."""
    try:
        answer = torch.as_tensor(answer, dtype=right.dtype)
    except (TypeError, ValueError, RuntimeError):
        raise Hint(
            f"It gives a {type(answer).__name__}, not a number or a tensor."
        ) from None
    if _equal(answer, right):
        return
    for hint, mistake in mistakes.items():
        if _equal(answer, torch.as_tensor(mistake, dtype=right.dtype)):
            raise Hint(hint)
    if answer.shape != right.shape:
        raise Hint(f"It has shape {tuple(answer.shape)}, not {tuple(right.shape)}.")
    if right.ndim == 0:
        raise Hint(f"It gives {answer:.4g}, not {right:.4g}: compare with the formula.")
    worst = (answer - right).abs().max()
    raise Hint(
        f"The shape is right, but numbers differ by up to {worst:.2g}: compare with "
        "the formula, one step after the other."
    )


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5)


def _random(*shape: int, seed: int = 0) -> Tensor:
    """Draw numbers from 0 to 1, the same ones each time."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@_check
def check_first_layer(first_layer: Callable[[Tensor], Tensor], vgg: VGG19) -> str:
    """Check lesson 1's first layer: relu(conv((image − mean) / std)).

    Args:
        first_layer: (1, 3, H, W) in [0, 1] to (1, 64, H, W).
        vgg: whose conv1_1 it is.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    image, conv = _random(1, 3, 8, 10), vgg.convs["conv1_1"]
    centred = image - vgg.mean
    mistakes = {
        "You left out the mean and the deviation: the weights expect numbers from "
        "about -2 to 2.6, not from 0 to 1.": relu(conv(image)),
        "You subtract the mean, but do not divide by std.": relu(conv(centred)),
        "You divide by std, but do not subtract the mean.": relu(conv(image / vgg.std)),
        "You multiply by std: divide by it.": relu(conv(centred * vgg.std)),
        "The ReLU is missing: there are numbers below 0.": conv(centred / vgg.std),
        "The ReLU comes last: it acts on what the convolution gives.": conv(
            relu(centred / vgg.std)
        ),
    }
    _compare(_call(first_layer, image), vgg(image, ["conv1_1"])["conv1_1"], mistakes)
    return "vgg(photo, ['conv1_1']) does the same."


@_check
def check_halve(halve: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 1's average pooling: the mean of every 2 × 2 square.

    Args:
        halve: (1, C, H, W), H and W even, to (1, C, H/2, W/2).

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x = _random(1, 3, 6, 8)
    right = avg_pool2d(x, 2)
    mistakes = {
        "That is the largest of the four, max pooling: take their mean.": max_pool2d(
            x, 2
        ),
        "You added the four, but did not divide by 4.": 4 * right,
        "You keep one of the four and forget the other three.": x[..., ::2, ::2],
        "You halved the width only.": (x[..., ::2] + x[..., 1::2]) / 2,
        "You halved the height only.": (x[..., ::2, :] + x[..., 1::2, :]) / 2,
    }
    _compare(_call(halve, x), right, mistakes)
    return "avg_pool2d(x, 2), which nst_helpers uses, gives the same."


@_check
def check_gram(gram: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 2's Gram matrix: G = F Fᵀ / (H·W).

    Args:
        gram: (1, C, H, W) to (C, C).

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    features = _random(1, 3, 4, 5)
    flat = features[0].flatten(1)
    right = gram_matrix(features)
    mistakes = {
        "You did not divide by H·W: a larger picture would have a larger matrix.": 20
        * right,
        "You also divided by C: that makes deep layers, which have more channels, "
        "count less.": right / 3,
        "You divided by C, not by H·W.": 20 * right / 3,
        "The matrix compares positions with positions: the channels must be the "
        "rows of F.": flat.T @ flat / 20,
        "That is the sum over positions of each channel squared, one number each: use "
        "a matrix product, @, not *.": (flat * flat).sum(1) / 20,
        "You subtracted the mean: that is the covariance, the Gram matrix keeps "
        "the mean.": torch.cov(flat, correction=0),
    }
    answer = _call(gram, features)
    if isinstance(answer, Tensor) and answer.shape == (3, 3):
        if not torch.allclose(answer, answer.T, rtol=1e-4):
            raise Hint(
                "Your Gram matrix is not symmetric: did you reshape the second "
                "factor instead of transposing it?"
            )
    _compare(answer, right, mistakes)
    return "nst_helpers.gram_matrix gives the same."


@_check
def check_shuffle_each(shuffle_each: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 2's other shuffle: every channel in an order of its own.

    Args:
        shuffle_each: (1, C, H, W) to the same shape.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    features = torch.arange(120.0).view(1, 3, 5, 8)
    shuffled = _call(shuffle_each, features)
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


@_check
def check_relative(relative: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check lesson 3's relative error: ‖x − target‖² / ‖target‖².

    Args:
        relative: two tensors of one shape to one number.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x, target = _random(1, 3, 4, 5), _random(1, 3, 4, 5, seed=1)
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
    _compare(_call(relative, x, target), relative_error(x, target), mistakes)
    return "nst_helpers computes the same, as content_loss, at one layer."


@_check
def check_content_gradient(gradient: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check lesson 3's gradient: 2 (x − target) / ‖target‖².

    Args:
        gradient: two tensors of one shape to a tensor of that shape.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x, target = _random(1, 3, 4, 5).requires_grad_(), _random(1, 3, 4, 5, seed=1)
    (right,) = torch.autograd.grad(relative_error(x, target), x)
    mistakes = {
        "The sign is wrong: the gradient points uphill, away from the target.": -right,
        "The 2 from the square is missing.": right / 2,
        "You did not divide by the squared target, summed.": 2 * (x - target),
        "Divide by the sum of the squared target, not by their mean.": right * 60,
        "That is the loss, one number: the gradient has a number for each "
        "feature.": relative_error(x, target),
    }
    _compare(_call(gradient, x.detach(), target), right, mistakes)
    return "PyTorch's autograd gives the same."


@_check
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
    features = {"a": _random(1, 3, 3, 3), "b": _random(1, 4, 4, 4, seed=1)}
    painting = {"a": _random(1, 3, 4, 5, seed=2), "b": _random(1, 4, 2, 3, seed=3)}
    painting["c"] = _random(1, 2, 2, 3, seed=4)  # has no weight: does not count
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
    _compare(_call(style, features, target, weights), right, mistakes)
    return "nst_helpers.style_loss gives the same."


@_check
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
    f = _random(1, 3, 4, 7)

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
    _compare(_call(shifted_gram, f, 2), right(2), mistakes)
    hint = "It is right for a shift of 2, but not for 1. Do you use s?"
    _compare(_call(shifted_gram, f, 1), right(1), {hint: right(2)})
    return "In the formula, s = 0 gives the Gram matrix itself."


@_check
def check_roughness(roughness: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 5's total variation: mean (Δ down)² + mean (Δ right)².

    Args:
        roughness: (1, 3, H, W) to one number.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x = _random(1, 3, 5, 7)
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
        "You summed: take means, or a larger picture is called "
        "rougher.": down.square().sum() + right.square().sum(),
        "Add the two means, do not average them.": (vertical + horizontal) / 2,
        "The last row or column is compared with the first: cut off instead.": sum(
            d.square().mean() for d in around
        ),
        "You compare colour channels with each other: rows are dimension 2, columns "
        "dimension 3.": (x[:, 1:] - x[:, :-1]).square().mean() + vertical,
    }
    _compare(_call(roughness, x), total_variation(x), mistakes)
    return "nst_helpers.losses.total_variation gives the same."


@_check
def check_isotropic(isotropic: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 5's isotropic form: mean √((Δ down)² + (Δ right)²).

    Args:
        isotropic: (1, 3, H, W) to one number.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x = _random(1, 3, 5, 7)
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
    _compare(_call(isotropic, x), squares.sqrt().mean(), mistakes)
    return "An edge costs the same at every angle (almost: pixels are square)."


@_check
def check_total_loss(total_loss: Callable[[dict, Settings], float]) -> str:
    """Check lesson 6's sum: α L_content + β L_style + γ L_tv.

    Args:
        total_loss: {"content", "style", "tv"} losses and Settings to one number.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    for content, style, tv in [(3.0, 5.0, 7.0), (1.0, 0.0, 0.0), (0.5, 2.0, 1.0)]:
        losses = {"content": content, "style": style, "tv": tv}
        answer = _call(total_loss, losses, Settings(2.0, 30.0, 400.0))
        parts = {"content": 2 * content, "style": 30 * style, "tv": 400 * tv}
        right = torch.tensor(sum(parts.values()))
        mistakes = {f"{n} is missing.": right - parts[n] for n in parts if losses[n]}
        mistakes |= {
            "You added the losses without their weights.": content + style + tv,
            "You added the weights without their losses.": 432.0,
            "You typed the weights in: take them from settings.": (
                content + 100 * style + 0.3 * tv
            ),
        }
        _compare(answer, right, mistakes)
    return "This is the sum that L-BFGS makes small."


@_check
def check_goes_down(goes_down_enough: Callable[..., bool]) -> str:
    """Check lesson 6's Armijo condition: after ≤ before + 1e-4 · t · slope.

    Args:
        goes_down_enough: (before, slope, t, after) to True or False.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    cases = [  # before, slope, t, after, the right answer, the hint
        (1.0, -1.0, 1.0, 0.0, True, "From 1 to 0 is down. Do you compare with before?"),
        (1.0, -1.0, 1.0, 2.0, False, "From 1 to 2 is up. Do you compare with before?"),
        (10.0, -4.0, 1.0, 9.0, True, "From 10 to 9 is enough, but you refuse it."),
        (
            *(10.0, -4.0, 1.0, 9.9999, False),
            "9.9999 is lower than 10, but not by c·t·|slope| = 0.0004. Check the "
            "slope, its sign, and c.",
        ),
        (
            *(10.0, -4.0, 1.0, 9.9995, True),
            "A fall of 0.0005 is more than c·t·|slope| = 0.0004. Is your c 1e-4?",
        ),
        (
            *(10.0, -40.0, 1.0, 9.9995, False),
            "With slope -40 it must fall by 0.004, not 0.0005. Did you use slope?",
        ),
        (
            *(10.0, -4.0, 100.0, 9.99, False),
            "A step of t = 100 must fall by 0.04, not 0.01. Did you use t?",
        ),
    ]
    for before, slope, t, after, right, hint in cases:
        if bool(_call(goes_down_enough, before, slope, t, after)) != right:
            raise Hint(hint)
    return "This is the first of the two strong Wolfe conditions."
