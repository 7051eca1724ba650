"""Where the network's weights come from, and how a broken file is told from a good one.

Nothing here unpickles code: files are safetensors, or read with weights_only.
"""

import contextlib
import hashlib
import os
import re
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn.functional import conv2d

from .files import InputError, write_file
from .layers import CHANNELS, LAYERS

BUNDLED = Path(__file__).parent / "weights" / "vgg19_layout_imagenet_fp16.safetensors"
TORCHVISIONS = "vgg19-dcbb9e9d.pth"  # a name with a checksum, which is looked at
URL = f"https://download.pytorch.org/models/{TORCHVISIONS}"
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
NOT_IN_VGG16 = ("conv3_4", "conv4_4", "conv5_4")
INPUTS = dict(zip(LAYERS, (3, *CHANNELS.values()), strict=False))  # their channels
# A convolution and its ReLU take two places of torchvision's vgg19().features, each
# pooling before a block one.
PLACES = {name: f"features.{2 * i + int(name[4]) - 1}" for i, name in enumerate(LAYERS)}


def read_parameters(
    weights: str | os.PathLike, seed: int = 0
) -> dict[str, dict[str, Tensor]]:
    """Read, or draw, {layer: {"weight": (D, C, 3, 3), "bias": (D,)}} of VGG19.

    Weights are "bundled", "imagenet" (the file that the environment variable
    NST_WEIGHTS names, else a download), "random" or the path of a .safetensors or .pth
    file, checked against the SHA-256 in FILE.sha256, if that is there. VGG-16 has no
    conv3_4, conv4_4 and conv5_4: a file without all three is taken for its. An
    InputError says what is wrong with a file, or how to get one.
    """
    state = _random(seed) if weights == "random" else read_state(weights)
    is_vgg16 = all(f"{PLACES[name]}.weight" not in state for name in NOT_IN_VGG16)
    parameters = {}
    for name, out in CHANNELS.items():
        if is_vgg16 and name in NOT_IN_VGG16:
            continue
        parameters[name] = {}
        for part, shape in ("weight", (out, INPUTS[name], 3, 3)), ("bias", (out,)):
            key = f"{PLACES[name]}.{part}"
            x = state.get(key)
            if not isinstance(x, Tensor) or x.shape != shape or x.dtype not in FLOATS:
                line = f"{key} should have shape {shape} and hold floats"
                raise InputError(f"{weights}: not the weights of a VGG19: {line}")
            if x.layout != torch.strided or x.is_meta or not x.float().sum().isfinite():
                raise InputError(
                    f"{weights}: {key} has no numbers, or infinite ones; get it again"
                )
            parameters[name][part] = x
    source = os.environ.get("NST_WEIGHTS", "") if weights == "imagenet" else weights
    is_known = source in ("", "bundled", "random") or Path(source).name == TORCHVISIONS
    if not is_known and _is_caffes(parameters):
        line = "of Caffe's kind (for pictures in BGR, 0 to 255), which would see false"
        line += " colours here; get torchvision's VGG-19 (weights 'imagenet')"
        raise InputError(f"{weights}: {line}")
    return parameters


def _is_caffes(parameters: dict[str, dict[str, Tensor]]) -> bool:
    """Tell by its numbers a network that was trained on BGR, 0 to 255.

    Noise of our range, some fifty times weaker, hardly shows among its biases. Or its
    first channel counts less than its last: blue, of any photo, tells the least.
    """
    kind = {"device": "cpu", "dtype": torch.float32}
    noise = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0), **kind)
    x = torch.stack([noise, 0 * noise])
    for name in LAYERS[:2]:
        weight, bias = (parameters[name][part].to(x) for part in ("weight", "bias"))
        x = conv2d(x, weight, bias, padding=1).relu()
    first, _, last = parameters[LAYERS[0]]["weight"].to(x).square().sum((0, 2, 3))
    shows = (x[0] - x[1]).norm()
    return bool(shows < 0.5 * x[0].norm() or first < 0.75 * last)


def _random(seed: int) -> dict[str, Tensor]:
    """Draw untrained weights as torchvision does: normal, variance 2 / fan-out."""
    generator = torch.Generator().manual_seed(seed)
    kind = {"device": "cpu", "dtype": torch.float32}  # whatever the defaults are
    state = {}
    for name, out in CHANNELS.items():
        weight = torch.randn(out, INPUTS[name], 3, 3, generator=generator, **kind)
        state[f"{PLACES[name]}.weight"] = weight * (2 / (9 * out)) ** 0.5
        state[f"{PLACES[name]}.bias"] = torch.zeros(out, **kind)
    return state


def read_state(weights: str | os.PathLike) -> dict[str, Tensor]:
    """Read weights under torchvision's names."""
    if weights == "imagenet":
        weights = os.environ.get("NST_WEIGHTS")
        if not weights:
            return _load_imagenet()
        if not os.path.isfile(os.path.expanduser(weights)):
            line = f"NST_WEIGHTS={weights}: no such file; is the stick plugged in?"
            raise InputError(line)
    return _load(BUNDLED if weights == "bundled" else Path(os.path.expanduser(weights)))


def _load(path: Path) -> dict[str, Tensor]:
    """Load a weights file if it is whole."""
    if not os.path.isfile(path):
        raise InputError(
            f"{path}: no such weights file; weights are 'bundled', 'imagenet', "
            "'random' or the path of a .safetensors or .pth file"
        )
    try:
        data = path.read_bytes()
        _check_sha256(path, data)
        if data[8:9] == b"{":  # safetensors, whatever its name
            # Not load_file, which may take Ctrl-C for a fault of the file.
            return load(data)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception:  # a web page, a cut-off file, or a pickle with code in it
        raise InputError(f"{path}: no weights, or cut off; get it again") from None
    if not isinstance(state, dict):
        raise InputError(f"{path}: not the weights of a VGG19; choose another file")
    return state


def _check_sha256(path: Path, data: bytes) -> None:
    """Compare a file with the checksum beside it or in the name torchvision gave it."""
    beside = path.with_name(path.name + ".sha256")
    in_name = re.fullmatch("vgg19-([0-9a-f]{8})[.]pth", path.name)
    expected = in_name[1] if in_name else ""  # the start of any
    if beside.exists():
        found = re.search("[0-9a-f]{64}", beside.read_text(errors="replace").lower())
        if not found:
            raise InputError(f"{beside}: no SHA-256 of 64 digits in it; delete it")
        expected = found[0]
    actual = hashlib.sha256(data).hexdigest()
    if not actual.startswith(expected):
        raise InputError(
            f"{path}: its SHA-256 starts {actual[:8]}, not {expected[:8]}: cut off, or "
            "a web page saved as weights; delete it and get it again"
        )


def _load_imagenet() -> dict[str, Tensor]:
    """Load VGG-19's own convolutions, downloading and trimming the file only once."""
    folder = Path(torch.hub.get_dir(), "checkpoints")
    cached = folder / "vgg19_convolutions_fp16.safetensors"
    checksum = folder / (cached.name + ".sha256")
    with contextlib.suppress(InputError):  # not there, or damaged since: make it anew
        if checksum.exists():
            return _load(cached)

    download = folder / Path(URL).name
    try:
        try:
            state = _load(download)
        except InputError:  # not there yet, or damaged
            folder.mkdir(parents=True, exist_ok=True)
            sha256 = download.stem.split("-")[1]  # only such a file gets the name
            torch.hub.download_url_to_file(URL, download, hash_prefix=sha256)
            state = _load(download)
    except Exception as error:  # no network, a proxy's web page, a full disk, ...
        raise InputError(
            f"torchvision's VGG-19 could not be had ({error}). Neither {cached} nor "
            f"{download} is there and whole. Without a network: bring {download.name} "
            "on a USB stick and set NST_WEIGHTS=/path/to/it, or use weights='bundled'"
        ) from error
    # The classifier makes up 86 % of the download; no layer of ours needs it.
    state = {k: v.half() for k, v in state.items() if k.startswith("features.")}
    data = save(state)
    with contextlib.suppress(InputError):  # no room for a copy: the next run tries anew
        write_file(checksum, hashlib.sha256(data).hexdigest().encode())
        write_file(cached, data)
    return state
