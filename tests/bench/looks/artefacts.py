"""Numbers for what the eye minds: a frame along the border, beads, speckle.

Each is 0 where there is nothing to mind.
"""

import numpy as np


def frame(image):
    """Compare the border of a picture with places further in.

    Along each side, the mean colour of the outer 4 pixels and of the next 8 differ; so
    do those of lines further in. 0: no more at the border than there.

    Args:
        image: (H, W, 3) in [0, 1].
    """
    steps = []
    for side in (image, image[::-1], image.swapaxes(0, 1), image.swapaxes(0, 1)[::-1]):
        lines = side.mean(1)  # the mean colour of each line along this side
        places = range(0, len(lines) // 2 - 12, 4)
        steps += [
            (
                k > 0,
                abs(lines[k : k + 4].mean(0) - lines[k + 4 : k + 12].mean(0)).mean(),
            )
            for k in places
            if k == 0 or k >= 16
        ]
    outer = np.mean([step for inside, step in steps if not inside])
    inner = np.mean([step for inside, step in steps if inside])
    return max(0.0, outer / inner - 1)


def beads(image):
    """Look for a grid of pooling's: the energy at periods 2, 4, 8 and 16.

    It is compared with that of neighbouring frequencies; the most of the four and of
    both directions counts. 0: no more than there.

    Args:
        image: (H, W, 3) in [0, 1].
    """
    grey, most = image.mean(2), 0.0
    for lines in (grey, grey.T):
        count = len(lines) // 16 * 16
        lines = lines[:count] - lines[:count].mean(0)
        energy = abs(np.fft.rfft(lines * np.hanning(count)[:, None], axis=0)) ** 2
        energy = energy.mean(1)
        for period in (2, 4, 8, 16):
            k = count // period
            near = [
                energy[j]
                for d in (4, 5, 6, 7)
                for j in (k - d, k + d)
                if 0 < j < len(energy)
            ]
            most = max(most, energy[k - 1 : k + 2].mean() / np.mean(near) - 1)
    return most


def speckle(image, painting):
    """Measure how much finer a picture is than its painting.

    The share of its energy above a quarter of the sampling rate, less the painting's.

    Args:
        image: (H, W, 3) in [0, 1].
        painting: (h, w, 3), of the same long side.
    """
    return max(0.0, _fine(image) - _fine(painting))


def _fine(image):
    grey = image.mean(2) - image.mean()
    height, width = grey.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    energy = abs(np.fft.fft2(grey * window)) ** 2
    down, right = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    return energy[np.hypot(down, right) > 0.25].sum() / energy.sum()
