"""Variables more equally stiff than pixels: in them, long waves count for more."""

import functools

import torch
from torch import Tensor


def scale_frequencies(image: Tensor) -> Tensor:
    """Multiply each wave of brightness by the root of its length.

    y = x − x̄ + F⁻¹(√λ · F(x̄)), where x̄ is the mean of the three channels, F the
    Fourier transform and λ = 1 / (4 f), so that waves of four pixels stay as they are.

    L-BFGS first takes all its variables to be equally stiff. Pixels are not: the loss
    resists a fine change of brightness more than a broad one. (Colours are the other
    way round, if anything, and are left alone.) Optimised are variables z, 0 at first,
    with pixels x = x₀ + scale_frequencies(z). In them a step along the gradient
    moves broad shapes further than speckle. The operator is symmetric, so that dL/dz
    is the same one on dL/dx.

    Args:
        image: (1, 3, H, W).

    Returns:
        (1, 3, H, W).

    Source: Mordvintsev et al. 2018, "Differentiable Image Parameterizations", Distill,
    who scale colours too; not in Gatys et al. 2016.
    """
    grey = image.mean(1, keepdim=True)
    height, width = image.shape[2:]
    gains = _wave_lengths(height, width, image.device).sqrt()
    waves = torch.fft.irfft2(torch.fft.rfft2(grey) * gains, s=(height, width))
    return image - grey + waves


@functools.lru_cache(maxsize=2)  # asked for twice an evaluation
def _wave_lengths(height: int, width: int, device: torch.device) -> Tensor:
    """Compute 1 / (4 f) of each entry of a spectrum, (H, W // 2 + 1)."""
    down = torch.fft.fftfreq(height, device=device)[:, None]
    right = torch.fft.rfftfreq(width, device=device)
    # The mean of the picture counts as its longest wave.
    frequency = torch.hypot(down, right).clamp_min(1 / max(height, width))
    return 1 / (4 * frequency)
