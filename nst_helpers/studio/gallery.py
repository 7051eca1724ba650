"""Pictures on the page: thumbnails to choose from, uploads, and links to take home."""

import base64
import html
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets
from torch import Tensor

from ..files import InputError
from ..images import FORMATS, encode, load_image
from ..pixels import resize

SMALLEST = 64  # pixels, the long side of the smallest preview


class ImagePicker(widgets.VBox):
    """Offer the pictures of a folder, and those uploaded.

    Args:
        what: is chosen, in a word.
        folder: of pictures.
        first: name of the one chosen at first, if it is there.
        size: long side of the pictures that load returns.
        on_choose: called when another one is chosen.
        on_refuse: called with a line when an upload is no picture.

    Raises:
        InputError: no pictures there, or a broken one.
    """

    def __init__(
        self,
        what: str,
        folder: Path,
        first: str,
        size: int,
        on_choose: Callable[[], None],
        on_refuse: Callable[[str], None],
    ) -> None:
        paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in FORMATS)
        if not paths:
            raise InputError(
                f"{folder}: no pictures there; give Studio an image folder"
            )
        self._sources = {path.stem.replace("_", " "): path for path in paths}
        self._what, self._size = what, size
        self._on_choose, self._on_refuse = on_choose, on_refuse
        self._style = widgets.HTML(layout={"display": "none"})
        self._title = widgets.HTML(layout={"width": "215px"})
        self._upload = widgets.FileUpload(
            accept="image/*",
            description="your own",
            tooltip=f"Bring a {what} of your own, up to 10 MB",
            layout={"width": "110px"},
        )
        self._buttons = widgets.ToggleButtons()
        self._buttons.add_class("nst-gallery").add_class(f"nst-gallery-{what}")
        self._buttons.observe(self._choose, "value")
        self._upload.observe(self._read_upload, "value")
        self._offer(first if first in self._sources else next(iter(self._sources)))
        top = widgets.HBox([self._title, self._upload])
        super().__init__([self._style, top, self._buttons])

    @property
    def names(self) -> list[str]:
        """What the pictures are called."""
        return list(self._sources)

    @property
    def value(self) -> str:
        """Name of the picture chosen; may be assigned."""
        return self._buttons.value

    @value.setter
    def value(self, name: str) -> None:
        self._buttons.value = name

    def load(self, name: str) -> Tensor:
        """Load one of the pictures.

        Args:
            name: one of names.

        Returns:
            (1, 3, H, W) in [0, 1].

        Raises:
            InputError: the file is gone or broken.
        """
        return load_image(self._sources[name], self._size)

    def _offer(self, name: str) -> None:
        """Show all thumbnails, one of them chosen, without calling on_choose."""
        rules = [
            f".nst-gallery-{self._what} button:nth-child({k}) {{ background-image: "
            f"url({_jpeg_url(load_image(source, 96))}); }}"
            for k, source in enumerate(self._sources.values(), 1)
        ]
        self._style.value = f"<style>{' '.join(rules)}</style>"
        self._buttons.unobserve(self._choose, "value")
        self._buttons.options = self._buttons.tooltips = self.names
        self._buttons.value = name
        self._buttons.observe(self._choose, "value")
        self._show_name()

    def _show_name(self) -> None:
        """Say which picture is chosen."""
        self._title.value = f"<b>{self._what}</b>: {html.escape(self.value)}"

    def _choose(self, _: dict) -> None:
        """Hand a choice on."""
        self._show_name()
        self._on_choose()

    def _read_upload(self, change: dict) -> None:
        """Take an upload up and choose it, or refuse it."""
        for file in change["new"]:
            name, content = file["name"], bytes(file["content"])
            try:
                # Large, and as small as it may become: a panorama gets too thin.
                for size in (self._size, SMALLEST):
                    load_image(content, size, name)
            except InputError as error:
                self._on_refuse(str(error))
                continue
            self._sources[name] = content
            self._offer(name)
            self._on_choose()
        self._upload.value = ()  # so that the same file may be chosen again


def picture_html(image: Tensor, alt: str) -> str:
    """Write a picture as a small part of a page.

    Args:
        image: (1, 3, H, W) in [0, 1].
        alt: what it shows, for those who do not see it.

    Returns:
        HTML.
    """
    return (
        f'<img src="{_jpeg_url(resize(image, 256))}" alt="{alt}" style="max-width: '
        '165px; max-height: 120px; margin: 0 6px 0 0; vertical-align: bottom">'
    )


def download_link(name: str, kind: str, content: bytes) -> str:
    """Write a link that downloads a file.

    Args:
        name: of the file.
        kind: its media type, "image/png", say; the end of the name in the link.
        content: of the file.

    Returns:
        HTML.
    """
    stem, ending = name.split(".")
    return (
        f'<a download="{name}" href="{_data_url(content, kind)}">'
        f"{stem} ({ending.upper()})</a>"
    )


def _jpeg_url(image: Tensor) -> str:
    """Make an address that holds a picture itself."""
    return _data_url(encode(image, "JPEG"), "image/jpeg")


def _data_url(content: bytes, kind: str) -> str:
    """Make an address that holds the content itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
