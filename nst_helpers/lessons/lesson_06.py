"""Lesson 6: the parts of a learner's own program, and the Armijo condition."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .hints import Hint, call, check, compare, draw


@check
def check_picture(to_picture: Callable[[np.ndarray], Tensor]) -> str:
    """Check lesson 6's first step: what OpenCV reads becomes a picture.

    Args:
        to_picture: bytes (H, W, 3) in the order blue, green, red to (1, 3, H, W), RGB,
            in [0, 1].

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    rgb = (255 * draw(1, 3, 4, 5)).round()
    bgr = rgb[0].flip(0).permute(1, 2, 0).contiguous().numpy().astype(np.uint8)
    answer, right = call(to_picture, bgr), rgb / 255
    if not isinstance(answer, Tensor):
        kind = type(answer).__name__
        raise Hint(f"It gives a {kind}, not a tensor: torch.from_numpy makes one.")
    flipped = right.flip(1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    average = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    mistakes = {
        "Blue and red are exchanged: OpenCV gives BGR, the network wants RGB. Turn the "
        "last axis of the array round.": flipped,
        "Blue and red are exchanged, and the numbers go up to 255: divide.": 255
        * flipped,
        "The numbers go up to 255: divide by 255.": rgb,
        "You divided by 256: white would not be 1.": rgb / 256,
        "The first dimension is missing: (1, 3, H, W), a pile of one picture.": right[
            0
        ],
        "You subtracted the mean and divided by the deviation: VGG19 does that "
        "itself.": (right - average) / deviation,
        "Colours have become places: permute moves the axis of the colours to the "
        "front, view or reshape only cuts the row of numbers elsewhere.": torch.tensor(
            bgr[..., ::-1].reshape(1, 3, 4, 5) / 255
        ),
        "Height and width are exchanged: permute(2, 0, 1) puts colours first, then "
        "rows, then columns.": right.transpose(2, 3),
        "The colours are still the last dimension: permute.": right.permute(0, 2, 3, 1),
    }
    compare(answer, right, mistakes)
    if answer.dtype != torch.float32:
        raise Hint(f"The numbers are right, but of type {answer.dtype}: add .float().")
    return "load_image gives the same."


@check
def check_evaluate(evaluate: Callable[[Any, Tensor, Callable], Tensor]) -> str:
    """Check lesson 6's closure: zero_grad, loss, backward, return.

    Args:
        evaluate: (optimizer, pixels, loss_of) to the loss at the pixels; it leaves the
            gradient in pixels.grad.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    pixels = torch.tensor([-0.5, 0.25, 1.5]).requires_grad_()
    before = pixels.detach().clone()
    optimizer = torch.optim.LBFGS([pixels])
    asked = []

    def loss_of(x: Tensor) -> Tensor:
        asked.append(1)
        return (x**2).sum()

    answer = call(lambda: evaluate(optimizer, pixels, loss_of))
    now = pixels.detach()
    if torch.equal(now, before.clamp(0, 1)):
        raise Hint(
            "You clamp the pixels: they move behind the optimiser's back, and what it "
            "has learnt is wrong from then on. The range loss keeps them in."
        )
    if not torch.equal(now, before):
        raise Hint(
            "The pixels have moved. Here the optimiser only asks; optimizer.step is "
            "what calls this function."
        )
    if not asked:
        raise Hint("You never ask for the loss: loss = loss_of(pixels).")
    if len(asked) > 1:
        raise Hint(f"You compute the loss {len(asked)} times: keep it in a variable.")
    if pixels.grad is None:
        raise Hint(
            "There is no gradient: loss.backward() computes it, and zero_grad, which "
            "throws it away, comes before."
        )
    if not pixels.grad.any():
        raise Hint("The gradient is all 0: zero_grad comes before backward, not after.")
    right = torch.tensor(2.5625)
    mistakes = {"You return the gradient: return the loss.": pixels.grad}
    compare(answer.detach() if isinstance(answer, Tensor) else answer, right, mistakes)
    call(lambda: evaluate(optimizer, pixels, loss_of))
    if torch.allclose(pixels.grad, 4 * before):
        raise Hint(
            "Asked twice at one place, the gradient is twice as long: zero_grad is "
            "missing, so backward adds to what was there."
        )
    if not torch.allclose(pixels.grad, 2 * before):
        raise Hint("The gradient is not that of the loss: only call backward on it.")
    return "This is what L-BFGS will call, as often as it likes."


@check
def check_paint(paint: Callable[[Tensor, Callable, int], Tensor]) -> str:
    """Check lesson 6's loop, on a small valley instead of a picture.

    Args:
        paint: (start, loss_of, calls) to the picture, (1, 3, H, W) in [0, 1], after so
            many calls of optimizer.step, of ten iterations each.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    start = draw(1, 3, 4, 4)
    given = start.clone()
    steep = torch.logspace(0, 1, 48).view(start.shape)
    goal = torch.linspace(-0.4, 1.4, 48).view(start.shape)
    asked: list[tuple[float, bool]] = []

    def loss_of(x: Tensor) -> Tensor:
        # Round at the bottom, straight further up: without a line search one flies off.
        loss = (steep * ((1 + 100 * (x - goal) ** 2).sqrt() - 1)).sum()
        cut_off = bool(((x == 0) | (x == 1)).any())
        asked.append((loss.item(), cut_off))
        return loss

    def run(calls: int) -> Any:
        asked.clear()
        answer = call(lambda: paint(start, loss_of, calls))
        if not torch.equal(start, given):
            raise Hint("You paint over the start itself: begin with start.clone().")
        return answer, copy.copy(asked)

    _, few = run(1)
    if not few:
        raise Hint("loss_of is never asked: call optimizer.step(closure).")
    answer, many = run(8)
    if not isinstance(answer, Tensor) or answer.shape != start.shape:
        raise Hint("Return the picture, a tensor of the shape of start.")
    advice = "Is it LBFGS, with line_search_fn='strong_wolfe', made once, before the "
    advice += "loop?"
    if not math.isfinite(many[-1][0]):
        raise Hint(f"The loss flies off to {many[-1][0]}. {advice}")
    if len(many) < 2 * len(few):
        raise Hint(
            f"With calls=8 it asks {len(many)} times, with calls=1 {len(few)} times: "
            "do you call optimizer.step(closure) in a loop of so many turns?"
        )
    if not 8 <= len(few) <= 30:
        raise Hint(
            f"One call of step asked {len(few)} times; ten iterations take 10 to 20 "
            "questions: max_iter=10."
        )
    if any(cut_off for _, cut_off in many):
        raise Hint(
            "On the way pixels are cut off at 0 and 1, behind the optimiser's back: "
            "clamp only what you return."
        )
    if not many[-1][0] < 0.05:
        raise Hint(
            f"It begins at {many[0][0]:.4g} and ends at {many[-1][0]:.4g}, where less "
            f"than 0.05 can be had. {advice}"
        )
    if answer.requires_grad:
        raise Hint("The picture still asks for a gradient: return pixels.detach() …")
    if ((answer < 0) | (answer > 1)).any():
        raise Hint("It has numbers outside [0, 1]: clamp what you return.")
    if (answer - goal.clamp(0, 1)).abs().max() > 0.01:
        raise Hint("It finds the way down, but returns another picture: which one?")
    return "It found the way down, and back into what a screen can show."


@check
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
        if bool(call(goes_down_enough, before, slope, t, after)) != right:
            raise Hint(hint)
    return "This is the first of the two strong Wolfe conditions."
