"""Nested numbers and tensors to a file and back, as safetensors with JSON.

Nothing here unpickles code.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from .files import InputError, write_file

VERSION = "nst_helpers checkpoint 4"


def write_checkpoint(path: str | os.PathLike, state: dict[str, Any]) -> None:
    """Write nested dicts and lists of numbers, texts, None and tensors to a file.

    The file is written whole or not at all.

    Args:
        path: the file to write.
        state: {name: value}; names of inner dicts may be numbers.

    Raises:
        InputError: it cannot be written.
    """
    tensors = {}

    def outline(value: Any) -> Any:
        if isinstance(value, Tensor):
            # safetensors wants each in memory of its own, in one piece.
            whole = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            tensors[str(len(tensors))] = whole
            return {"tensor": str(len(tensors) - 1)}
        if isinstance(value, dict):
            return {"items": [[k, outline(v)] for k, v in value.items()]}
        if isinstance(value, list | tuple):
            return [outline(v) for v in value]
        return value

    text = json.dumps(outline(state))
    metadata = {"format": VERSION, "outline": text, "sha256": _sha256(text, tensors)}
    write_file(path, save(tensors, metadata))


def read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """Read what write_checkpoint wrote.

    Args:
        path: the file.

    Returns:
        {name: value}; tuples have become lists, and tensors lie on the CPU.

    Raises:
        InputError: no such file, cut off, damaged, or something else.
    """

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(v) for v in value]
        if isinstance(value, dict) and "tensor" in value:
            return tensors[value["tensor"]]
        if isinstance(value, dict):
            return {k: fill(v) for k, v in value["items"]}
        return value

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
        raise InputError(f"{path}: no checkpoint, or cut off ({error})") from None
    if metadata.get("format") != VERSION:
        raise InputError(f"{path}: not a checkpoint of this program; delete it")
    text = metadata.get("outline", "")
    if metadata.get("sha256") != _sha256(text, tensors):
        raise InputError(f"{path}: a damaged checkpoint; delete it to start anew")
    return fill(json.loads(text))


def _sha256(text: str, tensors: dict[str, Tensor]) -> str:
    """Compute a checksum of all that a checkpoint holds."""
    return hashlib.sha256(text.encode() + save(tensors)).hexdigest()
