"""Numbers for what the eye minds: a frame along the border, beads, speckle.

Each is 0 where there is nothing to mind.
"""

import numpy as np


def frame(image, photo):
    """Compare the border of a picture with places further in.

    Of each line of pixels along a side, take the mean colour, less the photo's. From
    the outer 4 lines to the next 8 it changes; so it does further in. 0: no more at the
    border than there.

    Args:
        image: (H, W, 3) in [0, 1].
        photo: (H, W, 3) in [0, 1].
    """
    outer, inner = [], []
    added = image - photo
    for side in (added, added[::-1], added.swapaxes(0, 1), added.swapaxes(0, 1)[::-1]):
        lines = side.mean(1)
        places = range(16, len(lines) // 2 - 12, 4)
        change = {
            k: lines[k : k + 4].mean(0) - lines[k + 4 : k + 12].mean(0)
            for k in (0, *places)
        }
        outer.append(change.pop(0))
        inner += change.values()
    return max(
        0.0,
        np.linalg.norm(outer)
        / len(outer) ** 0.5
        / (np.linalg.norm(inner) / len(inner) ** 0.5)
        - 1,
    )


def beads(image):
    """Look for a grid of pooling's: the energy at periods 2, 4, 8 and 16.

    It is compared with that of neighbouring frequencies, in both directions: the mean
    of the logarithm. 0: no more than there.

    Args:
        image: (H, W, 3) in [0, 1].
    """
    grey, found = image.mean(2), []
    for lines in (grey, grey.T):
        count = len(lines) // 16 * 16
        lines = lines[:count] - lines[:count].mean(0)
        energy = abs(np.fft.rfft(lines * np.hanning(count)[:, None], axis=0)) ** 2
        energy = energy.mean(1)
        for period in (2, 4, 8, 16):
            k = count // period
            near = [*energy[k - 7 : k - 3], *energy[k + 4 : k + 8]]
            found.append(np.log(energy[k - 1 : k + 2].mean() / np.mean(near)))
    return max(0.0, np.mean(found))


def speckle(image, painting):
    """Measure how much finer a picture is than its painting.

    The energy above a quarter of the sampling rate, relative to the painting's, less 1.

    Args:
        image: (H, W, 3) in [0, 1].
        painting: (h, w, 3), of the same long side.
    """
    return max(0.0, _fine(image) / _fine(painting) - 1)


def _fine(image):
    grey = image.mean(2) - image.mean()
    height, width = grey.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    energy = abs(np.fft.fft2(grey * window)) ** 2
    down, right = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    return energy[np.hypot(down, right) > 0.25].sum() / (window**2).sum() / grey.size
