import hashlib
import pickle
import shutil
from pathlib import Path

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
    with torch.no_grad():
        for layer in net:
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


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Give torchvision an empty cache folder and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("NST_WEIGHTS", raising=False)
    weights = torchvision.models.VGG19_Weights.IMAGENET1K_V1.value
    object.__setattr__(weights, "url", (tmp_path / "vgg19-dcbb9e9d.pth").as_uri())
    yield tmp_path
    object.__setattr__(weights, "url", REAL_URL)


REAL_URL = torchvision.models.VGG19_Weights.IMAGENET1K_V1.url


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


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("evil-ran"),)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><title>Sign in</title>",
        pickle.dumps(Evil(), protocol=2),
        BUNDLED.read_bytes()[:100_000],
    ],
    ids=["empty", "web page", "pickle with code", "cut off"],
)
def test_broken_weights_are_refused_in_one_line(tmp_path, monkeypatch, name, content):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    with pytest.raises(InputError, match=name) as error:
        VGG19(name)
    assert "\n" not in str(error.value)
    assert not Path("evil-ran").exists()


def test_weights_of_another_network_are_refused(tmp_path):
    state = whole_state()
    state["features.5.weight"] = torch.zeros(128, 64, 5, 5)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"features\.5\.weight"):
        VGG19(tmp_path / "w.safetensors")
    state = whole_state()
    del state["features.16.weight"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"features\.16\.weight"):
        VGG19(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="missing.pth"):
        VGG19(tmp_path / "missing.pth")


def test_a_wrong_checksum_beside_the_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    shutil.copy(BUNDLED, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = tmp_path / "w.safetensors.sha256"
    for text in (
        digest,
        f"{digest.upper()}  w.safetensors\n",
    ):  # as sha256sum writes it
        beside.write_text(text)
        VGG19(path)
    beside.write_text(digest[::-1])
    with pytest.raises(InputError, match="SHA-256"):
        VGG19(path)


def serve(folder, state):
    """Save weights with a classifier, as torchvision names and hashes such files."""
    path = folder / "new.pth"
    torch.save(state | {"classifier.0.weight": torch.zeros(1000)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path = path.rename(folder / f"vgg19-{digest[:8]}.pth")
    weights = torchvision.models.VGG19_Weights.IMAGENET1K_V1.value
    object.__setattr__(weights, "url", path.as_uri())
    return path


def test_imagenet_is_fetched_once_and_trimmed(hub, image):
    state = whole_state()
    served = serve(hub, state)
    features = VGG19("imagenet")(image, ["conv2_1"])["conv2_1"]
    expected = torchvision_features(state, image, "avg")["conv2_1"]
    torch.testing.assert_close(features, expected, rtol=0.01, atol=0.01)

    served.unlink()
    cache = hub / "hub" / "checkpoints"
    (cache / served.name).unlink()  # the large file is needed no more
    assert torch.equal(VGG19("imagenet")(image, ["conv2_1"])["conv2_1"], features)
    kept = load_file(cache / "vgg19_convolutions_fp16.safetensors")
    assert kept.keys() == state.keys()
    assert {t.dtype for t in kept.values()} == {torch.float16}


def test_a_damaged_cache_is_made_anew(hub, image):
    serve(hub, whole_state())
    before = VGG19("imagenet")(image, ["conv1_1"])["conv1_1"]
    cached = hub / "hub" / "checkpoints" / "vgg19_convolutions_fp16.safetensors"
    cached.write_bytes(cached.read_bytes()[:1000])
    assert torch.equal(VGG19("imagenet")(image, ["conv1_1"])["conv1_1"], before)


def test_no_network_says_where_to_put_the_file(hub):
    with pytest.raises(InputError) as error:
        VGG19("imagenet")
    message = str(error.value)
    assert "\n" not in message
    for part in ("checkpoints", "vgg19-dcbb9e9d.pth", "NST_WEIGHTS", "bundled"):
        assert part in message


@pytest.mark.parametrize("placed", [True, False], ids=["in the cache", "downloaded"])
def test_a_web_page_instead_of_imagenet_weights(hub, placed):
    folder = hub / "hub" / "checkpoints" if placed else hub
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vgg19-dcbb9e9d.pth").write_text("<html>please sign in</html>")
    with pytest.raises(InputError, match="NST_WEIGHTS") as error:
        VGG19("imagenet")
    assert "\n" not in str(error.value)
    assert not list(hub.rglob("*.safetensors"))


def test_nst_weights_names_a_file_that_is_not_there(hub, monkeypatch):
    monkeypatch.setenv("NST_WEIGHTS", "gone.pth")
    with pytest.raises(InputError, match="NST_WEIGHTS=gone.pth"):
        VGG19("imagenet")


def test_nst_weights_takes_torchvisions_file_from_a_usb_stick(hub, monkeypatch, image):
    state = whole_state()
    stick = hub / "stick"
    stick.mkdir()
    monkeypatch.setenv("NST_WEIGHTS", str(serve(stick, state)))
    features = VGG19("imagenet")(image, ["conv3_1"])["conv3_1"]
    expected = torchvision_features(state, image, "avg")["conv3_1"]
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)
