"""The network against torchvision's layers."""

import copy
import pickle

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from nst_helpers import VGG19, InputError
from nst_helpers.layers import LAYERS
from nst_helpers.pretrained import BUNDLED, NOT_IN_VGG16
from nst_helpers.settings import CHOICES

KINDS = [(pool, pad) for pool in ("avg", "max") for pad in CHOICES["padding"]]
# Where torchvision's own layers stand, counted by torchvision itself.
CONVS = [
    i
    for i, layer in enumerate(torchvision.models.vgg19(init_weights=False).features)
    if isinstance(layer, nn.Conv2d)
]


def torchvision_features(state, image, pooling="avg", padding="reflect"):
    """Compute {layer: features} by walking torchvision's vgg19().features."""
    with torch.device("meta"):  # no time spent on numbers replaced at once
        net = torchvision.models.vgg19(init_weights=False).features
    state = {key.removeprefix("features."): t for key, t in state.items()}
    net.load_state_dict(state, assign=True)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x, found, names = (image - mean) / std, [], iter(LAYERS)
    for layer in net.requires_grad_(False):
        if isinstance(layer, nn.MaxPool2d) and pooling == "avg":
            layer = nn.AvgPool2d(2)
        if isinstance(layer, nn.Conv2d):
            # Block 5 has too few pixels to mirror, perhaps.
            mirror = padding == "reflect" and LAYERS[len(found)] >= "conv5"
            layer.padding_mode = "replicate" if mirror else padding
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            found.append((next(names), x.clone()))
    return dict(found)


def whole_state(seed=1):
    """Make random weights of all of torchvision's vgg19().features."""
    torch.manual_seed(seed)
    state = torchvision.models.vgg19(init_weights=False).features.state_dict()
    return {
        f"features.{key}": torch.randn(t.shape) * (0.1 if t.ndim == 1 else 0.03)
        for key, t in state.items()
    }


def bundled_state():
    """Read the bundled weights, with the layers that VGG-16 lacks as identities."""
    state = {key: t.float() for key, t in load_file(BUNDLED).items()}
    for name in NOT_IN_VGG16:
        channels = 256 if name == "conv3_4" else 512
        index = CONVS[LAYERS.index(name)]
        state[f"features.{index}.weight"] = nn.init.dirac_(
            torch.empty(channels, channels, 3, 3)
        )
        state[f"features.{index}.bias"] = torch.zeros(channels)
    return state


@pytest.fixture(scope="module")
def image():
    return torch.rand(1, 3, 35, 50, generator=torch.Generator().manual_seed(0))


def test_features_equal_torchvisions(tmp_path, image):
    random, bundled = whole_state(), bundled_state()
    save_file(random, tmp_path / "w.safetensors")
    assert len(LAYERS) == 16
    for weights, state in ((tmp_path / "w.safetensors", random), ("bundled", bundled)):
        for kind in KINDS if state is random else [KINDS[0], KINDS[-1]]:
            ours = VGG19(weights, *kind)(image, LAYERS)
            theirs = torchvision_features(state, image, *kind)
            assert list(ours) == list(LAYERS)
            for name, features in ours.items():
                assert (features >= 0).all()
                off = (features - theirs[name]).norm() / theirs[name].norm()
                assert off < 1e-5, (weights, kind, name)


def test_the_gradient_of_the_pixels_equals_torchvisions(vgg, image):
    gradients = []
    for extract in (
        lambda x: vgg(x, LAYERS),
        lambda x: torchvision_features(bundled_state(), x),
    ):
        pixels = image.clone().requires_grad_()
        features = extract(pixels)
        sum(f.square().mean() for f in features.values()).backward()
        gradients.append(pixels.grad)
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[1].norm()


def test_no_layer_is_computed_below_the_deepest(image):
    vgg, ran = VGG19(), []
    for name, conv in vgg.convs.items():
        conv.register_forward_hook(lambda *_, name=name: ran.append(name))
    assert vgg(image, ["conv2_1", "conv1_1"]).keys() == {"conv2_1", "conv1_1"}
    assert ran == ["conv1_1", "conv1_2", "conv2_1"]
    assert vgg(image, []) == {}
    assert list(vgg(image, "conv1_1")) == ["conv1_1"]
    assert list(vgg(image, (name for name in ["conv1_2"]))) == ["conv1_2"]


def test_later_layers_change_no_earlier_features(vgg, image):
    alone = vgg(image, ["conv1_1"])["conv1_1"]
    together = vgg(image, LAYERS)["conv1_1"]
    assert torch.equal(alone, together)


def test_relu_and_conv_mean_the_same_layer(vgg, image):
    found = vgg(image, ["relu2_1", "conv1_1", "relu1_1"])
    assert found.keys() == {"relu2_1", "conv1_1", "relu1_1"}
    assert torch.equal(found["relu1_1"], found["conv1_1"])
    assert torch.equal(found["relu2_1"], vgg(image, "conv2_1")["conv2_1"])


def test_features_keep_their_shape_by_name(vgg):
    for name, features in vgg(torch.zeros(1, 3, 37, 64), LAYERS).items():
        block = int(name[4])
        channels = min(512, 32 * 2**block)
        shape = 1, channels, 37 >> (block - 1), 64 >> (block - 1)
        assert features.shape == shape


def test_random_weights_follow_the_seed_and_leave_the_global_seed_alone(image):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = VGG19("random", seed=1)(image, ["conv2_1"])["conv2_1"]
    assert torch.equal(torch.rand(3), expected)
    again = VGG19("random", seed=1)(image, ["conv2_1"])["conv2_1"]
    other = VGG19("random", seed=2)(image, ["conv2_1"])["conv2_1"]
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_weights_are_frozen(vgg):
    assert not any(p.requires_grad for p in vgg.parameters())
    assert len(list(vgg.parameters())) == 2 * 13  # VGG-16's


def test_weights_changed_in_place_change_the_features_at_once(image):
    names = ["conv1_1", "conv2_1"]
    for context in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        vgg = VGG19()
        with context():
            before = vgg(image, names)
            vgg.convs["conv2_1"].weight.data.zero_()
            after = vgg(image, names)
        assert torch.equal(before["conv1_1"], after["conv1_1"])
        bias = vgg.convs["conv2_1"].bias.relu().view(1, -1, 1, 1)
        assert torch.equal(after["conv2_1"], bias.expand_as(after["conv2_1"]))
        assert not torch.equal(before["conv2_1"], after["conv2_1"])


def test_it_is_a_module_as_any_other(vgg, image):
    expected = vgg(image, "conv2_1")["conv2_1"]
    loaded = VGG19("random")
    # Random weights have the three layers that VGG-16 lacks.
    loaded.load_state_dict(vgg.state_dict(), strict=False)
    for other in (loaded, copy.deepcopy(vgg), pickle.loads(pickle.dumps(vgg))):
        assert torch.equal(other(image, "conv2_1")["conv2_1"], expected)
    first, second = VGG19("random", seed=1), VGG19("random", seed=2)
    first.load_state_dict(second.state_dict())
    assert torch.equal(*(x(image, "conv5_1")["conv5_1"] for x in (first, second)))


def test_double_precision_takes_a_float32_image(vgg, image):
    double = VGG19().double()
    for pixels in (image, image.double()):
        for name, features in double(pixels, LAYERS).items():
            assert features.dtype == torch.float64
            single = vgg(image, name)[name]
            torch.testing.assert_close(features.float(), single, rtol=1e-3, atol=1e-4)


def test_defaults_of_torch_do_not_break_it(image):
    for weights in ("bundled", "random"):
        torch.set_default_dtype(torch.float64)
        try:
            found = VGG19(weights)(image, "conv3_1")["conv3_1"].float()
        finally:
            torch.set_default_dtype(torch.float32)
        expected = VGG19(weights)(image, "conv3_1")["conv3_1"]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.set_default_device("meta")
    try:
        for weights in ("bundled", "random"):
            with torch.device("cpu"):
                found = VGG19(weights)(image, "conv3_1")["conv3_1"]
            assert found.device.type == "cpu"
    finally:
        torch.set_default_device(None)
    torch.testing.assert_close(found, expected)


def test_features_are_the_same_without_a_gradient(vgg, image):
    pixels = image.clone().requires_grad_()
    expected = {name: f.detach() for name, f in vgg(pixels, LAYERS).items()}
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            for name, features in vgg(image, LAYERS).items():
                torch.testing.assert_close(features, expected[name])


def test_an_unknown_layer_lists_the_sixteen(vgg, image):
    for name in ("relu4_5", "conv1_3", "pool1", "", "conv", 3, None):
        with pytest.raises(InputError, match="no layer") as error:
            vgg(image, ["conv1_1", name])
        line = str(error.value)
        assert repr(name) in line and all(layer in line for layer in LAYERS)
        assert "\n" not in line


def test_unknown_pooling_and_padding():
    with pytest.raises(InputError, match="pooling is avg or max, not median"):
        VGG19("random", pooling="median")
    with pytest.raises(InputError, match="reflect or replicate or zeros, not mirror"):
        VGG19("random", padding="mirror")
