"""A brush: a region painted over a photo with the mouse, a pen, a finger or keys."""

import io
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor

from ..files import InputError
from ..images import encode
from ..pixels import check_image, check_mask, stretch, to_bytes

SIDE, SHOWN = 256, 1024  # pixels, the long side of a mask; of the photo, at most
CODE = [Path(__file__).with_name(name) for name in ("mask.js", "brush.js")]


def _keep(name: str) -> dict[str, Any]:
    """Tag a trait that Python sets and the page only reads."""
    return {"sync": True, "from_json": lambda _, brush: getattr(brush, name)}


def _take(sent: Any, brush: "Brush") -> bytes:
    """Return the mask that the page sends; if it is none, say so and keep the old."""
    try:
        mask = bytes(sent) if isinstance(sent, bytes | memoryview) else b"none"
        brush._decode(mask)
    except InputError as error:
        brush.refusal = str(error)
        brush.send_state("mask")
        return brush.mask
    brush.refusal = ""
    return mask


class Brush(anywidget.AnyWidget):
    """Let a region be painted over a photo.

    Attributes:
        photo: a JPEG; set by show.
        shape: (H, W) of the mask: the photo's, the long side 256; set by show.
        mask: an 8-bit grey PNG of that shape; b"" where nothing is painted. Observe it.
        refusal: why the page's last mask was not taken, in one line; or "".
    """

    _esm = "".join(path.read_text(encoding="utf-8") for path in CODE)
    _css = Path(__file__).with_name("brush.css")
    photo = traitlets.Bytes().tag(**_keep("photo"))
    shape = traitlets.Tuple((0, 0)).tag(**_keep("shape"))
    mask = traitlets.Bytes().tag(sync=True, from_json=_take)
    refusal = traitlets.Unicode().tag(**_keep("refusal"))

    def show(self, photo: Tensor) -> None:
        """Lay the region over another photo; one of other proportions clears it.

        Args:
            photo: (1, 3, H, W) in [0, 1].

        Raises:
            InputError: this is none.
        """
        photo = check_image(photo, "photo")
        shape, shown = _fit(photo, SIDE), _fit(photo, min(SHOWN, max(photo.shape)))
        with self.hold_sync():
            # The sides of a smaller copy of the same photo may be rounded otherwise.
            if any(abs(a - b) > 1 for a, b in zip(shape, self.shape, strict=True)):
                self.mask, self.shape = b"", shape
            self.photo, self.refusal = encode(stretch(photo, *shown), "JPEG"), ""

    @property
    def region(self) -> Tensor | None:
        """What is painted, (H, W) float32 in [0, 1], or None; may be assigned.

        A mask of any size is brought to the photo's.
        """
        pixels = self._decode(self.mask)
        return torch.from_numpy(pixels / np.float32(255)) if pixels.any() else None

    @region.setter
    def region(self, region: Tensor | None) -> None:
        check_mask(region)
        if region is None:
            self.mask = b""
            return
        if not self.photo:
            raise InputError("a region needs a photo below it: show one first")
        image = region.detach().float().expand(1, 3, *region.shape)
        pixels, file = to_bytes(stretch(image, *self.shape))[..., 0], io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        self.mask = file.getvalue() if pixels.any() else b""

    @traitlets.validate("mask")
    def _check(self, proposal: dict[str, Any]) -> bytes:
        """Refuse what is no mask, whoever sets it."""
        self._decode(proposal["value"])
        return proposal["value"]

    def _decode(self, mask: bytes) -> np.ndarray:
        """Read a mask, (H, W) uint8; refuse what is none of this photo."""
        if not mask:
            return np.zeros(self.shape, np.uint8)
        height, width = self.shape
        try:
            with Image.open(io.BytesIO(mask), formats=["PNG"]) as png:
                # Before any pixel is decoded: a header may promise millions.
                if (png.mode, png.size) == ("L", (width, height)):
                    return np.asarray(png)
        except Exception as error:  # decoders raise whatever a broken file provokes
            raise InputError("the mask: no PNG that can be read") from error
        raise InputError(f"the mask: not a grey PNG of {width}x{height} pixels")


def _fit(photo: Tensor, long_side: int) -> tuple[int, int]:
    """Return (H, W) of a photo of which the longer side has so many pixels."""
    scale = long_side / max(photo.shape)
    return tuple(max(1, round(scale * side)) for side in photo.shape[2:])
