"""What moves in a film, by optical flow, and the loss that holds a picture to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ..losses import Loss, StyleLoss, relative_error
from ..pixels import fit_mask, stretch, to_array, to_bytes, to_tensor
from ..vgg import VGG19


@dataclass(eq=False, repr=False)
class TemporalLoss(Loss):
    """Keep what was painted, where it can be followed.

    L_temporal = Σ c (x − ω)² / Σ c ω²

    Args:
        moved: ω, (1, 3, H, W) in [0, 1], the painted frame before, moved by follow.
        trust: c, (H, W) in [0, 1], how far that is to be trusted.
        weight, name: as in Loss.

    Source: Ruder, Dosovitskiy, Brox 2016, "Artistic Style Transfer for Videos",
    section 4.2, made relative.
    """

    moved: Tensor
    trust: Tensor
    weight: float = 100.0
    name: str = "temporal"

    def prepare(self, vgg: VGG19, photo: Tensor) -> None:
        """Bring both to the size of the photo, (1, 3, H, W)."""
        self.root = fit_mask(self.trust, photo).sqrt()
        self.target = self.root * stretch(self.moved, *photo.shape[2:]).to(photo)

    def __call__(self, image: Tensor, features: dict[str, Tensor]) -> Tensor:
        """Compare with what was painted before."""
        return relative_error(self.root * image, self.target)


def hold(
    losses: Sequence[Loss], moved: Tensor, trust: Tensor, weight: float
) -> list[Loss]:
    """Add a TemporalLoss, of so many weights of the others, and styles of what is new.

    In the style of the whole, what has come into view hardly counts: it would stay a
    photo. So it has each style once more, by its area.
    """
    weight = min(1e6, weight * sum(loss.weight for loss in losses))  # the largest
    more, new = [TemporalLoss(moved, trust, weight)], 1 - trust
    part = new.mean().item()
    for loss in losses:
        if isinstance(loss, StyleLoss) and part:
            look = {"mask": new, "name": f"new {loss.name}"}
            more.append(replace(loss, weight=part * loss.weight, **look))
    return [*losses, *more]


def follow(painted: Tensor, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
    """Move a painted frame as the film has moved since, by OpenCV's DIS optical flow.

    Args:
        painted: (1, 3, H, W) in [0, 1].
        before: (1, 3, H, W), the frame it was painted from.
        now: (1, 3, H, W), the next one.

    Returns:
        The moved frame, (1, 3, H, W) in [0, 1], and how far each place is to be
        trusted, (H, W), 0 or 1: there and back leads home, no edge of motion is near.

    Source: Kroeger et al. 2016 (DIS); Ruder et al. 2016, section 4.2.
    """
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(to_bytes(x), cv2.COLOR_RGB2GRAY) for x in (before, now)]
    forth, back = method.calc(*grey, None), method.calc(*grey[::-1], None)
    height, width = grey[0].shape
    there = np.indices((height, width), np.float32)[::-1].transpose(1, 2, 0) + back
    look = {"map2": None, "interpolation": cv2.INTER_CUBIC}
    look["borderMode"] = cv2.BORDER_REPLICATE
    moved = cv2.remap(to_array(painted), there, **look).clip(0, 1)
    forth = cv2.remap(forth, there, **look)
    squares = (back**2).sum(2)
    home = ((back + forth) ** 2).sum(2) <= 0.01 * (squares + (forth**2).sum(2)) + 0.5
    slopes = sum((slope**2).sum(2) for slope in np.gradient(back, axis=(0, 1)))
    inside = ((there > -0.5) & (there < [width - 0.5, height - 0.5])).all(2)
    trust = home & inside & (slopes <= 0.01 * squares + 0.002)
    return to_tensor(moved), torch.from_numpy(trust.astype(np.float32))
