"""A row of thumbnails to choose from, and a button to bring one's own picture."""

import base64
import html
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets
from torch import Tensor

from .files import InputError
from .images import FORMATS, encode, load_image

SMALLEST = 64  # pixels, the long side of the smallest preview


class Picker(widgets.VBox):
    """Offer the pictures of a folder, and those uploaded.

    Args:
        what: is chosen, in a word.
        folder: of pictures.
        first: name of the one chosen at first, if it is there.
        size: long side of the pictures that load returns.
        chosen: called when another one is chosen.
        refused: called with a line when an upload is no picture.

    Attributes:
        names: what the pictures are called.
        value: name of the one chosen; may be assigned.

    Raises:
        InputError: no pictures there.
    """

    def __init__(
        self,
        what: str,
        folder: Path,
        first: str,
        size: int,
        chosen: Callable[[], None],
        refused: Callable[[str], None],
    ) -> None:
        paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in FORMATS)
        if not paths:
            raise InputError(
                f"{folder}: no pictures there; give Studio an image folder"
            )
        self._sources = {path.stem.replace("_", " "): path for path in paths}
        self._what, self._size = what, size
        self._chosen, self._refused = chosen, refused
        self._looks = widgets.HTML(layout={"display": "none"})
        self._title = widgets.HTML(layout={"width": "215px"})
        self._upload = widgets.FileUpload(
            accept="image/*",
            description="your own",
            tooltip=f"Bring a {what} of your own, up to 10 MB",
            layout={"width": "110px"},
        )
        self._buttons = widgets.ToggleButtons()
        self._buttons.add_class("nst-pick").add_class(f"nst-pick-{what}")
        self._buttons.observe(self._choose, "value")
        self._upload.observe(self._take, "value")
        self._offer(first if first in self._sources else next(iter(self._sources)))
        top = widgets.HBox([self._title, self._upload])
        super().__init__([self._looks, top, self._buttons])

    @property
    def names(self) -> list[str]:
        """What the pictures are called."""
        return list(self._sources)

    @property
    def value(self) -> str:
        """Name of the picture chosen."""
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
        """Show all thumbnails, one of them chosen, without saying so."""
        rules = []
        for k, source in enumerate(self._sources.values(), 1):
            small = encode(load_image(source, 96), "JPEG")
            rules += [
                f".nst-pick-{self._what} button:nth-child({k}) {{ "
                f"background-image: url({data_address(small, 'image/jpeg')}); }}"
            ]
        self._looks.value = f"<style>{' '.join(rules)}</style>"
        self._buttons.unobserve(self._choose, "value")
        self._buttons.options = self._buttons.tooltips = self.names
        self._buttons.value = name
        self._buttons.observe(self._choose, "value")
        self._name()

    def _name(self) -> None:
        """Say which picture is chosen."""
        self._title.value = f"<b>{self._what}</b>: {html.escape(self.value)}"

    def _choose(self, _: dict) -> None:
        """Hand a choice on."""
        self._name()
        self._chosen()

    def _take(self, change: dict) -> None:
        """Take an upload up and choose it, or refuse it."""
        for file in change["new"]:
            name, content = file["name"], bytes(file["content"])
            try:
                # Large, and as small as it may become: a panorama gets too thin.
                for size in (self._size, SMALLEST):
                    load_image(content, size, name)
            except InputError as error:
                self._refused(str(error))
                continue
            self._sources[name] = content
            self._offer(name)
            self._chosen()
        self._upload.value = ()  # so that the same file may be chosen again


def data_address(content: bytes, kind: str) -> str:
    """Make an address that holds the content itself.

    Args:
        content: of a file.
        kind: its media type.

    Returns:
        data:KIND;base64,...
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
