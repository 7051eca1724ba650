"""A run to a file and back, as safetensors with JSON. Nothing here unpickles code."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from .files import InputError, write_file
from .losses import Loss
from .settings import Settings
from .transfer import StyleTransfer

VERSION = "nst_helpers checkpoint 6"


def save_checkpoint(transfer: StyleTransfer, path: str | os.PathLike) -> None:
    """Write all that is needed to go on later: pictures and state_dict.

    Args:
        transfer: the run.
        path: the file to write, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    tensors = {}

    def put_aside(x: Tensor) -> dict[str, str]:
        # safetensors wants each in memory of its own, in one piece.
        x = x.detach().cpu().clone(memory_format=torch.contiguous_format)
        tensors[str(len(tensors))] = x
        return {"tensor": str(len(tensors) - 1)}

    run = {"photo": transfer.photo, "painting": transfer.painting}
    text = json.dumps(run | {"state": transfer.state_dict()}, default=put_aside)
    metadata = {"format": VERSION, "run": text, "sha256": _sha256(text, tensors)}
    write_file(path, save(tensors, metadata))


def load_checkpoint(
    path: str | os.PathLike, losses: Sequence[Loss] | None = None
) -> StyleTransfer:
    """Take up a run where save_checkpoint left it; it goes on as it would have.

    Args:
        path: the file that save_checkpoint wrote.
        losses: those that the run was given, if any.

    Returns:
        The run.

    Raises:
        InputError: no such file, cut off, damaged, or something else; or a device or
            memory that cannot be had.
    """

    def fetch(found: dict[str, Any]) -> Any:
        return tensors[found["tensor"]] if found.keys() == {"tensor"} else found

    if not Path(path).is_file():
        raise InputError(f"{path}: no such checkpoint; check the spelling")
    try:
        # Not safe_open, which may take Ctrl-C for a fault of the file.
        data = Path(path).read_bytes()
        # Cloned to where torch likes them: sums depend on the alignment.
        tensors = {name: tensor.clone() for name, tensor in load(data).items()}
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    except Exception as error:
        raise InputError(
            f"{path}: no checkpoint, or cut off ({error}); name another file"
        ) from None
    if metadata.get("format") != VERSION:
        raise InputError(f"{path}: not a checkpoint of this program; name another file")
    text = metadata.get("run", "")
    if metadata.get("sha256") != _sha256(text, tensors):
        raise InputError(f"{path}: a damaged checkpoint; delete it to start anew")
    run = json.loads(text, object_hook=fetch)
    if run["painting"] is None and losses is None:
        raise InputError(f"{path}: of a run with losses of its own; give them too")
    if optimizer := run["state"]["optimizer"]:  # JSON has made its numbers texts
        optimizer["state"] = {int(k): v for k, v in optimizer["state"].items()}
    # At one scale, from the photo: since it began, the pictures may have become too
    # thin for the coarsest scale, or the painting for a start.
    settings = Settings(**run["state"]["settings"])
    begun = replace(settings, scales=1, start="content")
    transfer = StyleTransfer(run["photo"], run["painting"], begun, losses)
    transfer.load_state_dict(run["state"])
    return transfer


def _sha256(text: str, tensors: dict[str, Tensor]) -> str:
    """Compute a checksum of all that a checkpoint holds."""
    return hashlib.sha256(text.encode() + save(tensors)).hexdigest()
