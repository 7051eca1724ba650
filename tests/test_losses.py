import numpy as np
import pytest
import torch

from nst_helpers import VGG19, content_loss, gram_matrix, style_loss, tv_loss
from nst_helpers.losses import range_loss, total_variation


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def features(*layers, dtype=torch.float32):
    return {name: torch.rand(1, 4, 5, 6, dtype=dtype) for name in layers}


def grams(features):
    return {name: gram_matrix(f) for name, f in features.items()}


def test_gram_matrix_equals_a_plain_loop():
    f = torch.rand(1, 4, 5, 6)
    loop = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            for y in range(5):
                for x in range(6):
                    loop[i, j] += f[0, i, y, x].item() * f[0, j, y, x].item()
    np.testing.assert_allclose(gram_matrix(f), loop / 30, rtol=1e-5)


def test_gram_matrix_refuses_two_pictures():
    with pytest.raises(RuntimeError, match="shape"):
        gram_matrix(torch.rand(2, 4, 5, 6))


def test_style_does_not_see_where_things_are_but_content_does():
    f = features("conv1_1")
    order = torch.randperm(30)
    shuffled = {"conv1_1": f["conv1_1"].flatten(2)[..., order].view(1, 4, 5, 6)}
    layers = {"conv1_1": 1.0}
    assert style_loss(shuffled, grams(f), layers).item() < 1e-10
    assert content_loss(shuffled, f, layers).item() > 0.1


def test_losses_are_0_at_their_targets_and_1_at_nothing():
    f, layers = features("conv1_1", "conv2_1"), {"conv1_1": 3.0, "conv2_1": 1.0}
    nothing = {name: torch.zeros_like(x) for name, x in f.items()}
    assert content_loss(f, f, layers) == 0 and style_loss(f, grams(f), layers) == 0
    assert content_loss(nothing, f, layers).item() == pytest.approx(1)
    assert style_loss(nothing, grams(f), layers).item() == pytest.approx(1)


def test_losses_equal_numpy():
    f, t = features("conv1_1", "conv2_1"), features("conv1_1", "conv2_1")
    layers = {"conv1_1": 3.0, "conv2_1": 1.0}

    def relative(a, b):
        return np.sum((a - b) ** 2) / np.sum(b**2)

    content = {n: relative(f[n].numpy(), t[n].numpy()) for n in f}
    style = {}
    for n in f:
        a, b = (x[n].numpy().reshape(4, 30) for x in (f, t))
        style[n] = relative(a @ a.T / 30, b @ b.T / 30)
    for ours, errors in (
        (content_loss(f, t, layers), content),
        (style_loss(f, grams(t), layers), style),
    ):
        expected = (3 * errors["conv1_1"] + errors["conv2_1"]) / 4
        assert ours.item() == pytest.approx(expected, rel=1e-4)


def test_total_variation_equals_a_plain_loop():
    image = torch.rand(1, 3, 4, 5)
    x = image[0].numpy()
    down = [(x[c, i + 1, j] - x[c, i, j]) ** 2 for c, i, j in np.ndindex(3, 3, 5)]
    right = [(x[c, i, j + 1] - x[c, i, j]) ** 2 for c, i, j in np.ndindex(3, 4, 4)]
    expected = np.mean(down) + np.mean(right)
    assert total_variation(image).item() == pytest.approx(expected, rel=1e-5)
    assert tv_loss(image, image).item() == pytest.approx(1)
    assert tv_loss(torch.full((1, 3, 4, 5), 0.3), image) == 0


def test_a_flat_photo_and_a_black_painting_divide_by_no_zero():
    black = torch.zeros(1, 3, 8, 8)
    image = torch.rand(1, 3, 8, 8)
    assert tv_loss(image, black).isfinite()
    zero, layers = {"conv1_1": torch.zeros(1, 4, 5, 6)}, {"conv1_1": 1.0}
    assert content_loss(features("conv1_1"), zero, layers).isfinite()
    assert style_loss(features("conv1_1"), grams(zero), layers).isfinite()


def test_range_loss():
    image = torch.tensor([-0.5, 0.25, 1.25]).view(1, 3, 1, 1)
    assert range_loss(image).item() == pytest.approx((0.25 + 0.0625) / 3)
    assert range_loss(torch.rand(1, 3, 4, 4)) == 0


def losses_of_an_image():
    """Build every loss as a function of the image, through a float64 VGG19."""
    vgg = VGG19().double()
    photo, painting = torch.rand(2, 1, 3, 24, 32, dtype=torch.float64)
    layers = {"conv1_1": 4.0, "conv2_1": 2.0, "conv3_1": 1.0}
    content = vgg(photo, layers)
    style = grams(vgg(painting, layers))
    return {
        "content": lambda x: content_loss(vgg(x, layers), content, layers),
        "style": lambda x: style_loss(vgg(x, layers), style, layers),
        "tv": lambda x: tv_loss(x, photo),
        "range": range_loss,
    }


@pytest.mark.parametrize("name", ["content", "style", "tv", "range"])
def test_gradients_equal_finite_differences(name):
    loss = losses_of_an_image()[name]
    x = torch.rand(1, 3, 24, 32, dtype=torch.float64) * 1.4 - 0.2
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x)
    for _ in range(5):
        direction = torch.randn_like(x)
        step = 1e-6 * direction
        with torch.no_grad():
            difference = (loss(x + step) - loss(x - step)) / 2e-6
        slope = (gradient * direction).sum()
        torch.testing.assert_close(difference, slope, rtol=1e-4, atol=1e-9)
