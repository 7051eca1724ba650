"""What a run yields."""

from dataclasses import dataclass

from torch import Tensor

from .settings import Settings


@dataclass(frozen=True)
class Step:
    """Hold the picture after one iteration.

    Args:
        iteration: 0 is the start.
        evaluations: how often the loss and its gradient were computed so far.
        seconds: time spent computing so far.
        image: (1, 3, H, W) in [0, 1], on the CPU.
        losses: {name: loss} before weighting, and "total", the weighted sum; of the
            pixels before these were cut off at 0 and 1 for the image.
        weights: {name: weight} of these losses; one of weight 0 is left out.
        restarted: the loss surface was bent, the picture moved or the step before
            broken off, so the optimiser began its history anew.
        settings: it was made with.
    """

    iteration: int
    evaluations: int
    seconds: float
    image: Tensor
    losses: dict[str, float]
    weights: dict[str, float]
    restarted: bool
    settings: Settings
