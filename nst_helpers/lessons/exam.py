"""What a seed chooses for the exam: numbers, pictures, programs and answers.

notebooks/exam/exam.ipynb asks, and answers; make_exam.py makes the two sheets.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from .broken import MISTAKES, PAIRS


def choose_matrix(seed: int) -> tuple[Tensor, list[int]]:
    """Choose the features of task 1 and an order of their four positions.

    Args:
        seed: of the exam.

    Returns:
        F, (3, 4), whole numbers 0 to 3, no two columns alike; and 0 to 3 in an order
        that leaves none of them in its place.
    """
    rng = random.Random(seed)
    columns: set[tuple[int, ...]] = set()
    while len(columns) < 4:
        columns.add(tuple(rng.choices(range(4), k=3)))
    shift = rng.choice([1, 2, 3])
    order = [(place + shift) % 4 for place in range(4)]
    return torch.tensor(rng.sample(sorted(columns), 4)).T.float(), order


def loss_of_gram(F: Tensor, A: Tensor) -> Tensor:
    """Compute ‖G − A‖² / ‖A‖² with G = F Fᵀ / M."""
    G = F @ F.T / F.shape[1]
    return ((G - A) ** 2).sum() / (A**2).sum()


def loss_of_covariance(F: Tensor, A: Tensor) -> Tensor:
    """Compute ‖G − A‖² / ‖A‖² with G = X Xᵀ / M, where X is F less each row's mean."""
    X = F - F.mean(1, keepdim=True)
    G = X @ X.T / F.shape[1]
    return ((G - A) ** 2).sum() / (A**2).sum()


def loss_of_guided_gram(F: Tensor, A: Tensor) -> Tensor:
    """Compute ‖G − A‖² / ‖A‖² with G = F diag(m) Fᵀ / Σ m, where m = 1, 2, …, M."""
    m = torch.arange(1, F.shape[1] + 1).to(F)
    G = (F * m) @ F.T / m.sum()
    return ((G - A) ** 2).sum() / (A**2).sum()


LOSSES = loss_of_gram, loss_of_covariance, loss_of_guided_gram


def choose_loss(seed: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Choose the loss of task 2.

    Args:
        seed: of the exam.

    Returns:
        One of LOSSES: of F, (C, M), and A, (C, C), symmetric.
    """
    return LOSSES[seed % len(LOSSES)]


def choose_pictures(seed: int) -> tuple[str, str]:
    """Choose the photo and the painting of tasks 3 and 5.

    Args:
        seed: of the exam.

    Returns:
        Their names without ".jpg", in images/content and images/style.
    """
    return PAIRS[(seed + 1) % len(PAIRS)]


def choose_programs(seed: int) -> list[int]:
    """Choose the three broken programs of task 4, each with another mistake.

    Args:
        seed: of the exam.

    Returns:
        Three seeds of write_program.
    """
    count = len(MISTAKES)  # so many seeds in a row have all mistakes once
    first = count * random.Random(seed).randrange(1000)
    return random.Random(f"programs {seed}").sample(range(first, first + count), 3)


def make_up_answers(seed: int, count: int = 40) -> tuple[str, str]:
    """Make up the answers of a blind comparison, for task 5.

    Args:
        seed: of the exam; it also chooses how often the Gram matrix is preferred.
        count: of the comparisons.

    Returns:
        What stood left, "G" (Gram matrix) or "S" (the other statistic), and what was
        chosen, "L" (left) or "R"; a letter for each comparison.
    """
    rng = random.Random(f"answers {seed}")
    prefer_gram = (0.35, 0.5, 0.8)[seed % 3]
    left = "".join(rng.choice("GS") for _ in range(count))
    better = ["G" if rng.random() < prefer_gram else "S" for _ in range(count)]
    chosen = ("LR"[a != b] for a, b in zip(left, better, strict=True))
    return left, "".join(chosen)
