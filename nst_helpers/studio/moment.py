"""A picture of a run, with all that was known when it was painted."""

from dataclasses import dataclass

from torch import Tensor

from ..pixels import to_tensor
from .scene import Move, Scene


@dataclass(frozen=True, eq=False)
class Moment:
    """Hold a picture of a run, and how it came about.

    Args:
        iteration: 0 is the start.
        pixels: (H, W, 3), uint8.
        losses: {name: loss} before weighting, and "total", as in Step.
        weights: {name: weight} of these.
        scene: it was painted by.
        moves: all of the run so far.
    """

    iteration: int
    pixels: Tensor
    losses: dict[str, float]
    weights: dict[str, float]
    scene: Scene
    moves: tuple[Move, ...]

    @property
    def image(self) -> Tensor:
        """The picture, (1, 3, H, W) in [0, 1]."""
        return to_tensor(self.pixels.numpy() / 255)

    @property
    def size(self) -> int:
        """Its long side in pixels."""
        return max(self.pixels.shape)
