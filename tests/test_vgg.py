import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from nst_helpers import VGG19, InputError
from nst_helpers.pretrained import BUNDLED
from nst_helpers.vgg import LAYERS, NOT_IN_VGG16

# Where torchvision's own layers stand, counted by torchvision itself.
CONVS = [
    i
    for i, layer in enumerate(torchvision.models.vgg19(init_weights=False).features)
    if isinstance(layer, nn.Conv2d)
]


def torchvision_features(state, image, pooling):
    """Compute {layer: features} by walking torchvision's vgg19().features."""
    net = torchvision.models.vgg19(init_weights=False).features
    net.load_state_dict({key.removeprefix("features."): t for key, t in state.items()})
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x, found, names = (image - mean) / std, [], iter(LAYERS)
    for layer in net.requires_grad_(False):
        if isinstance(layer, nn.MaxPool2d) and pooling == "avg":
            layer = nn.AvgPool2d(2)
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


@pytest.fixture
def image():
    return torch.rand(1, 3, 35, 50, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_features_equal_torchvision_on_random_weights(tmp_path, image, pooling):
    state = whole_state()
    save_file(state, tmp_path / "w.safetensors")
    ours = VGG19(tmp_path / "w.safetensors", pooling)(image, LAYERS)
    theirs = torchvision_features(state, image, pooling)
    assert list(ours) == list(LAYERS) and len(LAYERS) == 16
    for name in LAYERS:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-5, atol=1e-5)


def test_features_equal_torchvision_on_bundled_weights(image):
    ours = VGG19(pooling="max")(image, LAYERS)
    theirs = torchvision_features(bundled_state(), image, "max")
    for name in LAYERS:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-4)


def test_runs_no_deeper_than_asked(image):
    vgg = VGG19("random")
    ran = []
    for name, conv in vgg.convs.items():
        conv.register_forward_hook(lambda *_, name=name: ran.append(name))
    assert list(vgg(image, ["conv2_1", "conv1_1"])) == ["conv1_1", "conv2_1"]
    assert ran == ["conv1_1", "conv1_2", "conv2_1"]
    assert vgg(image, []) == {}
    assert list(vgg(image, "conv1_1")) == ["conv1_1"]


def test_later_layers_change_no_earlier_features(image):
    vgg = VGG19("random")
    alone = vgg(image, ["conv1_1"])["conv1_1"]
    together = vgg(image, LAYERS)["conv1_1"]
    assert torch.equal(alone, together) and (alone >= 0).all()


def test_random_weights_follow_the_seed_and_leave_the_global_seed_alone(image):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = VGG19("random", seed=1)(image, ["conv2_1"])["conv2_1"]
    assert torch.equal(torch.rand(3), expected)
    again = VGG19("random", seed=1)(image, ["conv2_1"])["conv2_1"]
    other = VGG19("random", seed=2)(image, ["conv2_1"])["conv2_1"]
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_weights_are_frozen():
    assert not any(p.requires_grad for p in VGG19("random").parameters())


def test_unknown_layer_lists_the_sixteen(image):
    with pytest.raises(InputError, match="relu4_2") as error:
        VGG19("random")(image, ["conv1_1", "relu4_2"])
    assert all(name in str(error.value) for name in LAYERS)


def test_unknown_pooling():
    with pytest.raises(InputError, match="median"):
        VGG19("random", pooling="median")
