"""The colours of one picture, the drawing of another."""

import torch
from torch import Tensor

from .pixels import stretch


def recolour(image: Tensor, colours: Tensor) -> Tensor:
    """Give an image the colours of another, and keep its brightness.

    x = colours + Y(image) − Y(colours), where Y = 0.299 R + 0.587 G + 0.114 B.

    Args:
        image: (1, 3, H, W) in [0, 1].
        colours: (1, 3, h, w) in [0, 1], stretched to the image's size.

    Returns:
        (1, 3, H, W) in [0, 1].

    Source: Gatys et al. 2017, "Controlling Perceptual Factors in Neural Style
    Transfer", CVPR, section 5.1; the brightness is that of ITU-R BT.601.
    """
    colours = stretch(colours, *image.shape[2:])
    weights = colours.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    lighter = ((image - colours) * weights).sum(1, keepdim=True)
    return (colours + lighter).clamp(0, 1)


def match_colours(image: Tensor, like: Tensor) -> Tensor:
    """Give an image the palette of another: mean and covariance of its colours.

    x = m₂ + √C₂ √C₁⁻¹ (image − m₁), in linear light, where √C √C = C.

    Args:
        image: (1, 3, H, W) in [0, 1], of mean m₁ and covariance C₁.
        like: (1, 3, h, w) in [0, 1], of mean m₂ and covariance C₂.

    Returns:
        (1, 3, H, W) in [0, 1].

    Source: Gatys et al. 2017, section 5.2; linear light: IEC 61966-2-1.
    """
    x, y = (_linear(a.double()).flatten(2)[0] for a in (image, like.to(image.device)))
    means = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    # A palette of one colour has no inverse: as if it were a little noisy.
    noise = 1e-6 * torch.eye(3).to(x)
    mine, theirs = (_root(torch.cov(a) + noise) for a in (x, y))
    moved = means[1] + theirs @ torch.linalg.inv(mine) @ (x - means[0])
    moved = moved.clamp(0, 1).view(image.shape)
    low, high = 12.92 * moved, 1.055 * moved ** (1 / 2.4) - 0.055
    return torch.where(moved <= 0.0031308, low, high).clamp(0, 1).to(image)


def _linear(image: Tensor) -> Tensor:
    """Undo what screens expect of numbers: twice the number is twice the light."""
    bright = ((image + 0.055) / 1.055) ** 2.4
    return torch.where(image <= 0.04045, image / 12.92, bright)


def _root(covariance: Tensor) -> Tensor:
    """Return the symmetric matrix of which a covariance, (3, 3), is the square."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.sqrt() @ vectors.T
