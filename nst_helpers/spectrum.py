"""The variables of the optimisation: a picture as waves, long ones made stronger."""

import torch
from torch import Tensor


def spectral_preconditioner(image: Tensor) -> Tensor:
    """Make long waves of brightness stronger: the more, the longer they are.

    y = x − x̄ + F⁻¹(√λ · F(x̄)), where x̄ is the mean of the three channels, F the
    Fourier transform and λ = 1 / (4 f), so that waves of four pixels stay as they are.

    L-BFGS first treats all variables alike. Pixels are not alike: the loss rises more
    steeply along short waves of brightness than along long ones. (Colours are the other
    way round, if anything, and are left alone.) So variables z are optimised, 0 at
    first, with pixels x = x₀ + spectral_preconditioner(z): a step along the gradient
    then moves broad shapes further than speckle. Mirrored, no border leaks across.

    Args:
        image: (1, 3, H, W).

    Returns:
        (1, 3, H, W).

    Source: Mordvintsev et al. 2018, "Differentiable Image Parameterizations", Distill,
    who scale colours too; not in Gatys et al. 2016.
    """
    height, width = image.shape[2:]
    kind = {"device": image.device, "dtype": image.dtype}
    down = torch.fft.fftfreq(2 * height, **kind)[:, None]
    right = torch.fft.rfftfreq(2 * width, **kind)
    # The mean counts as the longest wave.
    frequency = torch.hypot(down, right).clamp_min(1 / max(height, width))
    grey = image.mean(1, keepdim=True)
    mirrored = torch.cat([grey, grey.flip(2)], 2)
    mirrored = torch.cat([mirrored, mirrored.flip(3)], 3)
    spectrum = torch.fft.rfft2(mirrored) * (1 / (4 * frequency)).sqrt()
    return image - grey + torch.fft.irfft2(spectrum)[..., :height, :width]
