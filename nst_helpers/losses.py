"""The losses of neural style transfer: pure functions, and the terms of the sum.

Content and style are squared L2 distances with their unit removed: 0 is a perfect match
and 1 is "as wrong as drawing nothing" (total variation: "as rough as the photo"). So a
weight means the same for every picture, size, layer and network. Total variation and
range are not in Gatys et al. 2016.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import mse_loss

from .files import check_number
from .images import Picture, as_image
from .layers import CONTENT_LAYERS, STYLE_LAYERS
from .pixels import check_mask, fit_mask, resize
from .vgg import VGG19

# Losses divide by at least this, less than of any picture that is not flat.
FLOOR, TV_FLOOR = 1e-8, 1e-4


def gram_matrix(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Measure how strongly each pair of channels of a layer lights up together.

    G = F Fᵀ / (H·W), where row i of F, of shape (C, H·W), is channel i laid flat. With
    a mask m, which says how much each position counts: G = F diag(m) Fᵀ / Σ m.

    Args:
        features: (1, C, H, W), one layer's activations.
        mask: (H, W) in [0, 1], not all 0.

    Returns:
        (C, C), symmetric; entry (i, j) is the mean over positions of channel i times
        channel j. Where things are is gone.

    Source: Gatys et al. 2016, equation 3; they divide later, by 4N²M². With a mask:
    Gatys et al. 2017, equation 7; of a soft mask they take the square.
    """
    _, channels, height, width = features.shape
    flat = features.reshape(channels, height * width)
    if mask is None:
        return _TimesItsTranspose.apply(flat) / (height * width)
    return _TimesItsTranspose.apply(flat * mask.flatten().sqrt()) / mask.sum()


class _TimesItsTranspose(torch.autograd.Function):
    """Compute F Fᵀ; the gradient takes one product, where autograd's own takes two."""

    @staticmethod
    def forward(ctx: Any, f: Tensor) -> Tensor:
        ctx.save_for_backward(f)
        return f @ f.T

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (f,) = ctx.saved_tensors
        # The product rule; in this order the result lies in memory as f does.
        return (f.T @ (gradient + gradient.T)).T


def relative_error(x: Tensor, target: Tensor) -> Tensor:
    """Compute ‖x − target‖² / ‖target‖².

    Args:
        x: any shape.
        target: the same shape; its mean square counts as 1e-8 at least.

    Returns:
        (), 0 or more: 0 is equal, 1 is as wrong as x = 0.
    """
    off = vector_norm(x - target) ** 2 / target.numel()  # needs no room for squares
    mean_square = vector_norm(target) ** 2 / target.numel()
    return off / mean_square.clamp_min(FLOOR)


def content_loss(
    features: dict[str, Tensor], target: dict[str, Tensor], layers: Mapping[str, float]
) -> Tensor:
    """Measure how far the picture's features are from the photo's.

    L_content = Σ w ‖F − F_photo‖² / ‖F_photo‖² / Σ w, over the layers.

    Args:
        features: {layer: (1, C, H, W)}, of the picture.
        target: {layer: (1, C, H, W)}, of the photo.
        layers: {layer: weight}, each weight 0 or more, one at least above 0.

    Returns:
        (), 0 or more.

    Source: Gatys et al. 2016, section 2.1, equation 1, made relative.
    """
    errors = {name: relative_error(features[name], target[name]) for name in layers}
    return sum(layers[name] * errors[name] for name in layers) / sum(layers.values())


def style_loss(
    features: dict[str, Tensor], target: dict[str, Tensor], layers: Mapping[str, float]
) -> Tensor:
    """Measure how far the picture's Gram matrices are from the painting's.

    L_style = Σ w ‖G − G_painting‖² / ‖G_painting‖² / Σ w, over the layers.

    Args:
        features: {layer: (1, C, H, W)}, of the picture.
        target: {layer: (C, C)}, Gram matrices of the painting.
        layers: {layer: weight}, each weight 0 or more, one at least above 0.

    Returns:
        (), 0 or more.

    Source: Gatys et al. 2016, section 2.2, equations 4 and 5, made relative.
    """
    grams = {name: gram_matrix(features[name]) for name in layers}
    return content_loss(grams, target, layers)  # the same distance, of other things


def total_variation(image: Tensor) -> Tensor:
    """Average the squared differences between neighbouring pixels.

    TV = mean (x[i+1, j] − x[i, j])² + mean (x[i, j+1] − x[i, j])²

    Args:
        image: (1, 3, H, W) in [0, 1].

    Returns:
        (), 0 for a flat image; near 0.003 for a photo of 256 pixels.

    Source: the squared form of Mahendran and Vedaldi 2015, section 3 (β = 2).
    """
    down = mse_loss(image[:, :, 1:, :], image[:, :, :-1, :])
    right = mse_loss(image[:, :, :, 1:], image[:, :, :, :-1])
    return down + right


def tv_loss(image: Tensor, photo: Tensor) -> Tensor:
    """Measure a picture's total variation, as a ratio to the photo's.

    L_tv = TV(image) / max(TV(photo), 1e-4)

    Args:
        image: (1, 3, H, W) in [0, 1].
        photo: (1, 3, H, W) in [0, 1].

    Returns:
        (), 0 for a flat image, 1 for one as rough as the photo, unless that is flat.
    """
    return total_variation(image) / total_variation(photo).clamp_min(TV_FLOOR)


def range_loss(image: Tensor) -> Tensor:
    """Measure how far pixels leave [0, 1], where no screen can show them.

    L_range = mean (x − clip(x, 0, 1))². A clamp would change the picture behind the
    optimiser's back; this smooth penalty lets L-BFGS see the border coming.

    Args:
        image: (1, 3, H, W).

    Returns:
        (), 0 where every pixel can be shown.
    """
    return mse_loss(image, image.clamp(0, 1))


class Loss:
    """Measure one thing about a picture: a term of the weighted sum.

    A loss of your own is a subclass, in a notebook cell if you like, given to
    `StyleTransfer(photo, painting, losses=[...])`. It belongs to one run.

    Attributes:
        name: unique in a run: the key of its number in Step.losses.
        weight: how much it counts, 0 or more; may be changed in mid-run.
        layers: {layer: weight}; the features of these are what `__call__` is given.
    """

    name: str = "loss"
    weight: float = 1.0
    layers: Mapping[str, float] = MappingProxyType({})

    def prepare(self, vgg: VGG19, photo: Tensor) -> None:
        """Keep what to aim at; the photo, (1, 3, H, W), has the size painted at."""
        self.photo = photo

    def __call__(self, image: Tensor, features: dict[str, Tensor]) -> Tensor:
        """Return the loss, (), of image, (1, 3, H, W), and {layer: (1, C, h, w)}."""
        raise NotImplementedError


@dataclass(eq=False, repr=False)
class ContentLoss(Loss):
    """Keep the photo's features: content_loss."""

    weight: float = 1.0
    layers: Mapping[str, float] = field(default_factory=lambda: CONTENT_LAYERS)
    name: str = "content"

    def prepare(self, vgg: VGG19, photo: Tensor) -> None:
        """Keep the features of the photo, (1, 3, H, W)."""
        features = vgg(photo, self.layers)
        self.target = {name: f.to(photo.dtype) for name, f in features.items()}

    def __call__(self, image: Tensor, features: dict[str, Tensor]) -> Tensor:
        """Compare features with the photo's."""
        return content_loss(features, self.target, self.layers)


@dataclass(eq=False, repr=False)
class StyleLoss(Loss):
    """Take on the Gram matrices of a painting: style_loss.

    Args:
        painting: any picture that load_image takes, of any shape and size.
        weight, layers, name: as in Loss.
        statistic: of features, (1, C, H, W), and a mask, if any; its shape has no H, W.
        mask: (H, W) in [0, 1], where in the photo the style shall be; None: everywhere.
        painting_mask: (H, W) in [0, 1], where in the painting it is taken from.
        scale: long side of the painting in long sides of the photo, 0.05 to 20.

    Raises:
        InputError: what is no image, mask or scale.

    Source: masks and scale: Gatys et al. 2017, "Controlling Perceptual Factors in
    Neural Style Transfer", CVPR.
    """

    painting: Picture
    weight: float = 100.0
    layers: Mapping[str, float] = field(default_factory=lambda: STYLE_LAYERS)
    statistic: Callable[..., Tensor] = gram_matrix
    mask: Tensor | None = None
    painting_mask: Tensor | None = None
    scale: float = 1.0
    name: str = "style"

    def __post_init__(self) -> None:
        self.painting = as_image(self.painting, "painting")
        check_number("scale", self.scale, 0.05, 20.0)
        for mask in (self.mask, self.painting_mask):
            check_mask(mask)

    def prepare(self, vgg: VGG19, photo: Tensor) -> None:
        """Keep the painting's statistics, at the size of the photo, (1, 3, H, W)."""
        size = max(photo.shape[2:])
        painting = resize(self.painting, size, "the painting", self.scale).to(photo)
        found = self._describe(vgg(painting, self.layers), self.painting_mask)
        self.target = {name: x.to(photo.dtype) for name, x in found.items()}

    def __call__(self, image: Tensor, features: dict[str, Tensor]) -> Tensor:
        """Compare statistics with the painting's."""
        found = self._describe(features, self.mask)
        return content_loss(found, self.target, self.layers)

    def _describe(
        self, features: dict[str, Tensor], mask: Tensor | None
    ) -> dict[str, Tensor]:
        """Compute the statistic of each layer, in the region of a mask."""
        if mask is None:
            return {name: self.statistic(features[name]) for name in self.layers}
        masks = {name: fit_mask(mask, features[name]) for name in self.layers}
        return {name: self.statistic(features[name], m) for name, m in masks.items()}


@dataclass(eq=False, repr=False)
class TotalVariationLoss(Loss):
    """Calm the noise: tv_loss."""

    weight: float = 0.3
    name: str = "tv"

    def __call__(self, image: Tensor, features: dict[str, Tensor]) -> Tensor:
        """Compare the total variation with the photo's."""
        return tv_loss(image, self.photo)


@dataclass(eq=False, repr=False)
class RangeLoss(Loss):
    """Keep pixels in [0, 1]: range_loss. StyleTransfer adds it by itself."""

    weight: float
    name: str = "range"

    def __call__(self, image: Tensor, features: dict[str, Tensor]) -> Tensor:
        """Measure how far pixels leave [0, 1]."""
        return range_loss(image)
