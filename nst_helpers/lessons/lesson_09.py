"""Lesson 9: other statistics of the same features."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, interpolate, normalize

from .hints import Hint, call, check, compare, draw

NO_GRADIENT = (
    "The numbers are right, but they have no gradient, so nothing can be painted with "
    "them: look for .item(), .detach(), .tolist() or torch.tensor()."
)
OF_PLACES = (
    "Its shape changes with the size of the picture, and photo and painting differ in "
    "size: "
)


@check
def check_mean_and_variance(mean_and_variance: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 9's first statistic: mean and variance of each channel.

    Args:
        mean_and_variance: (1, C, H, W) to (2, C), the means above the variances.

    Returns:
        One sentence; it begins with "Right" if it is.

    Source: Huang and Belongie 2017, "Arbitrary Style Transfer in Real-time with
    Adaptive Instance Normalization", equations 5 to 7, with the variance.
    """
    _same_shape(mean_and_variance, "take means over the positions, not the channels.")
    features = draw(1, 3, 4, 5) ** 2
    flat = features[0].flatten(1)
    mean, variance = flat.mean(1), flat.var(1, correction=0)
    rows = torch.stack
    mistakes = {
        "The second row is the standard deviation, the root of the variance.": rows(
            [mean, flat.std(1, correction=0)]
        ),
        "The second row is the standard deviation, and .std() divides by H·W − 1.": (
            rows([mean, flat.std(1)])
        ),
        "Your variance divides by H·W − 1, which is the default of .var(): give it "
        "correction=0.": rows([mean, flat.var(1)]),
        "The second row is the mean of the squares: the mean must be subtracted "
        "first.": rows([mean, flat.square().mean(1)]),
        "The second row is a sum: the variance is a mean over the positions.": rows(
            [mean, 20 * variance]
        ),
        "The first row is a sum: divide by the number of positions.": rows(
            [20 * mean, variance]
        ),
        "Variances above means: the means are to be the first row.": rows(
            [variance, mean]
        ),
        "It is transposed: one row of means, one of variances.": rows(
            [mean, variance], 1
        ),
        "One long list: torch.stack makes two rows, torch.cat does not.": torch.cat(
            [mean, variance]
        ),
        "The mean is missing.": variance,
        "The variance is missing.": mean,
        "One mean and one variance for the whole layer: each channel has its own.": (
            rows([flat.mean(), flat.var(correction=0)])
        ),
        "All channels ended up in one row: begin with features[0].": rows(
            [flat.mean(), flat.var(correction=0)]
        )[:, None],
        "The 1 in front of the shape is still there: begin with features[0].": rows(
            [mean, variance]
        )[:, None],
    }
    compare(_numbers(mean_and_variance, features), rows([mean, variance]), mistakes)
    _same_gradient(mean_and_variance, features)
    return "With so few numbers one can paint, as you will see."


@check
def check_sliced(sliced: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 9's sorted projections: on 128 directions, 256 means of each.

    Args:
        sliced: (1, C, H, W) to (128, 256); the directions are those of
            torch.randn(128, C) from a generator with seed 0, made of length 1.

    Returns:
        One sentence; it begins with "Right" if it is.

    Source: Heitz et al. 2021, "A Sliced Wasserstein Loss for Neural Texture Synthesis",
    section 3, with directions that stay.
    """
    features = draw(1, 5, 20, 30) ** 2
    flat, seed = features[0].flatten(1), torch.Generator().manual_seed
    raw = torch.randn(128, 5, generator=seed(0))
    rays = normalize(raw, dim=1)
    onto = rays @ flat

    def shares(numbers: Tensor) -> Tensor:
        return adaptive_avg_pool1d(numbers, 256)

    ordered = onto.sort(dim=1).values
    positive = normalize(torch.rand(128, 5, generator=seed(0)), dim=1)
    mistakes = {
        "Your directions have different lengths: divide each by its norm.": shares(
            (raw @ flat).sort(dim=1).values
        ),
        "You normalised along the wrong dimension: each row is a direction, and is to "
        "have length 1.": shares((normalize(raw, dim=0) @ flat).sort(dim=1).values),
        "You divided by the norm of the whole table: each row has its own.": shares(
            (raw / raw.norm() @ flat).sort(dim=1).values
        ),
        "Nothing is sorted: unsorted, the numbers still know their places.": shares(
            onto
        ),
        "You sorted along the wrong dimension: the positions are to be sorted, each "
        "direction by itself.": shares(onto.sort(dim=0).values),
        "Each direction is sorted from large to small: from small to large, "
        "please.": shares(onto.sort(dim=1, descending=True).values),
        "You averaged first and sorted then: the order of places got into the "
        "means.": shares(onto).sort(dim=1).values,
        "You sorted the channels before you projected them: what lights up together "
        "is lost.": shares((rays @ flat.sort(dim=1).values).sort(dim=1).values),
        "You sorted the channels, not the projections: project first, then "
        "sort.": shares(rays @ flat.sort(dim=1).values),
        "Your directions point to one side only: torch.randn, not torch.rand.": shares(
            (positive @ flat).sort(dim=1).values
        ),
        "You picked 256 numbers and left the others without a say: take means with "
        "adaptive_avg_pool1d.": interpolate(ordered[None], 256, mode="linear")[0],
        "It is transposed: a row for each direction.": shares(ordered).T,
    }
    once = _numbers(sliced, features)
    if isinstance(once, Tensor):
        again = _numbers(sliced, features)
        if once.shape == again.shape and not torch.equal(once, again):
            raise Hint(
                "Asked twice about the same features, it gives two answers: painting "
                "and picture would be measured with different rulers. Make a new "
                "generator with seed 0 in each call, and draw the directions from it."
            )
    _same_shape(sliced, "a row for each direction, sorted and brought to 256 numbers.")
    compare(once, shares(ordered), mistakes)
    _same_gradient(sliced, features)
    return "The same numbers for every size, and no place in them."


@check
def check_three_moments(three_moments: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 9's exercise: mean, variance and third central moment.

    Args:
        three_moments: (1, C, H, W) to (3, C).

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    _same_shape(three_moments, "take means over the positions, not the channels.")
    features = draw(1, 3, 4, 5) ** 2
    flat = features[0].flatten(1)
    mean, off = flat.mean(1), flat - flat.mean(1, keepdim=True)
    variance, third = off.square().mean(1), (off**3).mean(1)

    def rows(last: Tensor, second: Tensor = variance) -> Tensor:
        return torch.stack([mean, second, last])

    mistakes = {
        "The third row is the mean of the cubes: subtract the mean first.": rows(
            (flat**3).mean(1)
        ),
        "The third row has no sign: cube the differences, not their sizes.": rows(
            (off.abs() ** 3).mean(1)
        ),
        "The third row is the skewness, which is divided by the variance to the power "
        "of 1.5: leave out the division.": rows(third / variance**1.5),
        "The third row is zero: cube the differences before you take the mean, not "
        "after.": rows(off.mean(1) ** 3),
        "The third row is the fourth moment: to the power of 3.": rows(
            (off**4).mean(1)
        ),
        "The third row is a sum: take the mean over the positions.": rows(20 * third),
        "Your variance divides by H·W − 1: give .var() correction=0.": rows(
            third, flat.var(1)
        ),
        "The second row is the standard deviation, not the variance.": rows(
            third, variance.sqrt()
        ),
        "It is transposed: three rows, a column for each channel.": rows(third).T,
        "The third row is missing.": torch.stack([mean, variance]),
    }
    compare(_numbers(three_moments, features), rows(third), mistakes)
    _same_gradient(three_moments, features)
    return "It sees to which side a channel leans."


def _numbers(statistic: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """Ask the learner's function, and leave its gradient out."""
    answer = call(statistic, features)
    return answer.detach() if isinstance(answer, Tensor) else answer


def _same_shape(statistic: Callable[[Tensor], Tensor], advice: str) -> None:
    """Raise a Hint if the shape of a statistic depends on H and W."""
    answers = [call(statistic, draw(1, 3, *size)) for size in ((4, 5), (6, 7))]
    if isinstance(answers[0], Tensor) and answers[0].shape != answers[1].shape:
        raise Hint(OF_PLACES + advice)


def _same_gradient(statistic: Callable[[Tensor], Tensor], features: Tensor) -> None:
    """Raise a Hint if the answer, or a part of it, is cut off from the features."""
    x = features.clone().requires_grad_()
    answer = statistic(x)
    if not isinstance(answer, Tensor) or not answer.requires_grad:
        raise Hint(NO_GRADIENT)
    # Along some way, as the gradient tells it, and as it is.
    part, way = draw(*answer.shape), 0.01 * draw(*features.shape)
    (slope,) = torch.autograd.grad((part * answer).sum(), x)
    up, down = ((part * statistic(features + s * way)).sum() for s in (1, -1))
    told, seen = (slope * way).sum(), (up - down) / 2
    if abs(told - seen) > 0.02 * abs(seen):
        raise Hint("A part of it is cut off. " + NO_GRADIENT)
