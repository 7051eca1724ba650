"""Lesson 6: the total loss and the Armijo condition."""

from collections.abc import Callable

import torch

from ..settings import Settings
from .hints import Hint, call, check, compare


@check
def check_total_loss(total_loss: Callable[[dict, Settings], float]) -> str:
    """Check lesson 6's sum: α L_content + β L_style + γ L_tv.

    Args:
        total_loss: {"content", "style", "tv"} losses and Settings to one number.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    for content, style, tv in [(3.0, 5.0, 7.0), (1.0, 0.0, 0.0), (0.5, 2.0, 1.0)]:
        losses = {"content": content, "style": style, "tv": tv}
        answer = call(total_loss, losses, Settings(2.0, 30.0, 400.0))
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
        compare(answer, right, mistakes)
    return "This is the sum that L-BFGS makes small."


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
