"""Small pictures to choose from, and links that hold what they lead to."""

import base64
import html
import mimetypes
from collections.abc import Callable, Mapping

import ipywidgets as widgets
from torch import Tensor

from ..images import encode
from ..pixels import stretch

WHAT = {".gif": "film: ", ".json": "recipe: "}


class Thumbnails(widgets.VBox):
    """Offer small pictures, one of which is chosen.

    Args:
        on_choose: called with the name of another one chosen.
        kind: a class of its own in the page, for its looks.
    """

    def __init__(self, on_choose: Callable[[str], None], kind: str = "") -> None:
        self._call = on_choose
        self._mark = f"nst-thumbs-{id(self)}"
        self._style = widgets.HTML(layout={"display": "none"})
        self._buttons = widgets.ToggleButtons()
        for name in filter(None, ("nst-gallery", self._mark, kind)):
            self._buttons.add_class(name)
        self._buttons.observe(self._choose, "value")
        super().__init__([self._style, self._buttons])

    def offer(self, pictures: Mapping[str, str], chosen: str | None) -> None:
        """Show all, one of them chosen or none, without calling on_choose.

        Args:
            pictures: {name: address that holds the picture}.
            chosen: one of the names, or None.
        """
        rules = [
            f".{self._mark} button:nth-child({k}) {{ background-image: url({url}); }}"
            for k, url in enumerate(pictures.values(), 1)
        ]
        self._style.value = f"<style>{' '.join(rules)}</style>"
        self._buttons.unobserve(self._choose, "value")
        self._buttons.options = self._buttons.tooltips = list(pictures)
        self._buttons.value = chosen
        self._buttons.observe(self._choose, "value")

    @property
    def value(self) -> str | None:
        """Name of the one chosen; may be assigned."""
        return self._buttons.value

    @value.setter
    def value(self, name: str) -> None:
        self._buttons.value = name

    def _choose(self, change: dict) -> None:
        """Hand a choice on."""
        if change["new"] is not None:
            self._call(change["new"])


def read_uploads(upload: widgets.FileUpload) -> list[tuple[str, bytes]]:
    """List name and content of each file; ipywidgets 7 has {name: file}."""
    files = upload.value
    if not isinstance(files, dict):
        files = {file["name"]: file for file in files}
    return [(name, bytes(file["content"])) for name, file in files.items()]


def take_uploads(upload: widgets.FileUpload) -> list[tuple[str, bytes]]:
    """List name and content of each file; the same may be chosen again then."""
    files = read_uploads(upload)
    upload.set_trait("value", type(upload.value)())  # in ipywidgets 7 the only way
    return files


def download_link(name: str, content: bytes) -> str:
    """Write a link that downloads a file.

    Args:
        name: of the file.
        content: of the file.

    Returns:
        HTML.
    """
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    what = WHAT.get(name[name.rfind(".") :], "")
    file = html.escape(name)
    return f'<a download="{file}" href="{_data_url(content, kind)}">{what}{file}</a>'


def shrink(image: Tensor, long_side: int) -> Tensor:
    """Bring an image's longer side to so many pixels, unless it is shorter already."""
    scale = min(1, long_side / max(image.shape[2:]))
    return stretch(image, *(max(1, round(scale * side)) for side in image.shape[2:]))


def jpeg_url(image: Tensor) -> str:
    """Make an address that holds a picture, (1, 3, H, W), itself."""
    return _data_url(encode(image, "JPEG"), "image/jpeg")


def _data_url(content: bytes, kind: str) -> str:
    """Make an address that holds the content itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
