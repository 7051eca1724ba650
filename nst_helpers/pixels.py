"""Image tensors: checked, brought to a size, turned into arrays and back.

An image is a float32 tensor (1, 3, H, W), RGB, in [0, 1].
"""

import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .files import InputError

MIN_SIDE = 16  # VGG19 halves the picture four times


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Turn an array, (H, W, 3) in [0, 1], into an image tensor."""
    # In one piece: L-BFGS wants its variables so.
    channels_first = np.array(pixels.transpose(2, 0, 1), np.float32, order="C")
    return torch.from_numpy(channels_first)[None]


def to_array(image: Tensor) -> np.ndarray:
    """Turn an image tensor into an array, (H, W, 3) float32, cut off to [0, 1]."""
    return image.detach()[0].permute(1, 2, 0).float().cpu().numpy().clip(0, 1)


def to_bytes(image: Tensor) -> np.ndarray:
    """Turn an image tensor into an array, (H, W, 3) uint8, cut off to [0, 1]."""
    return (to_array(image) * 255).round().astype(np.uint8)


def check_image(image: Tensor, name: str) -> Tensor:
    """Return the image as float32, without a gradient; refuse what is none.

    The name is that of the picture, for the error, an InputError.
    """
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[:2] != (1, 3):
        raise InputError(f"the {name} is no image tensor (1, 3, H, W); use load_image")
    if not image.numel():
        raise InputError(f"the {name} is empty: no pixels")
    if not ((image >= 0) & (image <= 1)).all():
        raise InputError(f"the {name} has numbers outside [0, 1]; use load_image")
    return (image.detach() if image.requires_grad else image).float()


def check_mask(mask: Tensor | None) -> None:
    """Refuse what is neither None nor a mask: (H, W) in [0, 1], not all 0."""
    if mask is None:
        return
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        raise InputError("a mask is a tensor (H, W); this is none")
    if not ((mask >= 0) & (mask <= 1)).all() or not mask.any():
        raise InputError("a mask's numbers must lie in [0, 1] and not all be 0")


def fit_mask(mask: Tensor, features: Tensor) -> Tensor:
    """Bring a mask, (h, w), to the (H, W) of features, (1, C, H, W), by area."""
    mask = mask[None, None].to(features)
    return interpolate(mask, features.shape[2:], mode="area")[0, 0]


def resize(
    image: Tensor, long_side: int, name: str = "the picture", scale: float = 1.0
) -> Tensor:
    """Bring the longer side of an image to scale · long_side pixels; keep its shape.

    Shrinking averages areas (no moiré from whiskers or brush strokes); enlarging
    interpolates cubically. An InputError says, by the picture's name, if a side is or
    falls under 16 pixels.
    """
    old_h, old_w = image.shape[2:]
    ratio = round(scale * long_side) / max(old_h, old_w)
    h, w = round(old_h * ratio), round(old_w * ratio)
    if min(old_h, old_w, h, w) < MIN_SIDE:
        then = "" if ratio == 1 else f" would become {w}x{h}"
        advice = "a larger picture"
        if min(old_h, old_w) >= MIN_SIDE:
            enough = MIN_SIDE * max(old_h, old_w) / min(old_h, old_w) / scale
            advice = f"a size of {math.ceil(enough)} or more, or crop it"
            if scale < 1:
                advice += ", or a larger style scale"
        raise InputError(
            f"{name}: {old_w}x{old_h} pixels{then}; each side needs at least "
            f"{MIN_SIDE}: choose {advice}"
        )
    return stretch(image, h, w)


def stretch(image: Tensor, height: int, width: int) -> Tensor:
    """Bring an image to a height and a width in pixels, whatever its shape."""
    if image.shape[2:] == (height, width):
        return image
    method = cv2.INTER_AREA if height < image.shape[2] else cv2.INTER_CUBIC
    pixels = cv2.resize(to_array(image), (width, height), interpolation=method)
    return to_tensor(pixels.clip(0, 1))


def fit_inside(image: Tensor, height: int, width: int) -> Tensor:
    """Bring an image, whole and undistorted, into a frame; mirror it to fill the rest.

    The frame is height × width pixels; the result, (1, 3, height, width), on the CPU.
    """
    scale = min(height / image.shape[2], width / image.shape[3])
    sides = (max(1, round(scale * side)) for side in image.shape[2:])
    pixels = to_array(stretch(image, *sides))  # mirrored, a thin one will do
    down, right = height - pixels.shape[0], width - pixels.shape[1]
    borders = (down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0)
    return to_tensor(np.pad(pixels, borders, mode="symmetric"))
