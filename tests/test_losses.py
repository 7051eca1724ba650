"""Losses against loops, NumPy and finite differences."""

import numpy as np
import pytest
import torch

from nst_helpers import (
    VGG19,
    ContentLoss,
    InputError,
    Loss,
    RangeLoss,
    StyleLoss,
    TotalVariationLoss,
    content_loss,
    gram_matrix,
    style_loss,
    tv_loss,
)
from nst_helpers.losses import range_loss, relative_error, total_variation
from nst_helpers.pixels import resize

LAYERS = {"conv1_1": 4.0, "conv2_1": 2.0, "conv3_1": 1.0}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def features(*layers, dtype=torch.float32):
    return {name: torch.rand(1, 4, 5, 6, dtype=dtype) for name in layers}


def grams(features):
    return {name: gram_matrix(f) for name, f in features.items()}


def relative(a, b):
    """Compute ‖a − b‖² / ‖b‖² of arrays."""
    return ((a - b) ** 2).sum() / (b**2).sum()


def numpy_gram(features, mask=None):
    """Compute F diag(m) Fᵀ / Σ m; the mask is averaged by area."""
    f = features[0].double().numpy()
    if mask is None:
        mask = np.ones(f.shape[1:])
    mask = np.asarray(mask, dtype=float)
    height, width = f.shape[1:]
    small = np.empty((height, width))
    for i, j in np.ndindex(height, width):
        top, bottom = i * len(mask) // height, -(-(i + 1) * len(mask) // height)
        left, right = (
            j * mask.shape[1] // width,
            -(-(j + 1) * mask.shape[1] // width),
        )
        small[i, j] = mask[top:bottom, left:right].mean()
    return np.einsum("chw,dhw,hw->cd", f, f, small) / small.sum()


def test_gram_matrix_equals_a_plain_loop():
    f = torch.rand(1, 4, 5, 6)
    loop = np.zeros((4, 4))
    for i, j, y, x in np.ndindex(4, 4, 5, 6):
        loop[i, j] += f[0, i, y, x].item() * f[0, j, y, x].item() / 30
    np.testing.assert_allclose(gram_matrix(f), loop, rtol=1e-5)
    np.testing.assert_allclose(numpy_gram(f), loop, rtol=1e-5)


def test_a_masked_gram_matrix_equals_a_plain_loop():
    f, mask = torch.rand(1, 4, 5, 6), torch.rand(5, 6)
    mask[:2] = 0
    loop = np.zeros((4, 4))
    for i, j, y, x in np.ndindex(4, 4, 5, 6):
        loop[i, j] += (f[0, i, y, x] * f[0, j, y, x] * mask[y, x] / mask.sum()).item()
    np.testing.assert_allclose(gram_matrix(f, mask), loop, rtol=1e-5)
    torch.testing.assert_close(gram_matrix(f, torch.ones(5, 6)), gram_matrix(f))


def test_the_gradient_of_a_gram_matrix_equals_autograds():
    f = torch.rand(1, 4, 5, 6, dtype=torch.float64).requires_grad_()
    mask = torch.rand(5, 6, dtype=torch.float64)
    upstream = torch.rand(4, 4, dtype=torch.float64)  # not symmetric
    for given in ((), (mask,)):
        flat = f.reshape(4, 30)
        weight = given[0].flatten() if given else torch.ones(30, dtype=torch.float64)
        plain = (flat * weight) @ flat.T / weight.sum()
        found = torch.autograd.grad((gram_matrix(f, *given) * upstream).sum(), f)
        expected = torch.autograd.grad((plain * upstream).sum(), f)
        torch.testing.assert_close(found, expected)
        assert torch.autograd.gradcheck(lambda x, g=given: gram_matrix(x, *g), [f])


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
    content = {n: relative(f[n].numpy(), t[n].numpy()) for n in f}
    style = {n: relative(numpy_gram(f[n]), numpy_gram(t[n])) for n in f}
    for ours, errors in (
        (content_loss(f, t, layers), content),
        (style_loss(f, grams(t), layers), style),
    ):
        expected = (3 * errors["conv1_1"] + errors["conv2_1"]) / 4
        assert ours.item() == pytest.approx(expected, rel=1e-4)
    x, y = torch.randn(2, 3, 7)
    expected = relative(x.numpy(), y.numpy())
    assert relative_error(x, y).item() == pytest.approx(expected, rel=1e-5)


def test_only_the_layers_named_count():
    f, t = features("conv1_1", "conv2_1"), features("conv1_1", "conv2_1")
    for loss, target in ((content_loss, t), (style_loss, grams(t))):
        one = loss(f, target, {"conv2_1": 7.0})
        del target["conv1_1"]
        torch.testing.assert_close(loss(f, target, {"conv2_1": 0.1}), one)


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


def test_at_a_perfect_match_gradients_are_0():
    f = torch.rand(1, 4, 5, 6).requires_grad_()
    for found, target in ((f, f.detach()), (gram_matrix(f), gram_matrix(f).detach())):
        (gradient,) = torch.autograd.grad(relative_error(found, target), f)
        assert torch.equal(gradient, torch.zeros_like(f))


def test_range_loss():
    image = torch.tensor([-0.5, 0.25, 1.25]).view(1, 3, 1, 1)
    assert range_loss(image).item() == pytest.approx((0.25 + 0.0625) / 3)
    assert range_loss(torch.rand(1, 3, 4, 4)) == 0


def test_the_losses_that_come_with_us_are_these_functions(vgg):
    image, photo, painting = torch.rand(3, 1, 3, 24, 32)
    losses = {
        "content": ContentLoss(2.0, LAYERS),
        "style": StyleLoss(painting, 3.0, LAYERS),
        "tv": TotalVariationLoss(4.0),
        "range": RangeLoss(5.0),
    }
    found = {}
    for weight, (name, loss) in enumerate(losses.items(), 2):
        assert isinstance(loss, Loss)
        assert (loss.name, loss.weight) == (name, weight)
        loss.prepare(vgg, photo)
        found[name] = loss(image, vgg(image, list(loss.layers)))
    assert found == {
        "content": content_loss(vgg(image, LAYERS), vgg(photo, LAYERS), LAYERS),
        "style": style_loss(vgg(image, LAYERS), grams(vgg(painting, LAYERS)), LAYERS),
        "tv": tv_loss(image, photo),
        "range": range_loss(image),
    }
    assert ContentLoss().layers == {"conv4_2": 1.0}
    assert list(StyleLoss(painting).layers.values()) == [256.0, 64.0, 16.0, 4.0, 1.0]
    assert (ContentLoss().weight, StyleLoss(painting).weight) == (1.0, 100.0)
    assert TotalVariationLoss().weight == 0.3


def test_a_style_in_a_region_equals_numpys_guided_gram_matrices(vgg):
    image, photo = torch.rand(2, 1, 3, 33, 48)
    painting = torch.rand(1, 3, 48, 48)
    mask, painting_mask = torch.rand(70, 90), torch.rand(20, 30)
    mask[:, :40], painting_mask[:10] = 0, 0
    for masks in ((mask, painting_mask), (mask, None), (None, painting_mask)):
        loss = StyleLoss(painting, 1.0, LAYERS, mask=masks[0], painting_mask=masks[1])
        loss.prepare(vgg, photo)
        ours = vgg(image, LAYERS)
        theirs = vgg(painting, LAYERS)  # as large as the photo already
        expected = 0
        for name, weight in LAYERS.items():
            pair = numpy_gram(ours[name], masks[0]), numpy_gram(theirs[name], masks[1])
            expected += weight * relative(*pair) / sum(LAYERS.values())
        assert loss(image, ours).item() == pytest.approx(expected, rel=1e-4)


def test_a_mask_of_ones_is_none(vgg):
    image, photo, painting = torch.rand(3, 1, 3, 33, 48)
    ones = torch.ones(12, 17)
    found = []
    for masks in ({}, {"mask": ones}, {"painting_mask": ones}):
        loss = StyleLoss(painting, layers=LAYERS, **masks)
        loss.prepare(vgg, photo)
        found.append(loss(image, vgg(image, LAYERS)).item())
    assert found[1:] == pytest.approx([found[0]] * 2, rel=1e-4)


def test_the_gradient_of_a_masked_style_is_0_outside(vgg):
    photo, painting = torch.rand(2, 1, 3, 24, 48)
    mask = torch.zeros(24, 48)
    mask[:, 24:] = 1
    loss = StyleLoss(painting, layers={"conv1_1": 1.0}, mask=mask)
    loss.prepare(vgg, photo)
    pixels = photo.clone().requires_grad_()
    loss(pixels, vgg(pixels, "conv1_1")).backward()
    assert (pixels.grad[..., :23] == 0).all() and (pixels.grad[..., 24:] != 0).any()


def test_a_style_is_looked_at_in_its_scale(vgg):
    photo, painting = torch.rand(1, 3, 32, 48), torch.rand(1, 3, 64, 64)
    for scale, side in ((0.5, 24), (1.0, 48), (1.3, 62), (2, 96)):
        loss = StyleLoss(painting, layers=LAYERS, scale=scale)
        loss.prepare(vgg, photo)
        image = resize(painting, side)
        assert image.shape[2:] == (side, side)
        assert loss(image, vgg(image, LAYERS)).item() < 1e-10
    other = resize(painting, 48)
    assert loss(other, vgg(other, LAYERS)).item() > 1e-3


def test_another_statistic_takes_the_place_of_the_gram_matrix(vgg):
    def means(features, mask=None):
        if mask is None:
            return features.mean((2, 3))
        return (features * mask).sum((2, 3)) / mask.sum()

    image, photo, painting = torch.rand(3, 1, 3, 32, 48)
    mask = torch.zeros(32, 48)
    mask[8:] = 1  # of whole pixels in every layer
    for given, rows in (({}, 0), ({"mask": mask, "painting_mask": mask}, 8)):
        loss = StyleLoss(painting, 1.0, LAYERS, means, **given)
        loss.prepare(vgg, photo)
        expected = 0
        for name, weight in LAYERS.items():
            first = rows >> (int(name[4]) - 1)
            pair = [
                vgg(x, name)[name][0, :, first:].double().numpy().mean((1, 2))
                for x in (image, painting)
            ]
            expected += weight * relative(*pair) / sum(LAYERS.values())
        found = loss(image, vgg(image, LAYERS)).item()
        assert found == pytest.approx(expected, rel=1e-3)


def test_what_is_no_mask_scale_or_painting_is_refused():
    painting = torch.rand(1, 3, 32, 48)
    for bad in (
        torch.ones(1, 32, 48),
        torch.zeros(32, 48),
        torch.full((32, 48), 1.5),
        torch.full((32, 48), -0.1),
        torch.full((32, 48), torch.nan),
        np.ones((32, 48)),
        "mask.png",
    ):
        for name in ("mask", "painting_mask"):
            with pytest.raises(InputError, match="mask"):
                StyleLoss(painting, **{name: bad})
    for bad in (0, -1, 0.01, 21, torch.nan, "half", None, True):
        with pytest.raises(InputError, match="scale"):
            StyleLoss(painting, scale=bad)
    for bad in (painting[0], painting * 2, painting[:, :1], "wave.jpg", None):
        with pytest.raises(InputError, match="painting"):
            StyleLoss(bad)


def test_gradients_equal_finite_differences():
    vgg = VGG19().double()
    photo, painting = torch.rand(2, 1, 3, 24, 32, dtype=torch.float64)
    losses = [
        ContentLoss(1.0, LAYERS),
        StyleLoss(painting, 1.0, LAYERS),
        StyleLoss(painting, 1.0, LAYERS, mask=torch.rand(24, 32), scale=0.7),
        TotalVariationLoss(),
        RangeLoss(1.0),
    ]
    x = torch.rand(1, 3, 24, 32, dtype=torch.float64) * 1.4 - 0.2
    x.requires_grad_()
    for loss in losses:
        loss.prepare(vgg, photo)

        def measure(x, loss=loss):
            return loss(x, vgg(x, list(loss.layers)))

        (gradient,) = torch.autograd.grad(measure(x), x)
        for _ in range(3):
            direction = torch.randn_like(x)
            step = 1e-6 * direction
            with torch.no_grad():
                difference = (measure(x + step) - measure(x - step)) / 2e-6
            slope = (gradient * direction).sum()
            torch.testing.assert_close(difference, slope, rtol=1e-4, atol=1e-9)
