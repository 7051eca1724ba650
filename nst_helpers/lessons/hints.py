"""What all checks share: ask the learner's function, compare, tell what is wrong."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Hint(Exception):
    """Tell the learner what is wrong."""


def check(judge: Callable[..., str]) -> Callable[..., str]:
    """Turn a judge, which praises or raises a Hint, into a check.

    Args:
        judge: takes the learner's function, returns praise.

    Returns:
        A function of the same arguments to one sentence: "Right. …" or the hint.
    """

    @functools.wraps(judge)
    def checked(*args: Any) -> str:
        try:
            return "Right. " + judge(*args)
        except Hint as hint:
            return str(hint)

    return checked


def call(function: Callable, *inputs: Any) -> Any:
    """Ask the learner's function for its answer.

    Args:
        function: the learner's.
        inputs: what it is given, and must leave as it is.

    Returns:
        Its answer, of any type.

    Raises:
        Hint: the function stops, gives nothing, or changes what it is given.
    """
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
        if not _same(old, new):
            line = "Your function changes what it is given: begin with a "
            raise Hint(line + ("clone()." if isinstance(new, Tensor) else "copy."))
    return answer


def compare(answer: Any, right: Tensor, mistakes: dict[str, Tensor | float]) -> None:
    """Raise a Hint unless the answer is right.

    Args:
        answer: the learner's, of any type.
        right: any shape, the right answer.
        mistakes: {hint: the answer of who makes that mistake}.

    Raises:
        Hint: the answer is wrong: that of a mistake, or what is wrong with it.
    """
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


def _same(a: Any, b: Any) -> bool:
    """Tell whether two inputs, of any kind, hold the same."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5)


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Draw numbers from 0 to 1, the same ones each time.

    Args:
        shape: of the result.
        seed: another seed, other numbers.

    Returns:
        A tensor of that shape.
    """
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
