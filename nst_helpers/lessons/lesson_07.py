"""Lesson 7: the weighted sum of a run, who has which share, and a broken program."""

from collections.abc import Callable

import torch

from ..settings import Settings
from .broken import MISTAKES, name_the_bug
from .hints import Hint, call, check, compare


@check
def check_total_loss(total_loss: Callable[[dict, Settings], float]) -> str:
    """Check lesson 7's sum: α L_content + β L_style + γ L_tv.

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
def check_shares(shares: Callable[[dict, dict], dict]) -> str:
    """Check lesson 7's shares: weight · loss / total, for each loss.

    Args:
        shares: {name: loss} with "total" among them, and {name: weight} to {name: part
            of the total}.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    losses = {"content": 1.0, "style": 0.5, "tv": 2.0, "range": 0.0, "total": 52.0}
    weights = {"content": 1.0, "style": 100.0, "tv": 0.5, "range": 5000.0}
    answer = call(shares, losses, weights)
    if not isinstance(answer, dict):
        raise Hint(f"It gives a {type(answer).__name__}: return {{name: share}}.")
    if "total" in answer:
        raise Hint("The total is no part of itself: go through the names of weights.")
    missing = weights.keys() - answer.keys()
    if missing:
        raise Hint(f"{sorted(missing)[0]} has no share: go through all weights.")
    right = torch.tensor([1 / 52, 50 / 52, 1 / 52, 0.0])
    parts = torch.tensor([1.0, 50.0, 1.0, 0.0])
    raw = torch.tensor([1.0, 0.5, 2.0, 0.0])
    mistakes = {
        "Those are the weighted losses: divide each by the total.": parts,
        "The weights are missing: a share is weight times loss over total.": raw / 52,
        "You divided by the sum of the losses, without weights.": parts / 3.5,
        "Those are the shares of the weights, not of the losses.": torch.tensor(
            list(weights.values())
        )
        / 5101.5,
        "Those are percent: leave out the 100.": 100 * right,
    }
    compare([float(answer[name]) for name in weights], right, mistakes)
    return "They add up to 1, and tell who has the say."


@check
def check_diagnosis(diagnose: Callable[[], str], seed: int) -> str:
    """Check lesson 7's diagnosis of the broken program of a seed.

    Args:
        diagnose: nothing to one of MISTAKES.
        seed: of write_program.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    answer = call(diagnose)
    if not isinstance(answer, str) or answer not in MISTAKES:
        raise Hint(f"Return one of these, in quotes: {', '.join(MISTAKES)}.")
    if answer != name_the_bug(seed):
        seen = MISTAKES[answer].seen
        raise Hint(f"Not this one. With {answer}, {seen}. How does yours differ?")
    return "Now find its line in the program."
