"""Judgements of pairs: which are shown, what was answered, and how good each thing is.

An answer is {"left": name, "right": name, "chosen": one of the two}.
"""

import itertools
import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import InputError, tell

Answer = dict[str, str]
PATTERN = "ranking-*.json"
LARGEST = 1_000_000  # bytes: 10,000 answers or so


def pair_up(names: Sequence[str], seed: int) -> list[tuple[str, str]]:
    """Draw the order in which pairs are shown, each twice: once either way round.

    A habit of choosing the left one cancels. All come once before any comes again.

    Args:
        names: N of what is compared, two or more.
        seed: another seed, another order.

    Returns:
        N (N − 1) pairs: (left, right).
    """
    draw = random.Random(seed)
    first = [tuple(draw.sample(pair, 2)) for pair in itertools.combinations(names, 2)]
    again = [(right, left) for left, right in first]
    draw.shuffle(first)
    draw.shuffle(again)
    return first + again


def count_wins(answers: Sequence[Answer], names: Sequence[str]) -> Tensor:
    """Count who beat whom.

    Args:
        answers: about some of the names.
        names: N of what was compared.

    Returns:
        (N, N): in row i and column j, how often i was chosen over j.
    """
    wins = torch.zeros(len(names), len(names))
    place = {name: i for i, name in enumerate(names)}
    for answer in answers:
        left, right = place[answer["left"]], place[answer["right"]]
        if answer["chosen"] == answer["left"]:
            wins[left, right] += 1
        else:
            wins[right, left] += 1
    return wins


def mm_step(s: Tensor, wins: Tensor) -> Tensor:
    """Improve the scores once: sᵢ ← Wᵢ / Σⱼ nᵢⱼ / (sᵢ + sⱼ).

    Wᵢ is how often i won, nᵢⱼ how often i and j were compared. No step makes the
    answers less probable.

    Args:
        s: (N,), above 0.
        wins: (N, N), as count_wins counts.

    Returns:
        (N,), above 0 for all that ever won; only their ratios mean something.

    Source: Hunter 2004, "MM Algorithms for Generalized Bradley-Terry Models",
    equation 3.
    """
    n = wins + wins.T
    return wins.sum(1) / (n / (s[:, None] + s)).sum(1)


def bradley_terry(wins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the scores that make the answers most probable, and how sure they are.

    The model: i is chosen over j with probability sᵢ / (sᵢ + sⱼ). Who won or lost
    everything would have a score of infinity or 0; so each is given half a win and
    half a loss more, spread over its rivals. Of two, the ratio is then (a + ½) /
    (b + ½). The intervals are of log s, ± 1.96 standard errors from the Fisher
    information; they take the answers for independent, as those of one judge hardly
    are.

    Args:
        wins: (N, N), 0 or more: in row i and column j, how often i was chosen over j.

    Returns:
        (N,), (N,), (N,): the scores, above 0, and both ends of their 95 % intervals.
        The geometric mean of the scores is 1: that of an average picture.

    Raises:
        InputError: a table of another form, or of fewer than two.

    Source: Bradley and Terry 1952; Hunter 2004.
    """
    count = len(wins)
    if wins.shape != (count, count) or count < 2:
        shape = tuple(wins.shape)
        raise InputError(f"wins is a table (N, N) of two or more, not {shape}")
    if not (wins.isfinite() & (wins >= 0)).all():
        raise InputError("wins counts how often each won: numbers of 0 or more")
    wins = (wins.double() + 0.5 / (count - 1)).fill_diagonal_(0)
    s = torch.ones(count, dtype=torch.double)
    for _ in range(10_000):
        before, s = s, mm_step(s, wins)
        s = s / s.log().mean().exp()
        if torch.allclose(s, before, rtol=1e-9, atol=0):
            break
    chance = s[:, None] / (s[:, None] + s)
    known = (wins + wins.T) * chance * (1 - chance)  # what each pair tells
    information = known.sum(1).diag() - known  # of log s; nothing of a common factor
    errors = torch.linalg.pinv(information, hermitian=True).diag().sqrt()
    return s, s * (-1.96 * errors).exp(), s * (1.96 * errors).exp()


def read_answers(
    folder: str | os.PathLike, names: Sequence[str]
) -> tuple[dict[str, list[Answer]], list[str]]:
    """Read the answers of a class out of all files ranking-NAME.json of a folder.

    Only those to the question that most answered: others cannot be added to them.

    Args:
        folder: of the files; others in it are left alone.
        names: of what was compared.

    Returns:
        {NAME: answers}, and a line on each file that was left out.
    """
    kept, refused = {}, []
    for path in sorted(Path(os.path.expanduser(folder)).glob(PATTERN)):
        try:
            kept[path] = read_file(path, names)
        except InputError as error:
            refused.append(str(error))
    questions = Counter(asked for asked, _ in kept.values())
    most = questions.most_common(1)[0][0] if questions else None
    found = {}
    for path, (asked, answers) in kept.items():
        if asked == most:
            found[path.stem.removeprefix("ranking-")] = answers
        else:
            refused.append(f"{path}: it answers another question: {tell(asked)}")
    return found, refused


def read_file(path: Path, names: Sequence[str]) -> tuple[str, list[Answer]]:
    """Read one judge's file.

    Args:
        path: of the file.
        names: of what was compared.

    Returns:
        The question asked, and the answers.

    Raises:
        InputError: it cannot be read, is broken, or is about something else.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        kept = json.loads(content) if len(content) <= LARGEST else None
    except (ValueError, RecursionError):
        kept = None
    answers = kept.get("answers") if isinstance(kept, dict) else None
    question = kept.get("question") if isinstance(kept, dict) else None
    if not isinstance(answers, list) or not isinstance(question, str):
        raise InputError(f"{path}: no answers of a ranking; judge again")
    for answer in answers:
        if not _is_answer(answer):
            raise InputError(f"{path}: {tell(answer)} is no answer; judge again")
        for side in ("left", "right"):
            if answer[side] not in names:
                line = f"it is about other pictures, such as {tell(answer[side])}"
                raise InputError(f"{path}: {line}; choose another file")
    return question, answers


def _is_answer(answer: Any) -> bool:
    """Tell whether it has two sides, one of them chosen."""
    if not isinstance(answer, dict) or answer.keys() != {"left", "right", "chosen"}:
        return False
    left, right, chosen = (answer[key] for key in ("left", "right", "chosen"))
    are_texts = all(isinstance(name, str) for name in (left, right, chosen))
    return are_texts and left != right and chosen in (left, right)
