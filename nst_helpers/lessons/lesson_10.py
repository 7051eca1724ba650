"""Lesson 10: who is chosen how often, and the scores that explain it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .hints import Hint, call, check, compare


@check
def check_chance(chance: Callable[[float, float], float]) -> str:
    """Check lesson 10's model: sᵢ / (sᵢ + sⱼ).

    Args:
        chance: two scores, above 0, to how probably the first is chosen.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    for mine, other in [(5.0, 3.0), (1.0, 4.0), (2.0, 2.0)]:
        mistakes = {
            "That is the chance of the other one.": other / (mine + other),
            "Those are the odds: divide by both scores together.": mine / other,
            "Those are the odds of the other one.": other / mine,
            "A chance lies between 0 and 1: divide by both scores together.": mine
            - other,
            "Those are percent: leave out the 100.": 100 * mine / (mine + other),
            "You square the scores: take them as they are.": mine**2
            / (mine**2 + other**2),
            "Here the scores are no logarithms: no exp is needed.": torch.tensor(
                mine - other
            ).sigmoid(),
            "What stands above the line? The score of the first.": 1 / (mine + other),
            "Divide by the sum of the scores, not by their mean.": 2
            * mine
            / (mine + other),
            "Always one half? The scores have to count.": 0.5,
            "Python divides before it adds: brackets around the sum.": 1 + other,
        }
        compare(
            call(chance, mine, other), torch.tensor(mine / (mine + other)), mistakes
        )
    return "Only the ratio counts: of 3 and 1 the first is chosen three times of four."


@check
def check_mm_step(mm_step: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check lesson 10's step: sᵢ ← Wᵢ / Σⱼ nᵢⱼ / (sᵢ + sⱼ).

    Args:
        mm_step: scores (N,) and wins (N, N) to better scores (N,).

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    s = torch.tensor([1.0, 2.0, 4.0])
    wins = torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 4.0], [5.0, 6.0, 0.0]])
    W, n, pairs = wins.sum(1), wins + wins.T, s[:, None] + s
    below = (n / pairs).sum(1)
    right = W / below
    in_turn = s.clone()
    for i in range(3):
        in_turn[i] = W[i] / (n[i] / (in_turn[i] + in_turn)).sum()
    mistakes = {
        "Those are the losses over the sum: W counts wins, so sum along each row.": (
            wins.sum(0) / below
        ),
        "n counts how often a pair was compared, whoever won: wins and its .T.": (
            W / (wins / pairs).sum(1)
        ),
        "n counts how often i and j were compared: you took wins.T alone.": (
            W / (wins.T / pairs).sum(1)
        ),
        "That is only the sum below the line: W stands above it.": below,
        "You have it upside down: W stands above the line.": below / W,
        "W is the wins of each picture: one sum for each row.": wins.sum() / below,
        "Divide n by s_i + s_j: you multiply.": W / (n * pairs).sum(1),
        "s + s adds each score to itself: take s[:, None] + s.": (
            W / (n / (s + s)).sum(1)
        ),
        "W times the sum? Divide by it.": W * below,
        "Those are the wins alone: divide by the sum.": W,
        "That is the share of wins: in the sum, n is divided by (s_i + s_j).": (
            W / n.sum(1)
        ),
        "You multiply by the old scores: the formula does not.": s * right,
        "Sum n / (s_i + s_j), pair by pair: you divide one sum by another.": (
            W / (n.sum(1) / pairs.sum(1))
        ),
        "In the sum it is s_i + s_j: you left out s_i.": W / (n / s).sum(1),
        "In the sum it is s_i + s_j: you left out s_j.": W / (n / s[:, None]).sum(1),
        "Your step divides by all numbers together: each picture has its own sum.": (
            W / (n / pairs).sum()
        ),
        "You use new scores for the rest of the same step: keep the old ones.": in_turn,
        "Only a common factor is off: leave that to the cell below.": (
            right / right.sum()
        ),
        "Nearly: leave the division by the mean to the cell below.": (
            right / right.mean()
        ),
        "Nearly: leave the division by the geometric mean to the cell below.": (
            right / right.log().mean().exp()
        ),
        "Those are the old scores: return the new ones.": s,
    }
    compare(call(mm_step, s, wins), right, mistakes)
    return "Repeated, this finds the scores that make the answers most probable."


@check
def check_count_wins(
    count_wins: Callable[[Sequence[dict], Sequence[str]], Tensor],
) -> str:
    """Check lesson 10's table: in row i and column j, how often i was chosen over j.

    Args:
        count_wins: answers, {"left", "right", "chosen"}, and N names to (N, N).

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    names = ["sun", "moon", "star", "comet"]
    told = "sm-s ms-s sm-m mt-t tm-t ts-s cs-c cs-s"  # left, right, chosen
    of = {"s": "sun", "m": "moon", "t": "star", "c": "comet"}
    answers = [
        {"left": of[a], "right": of[b], "chosen": of[c]} for a, b, _, c in told.split()
    ]
    right, shown, lefts, by_right, by_left, first = torch.zeros(6, 4, 4)
    for answer in answers:
        left, other = names.index(answer["left"]), names.index(answer["right"])
        chosen = names.index(answer["chosen"])
        right[chosen, left + other - chosen] += 1
        shown[left, other] += 1
        lefts[left, other] += answer["chosen"] == answer["left"]
        by_right[chosen, other] += 1
        by_left[chosen, left] += 1
        if right.sum() == 1:
            first.copy_(right)
    mistakes = {
        "You count defeats: the one chosen is the row, the other one the column.": (
            right.T
        ),
        "You count who stood left of whom: who was chosen?": shown,
        "You count who stood right of whom: chosen is a name, not a side.": shown.T,
        "Answers for the right one are missing.": lefts,
        "Answers for the left one are missing.": right - lefts,
        "The column is the one not chosen: that is not always the right one.": by_right,
        "The column is the one not chosen: that is not always the left one.": by_left,
        "Row and column are the same: the column is the one not chosen.": (
            right.sum(1).diag()
        ),
        "Only the first answer counts: does return stand in the loop?": first,
        "A defeat takes nothing away: add wins only.": right - right.T,
        "A pair that was answered alike twice counts twice: add 1.": (
            right.clamp(max=1)
        ),
        "You count each answer for both: only one of them was chosen.": right + right.T,
        "Each answer counts once: yours count twice.": 2 * right,
        "Those are shares: count, do not divide.": right / len(answers),
        "Those are the wins of each alone: who beat whom?": right.sum(1),
        "Nothing is counted yet: does your loop reach the table?": 0 * right,
    }
    answer = call(count_wins, answers, names)
    if isinstance(answer, dict):
        raise Hint("It gives a dict: make a table, torch.zeros(N, N), and add to it.")
    compare(answer, right, mistakes)
    return "Row by row: whom each has beaten, and how often."
