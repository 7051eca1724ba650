"""The gradient that is computed by hand, against autograd and torchvision's network."""

import pytest
import torch
from conftest import ctrl_c_on_a_new_line
from test_vgg import bundled_state, torchvision_features

from nst_helpers import VGG19, Settings, content_loss, gram_matrix, style_loss, tv_loss
from nst_helpers.arena import LARGE, Arena
from nst_helpers.fast import has_onednn
from nst_helpers.losses import range_loss
from nst_helpers.objective import losses_and_gradient
from nst_helpers.vgg import LAYERS

CONTENT = {"conv1_1": 0.5, "conv3_4": 1.0, "conv4_2": 2.0}
STYLE = {
    "conv1_1": 16.0,
    "conv2_2": 3.0,
    "conv3_3": 2.0,
    "conv4_4": 1.0,
    "conv5_4": 1.0,
}
SETTINGS = Settings(content_layers=CONTENT, style_layers=STYLE)
# Even and odd sides: pooling leaves an odd last row or column out.
# The last one is large enough for Winograd's convolution in three blocks.
SIZES = [(32, 48), (33, 50), (47, 31), (70, 101)]

# The numbers that oneDNN knows on this computer: without it there is no arena.
KINDS = [k for k in (torch.float32, torch.bfloat16) if has_onednn(torch.zeros(1).to(k))]


def pictures(height, width):
    """Return a picture, and targets of another one."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 1, 3, height, width, generator=generator) * 1.2 - 0.1


def aims(vgg, photo):
    """Return features and Gram matrices of a photo."""
    features = vgg(photo, LAYERS)
    grams = {name: gram_matrix(features[name]) for name in STYLE}
    return {name: features[name] for name in CONTENT}, grams


def autograd(extract, pixels, photo, content, style):
    """Compute total and gradient as a student would."""
    pixels = pixels.clone().requires_grad_()
    features = extract(pixels)
    total = SETTINGS.content_weight * content_loss(features, content, CONTENT)
    total = total + SETTINGS.style_weight * style_loss(features, style, STYLE)
    total = total + SETTINGS.tv_weight * tv_loss(pixels, photo)
    weights = SETTINGS.content_weight + SETTINGS.style_weight + SETTINGS.tv_weight
    total = total + 50 * weights * range_loss(pixels)
    return total, torch.autograd.grad(total, pixels)[0]


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weights", ["bundled", "random"])
def test_losses_and_gradient_equal_those_of_autograd(weights, size, pooling):
    vgg, (pixels, photo) = VGG19(weights, pooling), pictures(*size)
    content, style = aims(vgg, photo)
    losses, gradient = losses_and_gradient(vgg, pixels, photo, content, style, SETTINGS)
    total, expected = autograd(lambda x: vgg(x, LAYERS), pixels, photo, content, style)
    assert losses.keys() == {"content", "style", "tv", "range", "total"}
    assert losses["total"].item() == pytest.approx(total.item(), rel=1e-5)
    assert (gradient - expected).norm() < 1e-4 * expected.norm()
    assert not pixels.requires_grad


@pytest.mark.parametrize("onednn", [True, False])  # not every computer has it
def test_the_gradient_equals_that_of_torchvisions_network(onednn, monkeypatch):
    if not onednn:
        monkeypatch.setattr("nst_helpers.fast.has_onednn", lambda x: False)
    vgg, (pixels, photo) = VGG19(), pictures(33, 50)
    content, style = aims(vgg, photo)
    _, gradient = losses_and_gradient(vgg, pixels, photo, content, style, SETTINGS)
    state = bundled_state()
    _, expected = autograd(
        lambda x: torchvision_features(state, x, "avg"), pixels, photo, content, style
    )
    assert (gradient - expected).norm() < 1e-3 * expected.norm()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("size", SIZES)
def test_in_an_arena_the_results_are_the_same(size, pooling, kind, monkeypatch):
    vgg, (pixels, photo) = VGG19(pooling=pooling), pictures(*size)
    content, style = aims(vgg, photo)
    if kind == torch.bfloat16:
        vgg = vgg.in_bfloat16()
    found = []
    for limit in (LARGE, 0):  # without, and with one
        monkeypatch.setattr("nst_helpers.fast.LARGE", limit)
        monkeypatch.setattr("nst_helpers.fast.MANY", limit)
        for picture in (pixels, photo):  # the second one overwrites the first
            given = vgg, picture, photo, content, style, SETTINGS
            found.append(losses_and_gradient(*given))
    assert vgg._fast._last_arena is not None
    # Winograd's kernels, kept by the small ones, are given up by the large ones.
    assert (("conv2_2", False) in vgg._fast._packed) == (kind == torch.bfloat16)
    for (losses, gradient), (again, same) in zip(found[:2], found[2:], strict=True):
        assert losses["total"].item() == pytest.approx(again["total"].item(), rel=1e-6)
        torch.testing.assert_close(same, gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.skipif(not has_onednn(torch.zeros(1)), reason="no oneDNN here")
@pytest.mark.parametrize(
    "content_layers, style_layers",
    [
        (["conv1_1"], ["conv1_1"]),
        ([], ["conv1_2"]),
        (["conv3_4"], []),
        (["conv1_1", "conv2_1"], ["conv5_4", "conv1_1"]),
    ],
)
def test_in_an_arena_any_layers_will_do(content_layers, style_layers, monkeypatch):
    vgg, (pixels, photo) = VGG19("random"), pictures(70, 101)
    wanted = {name: 1.0 for name in LAYERS}
    settings = Settings(content_layers=wanted, style_layers=wanted)
    features = vgg(photo, LAYERS)
    content = {name: features[name] for name in content_layers}
    style = {name: gram_matrix(features[name]) for name in style_layers}
    given = vgg, pixels, photo, content, style, settings
    losses, gradient = losses_and_gradient(*given)
    monkeypatch.setattr("nst_helpers.fast.LARGE", 0)
    for _ in range(2):  # the second one finds what the first has left
        again, same = losses_and_gradient(*given)
        assert again["total"].item() == pytest.approx(losses["total"].item(), rel=1e-6)
        torch.testing.assert_close(same, gradient, rtol=1e-5, atol=1e-7)
        vgg._fast._last_arena._memory.fill_(torch.nan)
    vgg.release()
    assert vgg._fast._last_arena is None


@pytest.mark.parametrize("limit", [LARGE, 0])  # without an arena, and with one
def test_ctrl_c_on_any_line_of_an_evaluation_spoils_no_later_one(limit, monkeypatch):
    monkeypatch.setattr("nst_helpers.fast.LARGE", limit)
    monkeypatch.setattr("nst_helpers.fast.MANY", limit)
    vgg, (pixels, photo) = VGG19("random"), pictures(32, 48)
    content, grams = aims(vgg, photo)
    content = {"conv1_1": content["conv1_1"]}
    grams = {name: grams[name] for name in ("conv1_1", "conv2_2")}
    given = vgg, pixels, photo, content, grams, SETTINGS
    _, gradient = losses_and_gradient(*given)
    tried, before = set(), None
    while before != len(tried):
        before = len(tried)
        vgg._fast._packed.clear()  # so that there is something to do
        with ctrl_c_on_a_new_line("nst_helpers/*.py", tried):
            losses_and_gradient(*given)
        _, again = losses_and_gradient(*given)
        assert torch.equal(again, gradient)
    assert len(tried) > 100


def test_no_two_pieces_of_an_arena_that_are_needed_at_once_overlap():
    sizes = [64, 64, 32, 32, 16, 16, 16, 8, 8, 2]
    shapes = [torch.Size((size, 3, 5)) for size in sizes]
    arena = Arena(shapes, torch.float32)
    for _ in range(2):
        arena.clear()
        first = arena.lend(shapes[0]).fill_(0)
        stack = []
        for i, shape in enumerate(shapes[1:], 1):
            if i == 1:
                assert (first == 0).all()  # read while the second layer is computed
            stack.append(arena.stack(shape).fill_(i))
        gradient = torch.full((1, *shapes[-1]), 100.0)
        for i in range(len(shapes) - 1, 0, -1):
            assert (stack.pop() == i).all() and (gradient == 100 + i - 9).all()
            arena.drop()
            gradient = arena.lend(shapes[i - 1]).fill_(100 + i - 10)
        again = arena.lend(shapes[0]).fill_(0)
        assert (gradient == 91).all() and (again == 0).all()


def test_in_bfloat16_pixels_and_first_kernels_are_not_rounded():
    vgg, (pixels, photo) = VGG19(), pictures(64, 48)
    content, style = aims(vgg, photo)
    rough = vgg.in_bfloat16()
    with torch.no_grad():
        exact = vgg(pixels, ["conv1_1"])["conv1_1"]
        first = rough(pixels, ["conv1_1"])["conv1_1"].float()
    bias = vgg.convs["conv1_1"].bias.abs().view(1, -1, 1, 1)
    # Only the result and the bias are rounded, each to 8 digits.
    assert ((first - exact).abs() <= (exact + bias) / 2**8 + 2e-4).all()
    _, gradient = losses_and_gradient(rough, pixels, photo, content, style, SETTINGS)
    _, expected = losses_and_gradient(vgg, pixels, photo, content, style, SETTINGS)
    assert gradient.dtype == torch.float32
    assert (gradient - expected).norm() < 0.05 * expected.norm()


def test_with_no_layers_only_the_pixels_count():
    settings = Settings(content_weight=0.0, style_weight=0.0, tv_weight=2.0)
    pixels, photo = pictures(32, 48)
    losses, gradient = losses_and_gradient(VGG19(), pixels, photo, {}, {}, settings)
    pixels.requires_grad_()
    total = 2 * tv_loss(pixels, photo) + 100 * range_loss(pixels)
    (expected,) = torch.autograd.grad(total, pixels)
    assert losses.keys() == {"tv", "range", "total"}
    torch.testing.assert_close(gradient, expected)


def test_convolutions_are_the_same_with_and_without_a_gradient():
    vgg, (pixels, _) = VGG19(), pictures(33, 50)
    with torch.no_grad():
        fused = vgg(pixels, LAYERS)
    for name, features in vgg(pixels, LAYERS).items():
        torch.testing.assert_close(fused[name], features, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not has_onednn(torch.zeros(1)), reason="no oneDNN here")
@pytest.mark.parametrize("size", [(48, 64), (128, 85), (170, 256)])
def test_kernels_are_brought_into_order_once(size, capfd):
    # Which order oneDNN wants depends on the chip and the picture's size. In another
    # one, each evaluation at 256 pixels took three times as long on a chip with AVX2.
    vgg, (pixels, photo) = VGG19(), pictures(*size)
    given = vgg, pixels, photo, *aims(vgg, photo), SETTINGS
    losses_and_gradient(*given)
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        losses_and_gradient(*given)
    done = [line for line in capfd.readouterr().out.splitlines() if "exec" in line]
    assert any(",convolution," in line for line in done)
    assert not [line for line in done if ",reorder," in line]


def test_on_arm_there_is_no_way_by_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_acl_available", lambda: True)
    assert not has_onednn(torch.zeros(1))


def test_no_layer_is_computed_below_the_deepest():
    pixels, _ = pictures(32, 48)
    names = [name for name, _ in VGG19().walk(pixels, ["conv2_1", "conv1_1"])]
    assert names == ["conv1_1", "conv1_2", "conv2_1"]
