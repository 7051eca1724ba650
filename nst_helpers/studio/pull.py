"""Who pulls where: the gradient of one loss, seen over the picture (lesson 7)."""

import io

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from ..transfer import StyleTransfer

DARKEST, BLUR = 225, 80  # of 255; parts of the long side


def find_pull(transfer: StyleTransfer, loss: str) -> Tensor | None:
    """Compute how hard a loss pulls at each pixel of a run's picture.

    ‖∂L/∂x‖ over the three colours, of the loss as it is, without its weight.

    Args:
        transfer: the run, after a step.
        loss: its name.

    Returns:
        (H, W), 0 or more; None if the run has no such loss now.
    """
    terms = [x for x in transfer.losses if x.name == loss and x.weight]
    if not terms:
        return None
    with torch.enable_grad():
        pixels = transfer.image.to(transfer.device).requires_grad_()
        value = terms[0](pixels, transfer.vgg(pixels, terms[0].layers))
        (gradient,) = torch.autograd.grad(value, pixels)
    return gradient[0].norm(dim=0).float().cpu()


def pull_png(pull: Tensor) -> bytes:
    """Draw a pull as a dark veil to lay over the picture: clear where it is hard.

    Args:
        pull: (H, W), 0 or more.

    Returns:
        PNG with transparency.
    """
    strong = pull.flatten().kthvalue(max(1, int(0.98 * pull.numel()))).values
    clear = (pull / strong.clamp_min(1e-30)).clamp(0, 1).sqrt()
    dark = Image.fromarray((DARKEST * (1 - clear.numpy())).astype(np.uint8))
    veil, file = Image.new("RGBA", dark.size), io.BytesIO()
    veil.putalpha(dark.filter(ImageFilter.GaussianBlur(max(dark.size) / BLUR)))
    veil.save(file, "PNG", compress_level=1)
    return file.getvalue()
