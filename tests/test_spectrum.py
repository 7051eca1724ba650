"""The variables of the optimisation: waves of a picture, scaled by their length."""

import numpy as np
import torch

from nst_helpers import content_loss, gram_matrix, style_loss, stylize, tv_loss
from nst_helpers.layers import CONTENT_LAYERS, STYLE_LAYERS
from nst_helpers.pixels import resize
from nst_helpers.settings import Settings
from nst_helpers.spectrum import spectral_preconditioner

SHAPES = (24, 32), (17, 24), (24, 33), (16, 16)


def test_each_wave_is_scaled_by_the_root_of_its_length():
    for height, width in SHAPES:
        down, right = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
        for m, n in ((3, 0), (0, 4), (2, 6), (1, 0), (8, 7)):
            # Mirrored, it goes on without a break.
            wave = np.cos(np.pi * m * (down + 0.5) / height)
            wave = wave * np.cos(np.pi * n * (right + 0.5) / width)
            length = 2 / np.hypot(m / height, n / width)
            length = min(length, max(height, width))
            image = torch.tensor(wave, dtype=torch.float32).expand(1, 3, -1, -1)
            expected = image * (length / 4) ** 0.5
            scaled = spectral_preconditioner(image)
            torch.testing.assert_close(scaled, expected, rtol=0, atol=2e-5)
            colour = image * torch.tensor([2.0, -1, -1]).view(3, 1, 1)
            both = spectral_preconditioner(image + colour)
            torch.testing.assert_close(both, expected + colour, rtol=0, atol=2e-5)


def test_a_flat_grey_counts_as_the_longest_wave():
    grey = torch.full((1, 3, 24, 32), 0.5)
    scaled = spectral_preconditioner(grey)
    torch.testing.assert_close(scaled, grey * (32 / 4) ** 0.5)


def test_it_is_linear_and_symmetric():
    for shape in SHAPES:
        x, y = torch.rand(2, 1, 3, *shape, dtype=torch.float64)
        px, py = spectral_preconditioner(x), spectral_preconditioner(y)
        torch.testing.assert_close(spectral_preconditioner(2 * x - y), 2 * px - py)
        torch.testing.assert_close((px * y).sum(), (x * py).sum())
        assert (px * x).sum() > 0  # and no wave is lost
        x.requires_grad_()
        (gradient,) = torch.autograd.grad((spectral_preconditioner(x) * y).sum(), x)
        torch.testing.assert_close(gradient, py)


def test_no_border_is_carried_over_to_the_other_side():
    image = torch.zeros(1, 3, 64, 64)
    image[..., :4] = 1.0
    moved = spectral_preconditioner(image)
    assert moved[..., -4:].abs().max() < 0.1 * moved[..., :4].abs().max()


def test_the_variables_are_more_equally_stiff_than_pixels(photo, painting, vgg):
    """The claim of spectral_preconditioner, measured along random waves."""
    aim = Settings(size=64, steps=6, precision="float32")
    start = stylize(photo, painting, aim)
    photo, painting = resize(photo, 64), resize(painting, 64)
    height, width = start.shape[2:]
    down, right = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    frequency = np.hypot(down, right)
    colours = {"grey": (1, 1, 1), "red - green": (1, -1, 0)}
    content = vgg(photo, CONTENT_LAYERS)
    grams = {n: gram_matrix(f) for n, f in vgg(painting, STYLE_LAYERS).items()}

    def gradient(z, change):
        """Compute the gradient where the picture is start + change(z)."""
        z = z.clone().requires_grad_()
        pixels = start + change(z)
        features = vgg(pixels, [*CONTENT_LAYERS, *STYLE_LAYERS])
        loss = content_loss(features, content, CONTENT_LAYERS)
        loss = loss + 100 * style_loss(features, grams, STYLE_LAYERS)
        return torch.autograd.grad(loss + 0.3 * tv_loss(pixels, photo), z)[0]

    def stiffness(band, colour, change):
        """Compute v·H v / v·v from gradients on both sides."""
        random = np.random.default_rng(0).normal(size=(height, width))
        waves = np.fft.irfft2(np.fft.rfft2(random) * band, s=(height, width))
        v = torch.tensor(waves / waves.std(), dtype=torch.float32).expand(1, 3, -1, -1)
        v = 0.005 * v * torch.tensor(colours[colour]).view(3, 1, 1)
        curved = gradient(v, change) - gradient(-v, change)
        return ((curved * v).sum() / 2 / v.square().sum()).item()

    def ratio(colour, change):
        """Compare fine waves, shorter than 8 pixels, with broad ones."""
        fine = stiffness(frequency > 1 / 8, colour, change)
        return fine / stiffness(frequency < 1 / 16, colour, change)

    def pixels(z):
        return z

    assert ratio("grey", pixels) > 4 and ratio("red - green", pixels) < 1
    assert 1 / 4 < ratio("grey", spectral_preconditioner) < 4
