"""VGG19 as a function: an image and names of layers in, features by name out."""

import hashlib
import os
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from .files import InputError, write_file

# Convolutions and channels of each block; pooling stands between the blocks.
BLOCKS = {1: (2, 64), 2: (2, 128), 3: (4, 256), 4: (4, 512), 5: (4, 512)}
LAYERS = tuple(
    f"conv{b}_{i + 1}" for b, (count, _) in BLOCKS.items() for i in range(count)
)
# VGG-16 has no such layers. A weights file without them makes each pass its input on.
NOT_IN_VGG16 = ("conv3_4", "conv4_4", "conv5_4")

BUNDLED = Path(__file__).parent / "weights" / "vgg19_layout_imagenet_fp16.safetensors"


class VGG19(nn.Module):
    """Name what a network trained on ImageNet sees in a picture.

    `vgg(image, ["conv1_1", "conv4_2"])` returns the activations of these layers after
    their ReLU, as {name: features}. The weights are frozen.

    Args:
        weights: "bundled" (in the package, offline: the convolutions of VGG-16),
            "imagenet" (torchvision's VGG-19, downloaded once), "random" (untrained), or
            the path of a .safetensors or .pth file in torchvision's layout.
        pooling: "avg", which Gatys et al. recommend for pictures, or "max", as trained.
        seed: chooses the random weights.

    Raises:
        InputError: weights that cannot be had or used, or an unknown pooling.

    Source: Simonyan and Zisserman 2015; Gatys et al. 2016, section 2.
    """

    def __init__(
        self,
        weights: str | os.PathLike = "bundled",
        pooling: str = "avg",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if pooling not in ("avg", "max"):
            raise InputError(f"pooling is 'avg' or 'max', not {pooling!r}")
        self.pool = avg_pool2d if pooling == "avg" else max_pool2d
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        self.convs = nn.ModuleDict()
        parameters = _random(seed) if weights == "random" else _read(weights)
        for name, (weight, bias) in parameters.items():
            out_channels, in_channels = weight.shape[:2]
            # skip_init: no time spent on numbers that are replaced at once
            conv = nn.utils.skip_init(
                nn.Conv2d, in_channels, out_channels, kernel_size=3, padding=1
            )
            conv.weight.data, conv.bias.data = weight.float(), bias.float()
            self.convs[name] = conv
        self.requires_grad_(False)

    def forward(self, image: Tensor, layers: list[str]) -> dict[str, Tensor]:
        """Compute the features of some layers, running no deeper than the deepest.

        Args:
            image: (1, 3, H, W) RGB in [0, 1]; mean and deviation are handled here.
            layers: names out of conv1_1 … conv5_4.

        Returns:
            {name: (1, C, h, w)}, 0 or more, where h and w are halved (rounded down)
            from each block to the next.

        Raises:
            InputError: an unknown layer; the line lists the sixteen.
        """
        check_layers(layers)
        features = {}
        x = (image - self.mean) / self.std
        for name in LAYERS:
            if len(features) == len(set(layers)):
                break
            if name.endswith("_1") and name != "conv1_1":
                x = self.pool(x, 2)
            if name in self.convs:
                x = relu(self.convs[name](x))
            if name in layers:
                features[name] = x
        return features


def check_layers(layers: list[str]) -> None:
    """Refuse names that are none of VGG19's sixteen convolutions.

    Args:
        layers: names.

    Raises:
        InputError: an unknown one; the line lists the sixteen.
    """
    for name in layers:
        if name not in LAYERS:
            raise InputError(f"no layer {name!r}; there are {', '.join(LAYERS)}")


def _shapes() -> dict[str, tuple[int, int]]:
    """List (out_channels, in_channels) of every convolution."""
    outs = [channels for count, channels in BLOCKS.values() for _ in range(count)]
    return dict(zip(LAYERS, zip(outs, [3, *outs[:-1]], strict=True), strict=True))


def _torchvision_indices() -> dict[str, int]:
    """Find each convolution's place in torchvision's vgg19().features.

    A convolution and its ReLU take two places, each pooling before a block one.
    """
    return {name: 2 * i + int(name[4]) - 1 for i, name in enumerate(LAYERS)}


def _random(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Draw untrained weights as torchvision does: normal, variance 2 / fan-out."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (
            torch.randn(out, into, 3, 3, generator=generator) * (2 / (9 * out)) ** 0.5,
            torch.zeros(out),
        )
        for name, (out, into) in _shapes().items()
    }


def _read(weights: str | os.PathLike) -> dict[str, tuple[Tensor, Tensor]]:
    """Read {layer: (weight, bias)} from a file in torchvision's layout."""
    if weights == "bundled":
        path = BUNDLED
    elif weights == "imagenet":
        path = _imagenet_file()
    else:
        path = Path(weights).expanduser()
    state = _load(path)
    parameters = {}
    for name, index in _torchvision_indices().items():
        keys = [f"features.{index}.weight", f"features.{index}.bias"]
        if name in NOT_IN_VGG16 and keys[0] not in state:
            continue
        out, into = _shapes()[name]
        pair = [state.get(key) for key in keys]
        if [p is not None and p.shape for p in pair] != [(out, into, 3, 3), (out,)]:
            raise InputError(
                f"{path}: not the weights of a VGG19: {keys[0]} and {keys[1]} should "
                f"have shapes {(out, into, 3, 3)} and {(out,)}"
            )
        if not all(p.isfinite().all() for p in pair):
            raise InputError(f"{path}: {name} has infinite weights; get the file again")
        parameters[name] = pair
    return parameters


def _load(path: Path) -> dict[str, Tensor]:
    """Load a checked weights file without ever unpickling code."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such weights file; weights are 'bundled', 'imagenet', "
            "'random' or the path of a .safetensors or .pth file"
        )
    _check_sha256(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise InputError(f"{path}: broken or cut off ({error}); get it again") from None
    except Exception:  # a web page, a cut-off file, or a pickle with code in it
        raise InputError(
            f"{path}: not a weights file or cut off; get it again"
        ) from None
    if not isinstance(state, dict):
        raise InputError(f"{path}: not the weights of a VGG19; choose another file")
    return state


def _check_sha256(path: Path) -> None:
    """Compare a file with the checksum beside it or, as torchvision, in its name."""
    beside = path.with_name(path.name + ".sha256")
    in_name = re.search("-([0-9a-f]{8,})[.]pth$", path.name)
    if beside.exists():
        expected = beside.read_text().strip()
    elif in_name:
        expected = in_name[1]
    else:
        return
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if not expected or not actual.startswith(expected):
        raise InputError(
            f"{path}: its SHA-256 starts {actual[:8]}, not {expected[:8]}: cut off, or "
            "a web page saved as weights; delete it and get it again"
        )


def _imagenet_file() -> Path:
    """Return the file with VGG-19's own weights, downloading and trimming it once."""
    if os.environ.get("NST_WEIGHTS"):
        return Path(os.environ["NST_WEIGHTS"]).expanduser()
    folder = Path(torch.hub.get_dir(), "checkpoints")
    cached = folder / "vgg19_convolutions_fp16.safetensors"
    checksum = folder / (cached.name + ".sha256")
    if cached.exists() and checksum.exists():
        try:
            _check_sha256(cached)
            return cached
        except InputError:  # damaged since it was written: make it anew
            pass

    from torchvision.models import VGG19_Weights  # slow to import, seldom needed

    weights = VGG19_Weights.IMAGENET1K_V1
    download = folder / Path(weights.url).name
    try:
        if download.exists():
            _check_sha256(download)  # torchvision checks only what it downloads
        state = weights.get_state_dict(
            progress=True, check_hash=True, weights_only=True, map_location="cpu"
        )
    except Exception as error:  # no network, a proxy's web page, a full disk, ...
        raise InputError(
            f"torchvision's VGG-19 could not be had ({error}). Looked for {cached} and "
            f"{download}. Without a network: bring {download.name} on a USB stick and "
            "set NST_WEIGHTS=/path/to/it, or use weights='bundled'"
        ) from error
    # The classifier makes up 86 % of the download; no layer of ours needs it.
    state = {k: v.half() for k, v in state.items() if k.startswith("features.")}
    data = save(state)
    try:
        write_file(checksum, hashlib.sha256(data).hexdigest().encode())
        write_file(cached, data)
    except InputError:  # no room for the copy: the download serves
        return download
    return cached
