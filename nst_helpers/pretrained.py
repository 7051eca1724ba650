"""Where the network's weights come from, and how a broken file is told from a good one.

Nothing here unpickles code: files are safetensors, or read with weights_only.
"""

import hashlib
import os
import re
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from .files import InputError, write_file

BUNDLED = Path(__file__).parent / "weights" / "vgg19_layout_imagenet_fp16.safetensors"


def read_state(weights: str | os.PathLike) -> dict[str, Tensor]:
    """Read the weights of a VGG19 under torchvision's names.

    Args:
        weights: "bundled", "imagenet" (the file that the environment variable
            NST_WEIGHTS names, else a download) or the path of a .safetensors or .pth
            file. If its SHA-256 stands beside it (in FILE.sha256), it is checked.

    Returns:
        {"features.0.weight": (64, 3, 3, 3), ...}, float16 or float32.

    Raises:
        InputError: no such file, one that may not be read, a damaged one, or no way to
            download it.
    """
    if weights == "bundled":
        return _load(BUNDLED)
    if weights != "imagenet":
        return _load(Path(os.path.expanduser(weights)))
    if os.environ.get("NST_WEIGHTS"):
        path = Path(os.path.expanduser(os.environ["NST_WEIGHTS"]))
        if not path.is_file():
            raise InputError(
                f"NST_WEIGHTS={path}: no such file; is the stick plugged in?"
            )
        return _load(path)
    return _load_imagenet()


def _load(path: Path) -> dict[str, Tensor]:
    """Load a weights file if it is whole."""
    if not os.path.isfile(path):
        raise InputError(
            f"{path}: no such weights file; weights are 'bundled', 'imagenet', "
            "'random' or the path of a .safetensors or .pth file"
        )
    try:
        _check_sha256(path)
        if path.suffix == ".safetensors":
            # Not load_file, which may take Ctrl-C for a fault of the file.
            return load(path.read_bytes())
        state = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception:  # a web page, a cut-off file, or a pickle with code in it
        raise InputError(f"{path}: no weights, or cut off; get it again") from None
    if not isinstance(state, dict) or not all(
        isinstance(tensor, Tensor) for tensor in state.values()
    ):
        raise InputError(f"{path}: not the weights of a VGG19; choose another file")
    return state


def _check_sha256(path: Path) -> None:
    """Compare a file with the checksum beside it or in the name torchvision gave it."""
    beside = path.with_name(path.name + ".sha256")
    in_name = re.fullmatch("vgg19-([0-9a-f]{8})[.]pth", path.name)
    if beside.exists():
        words = beside.read_text(errors="replace").lower().split()
        expected = words[0] if words else "nothing"
    elif in_name:
        expected = in_name[1]
    else:
        return
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
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
    if cached.exists() and checksum.exists():
        try:
            return _load(cached)
        except InputError:  # damaged since it was written: make it anew
            pass

    from torchvision.models import VGG19_Weights  # slow to import, seldom needed

    url = VGG19_Weights.IMAGENET1K_V1.url
    download = folder / Path(url).name
    try:
        try:
            state = _load(download)
        except InputError:  # not there yet, or damaged
            folder.mkdir(parents=True, exist_ok=True)
            sha256 = download.stem.split("-")[1]  # only such a file gets the name
            torch.hub.download_url_to_file(url, download, hash_prefix=sha256)
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
    try:
        write_file(checksum, hashlib.sha256(data).hexdigest().encode())
        write_file(cached, data)
    except InputError:
        pass  # no room for a copy: this run has its weights, the next tries again
    return state
