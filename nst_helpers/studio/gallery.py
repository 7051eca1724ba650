"""Pictures on the page: thumbnails to choose from, uploads, and links to take home."""

import base64
import html
import os
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path

import ipywidgets as widgets
from torch import Tensor

from ..files import InputError
from ..images import encode, list_endings, load_image
from ..pixels import MIN_SIDE, resize, stretch
from ..settings import LIMITS

LARGEST = 256  # pixels, the long side of the largest preview


class ImagePicker(widgets.VBox):
    """Offer the pictures of a folder, and those uploaded.

    Args:
        what: is chosen, in a word.
        folder: of pictures; files that are none are left out.
        first: name of the one chosen at first, if it is there.
        size: long side of the pictures that load returns.
        on_choose: called when another one is chosen.
        on_refuse: called with a line when a choice or an upload is no picture.

    Attributes:
        image: the picture chosen, (1, 3, H, W) in [0, 1].
        left_out: names the files left out and says why, in one line; or "".

    Raises:
        InputError: no pictures there.
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
        self._what, self._size = what, size
        self._on_choose, self._on_refuse = on_choose, on_refuse
        self._sources: dict[str, Path | bytes] = {}
        self._thumbnails: dict[str, str] = {}
        self.left_out = self._read_folder(folder)
        self._style = widgets.HTML(layout={"display": "none"})
        self._title = widgets.HTML(layout={"width": "215px"})
        self._upload = widgets.FileUpload(
            accept=",".join(["image/*", *list_endings()]),
            description="your own",
            tooltip=f"Bring a {what} of your own, up to 10 MB",
            layout={"width": "110px"},
        )
        self._buttons = widgets.ToggleButtons()
        self._buttons.add_class("nst-gallery").add_class(f"nst-gallery-{what}")
        self._buttons.observe(self._choose, "value")
        self._upload.observe(self._read_uploads, "value")
        self._offer(first if first in self._sources else self.names[0])
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

    def _read_folder(self, folder: Path) -> str:
        """Take up the pictures of a folder; return the line that is left_out."""
        try:
            files = sorted(os.listdir(folder))
        except (OSError, ValueError):  # ValueError: no folder can have such a name
            files = []
        endings, pictures, refused = list_endings(), {}, {}
        for path in (folder / file for file in files if not file.startswith(".")):
            if path.suffix.lower() in endings:
                try:
                    pictures[path] = _thumbnail(path, str(path))
                except InputError as error:
                    why = str(error).removeprefix(f"{path}: ")
                    refused.setdefault(why, []).append(path.name)
        lines = [f"{', '.join(files)}: {why}" for why, files in refused.items()]
        left_out = f"left out of {folder.name}: {'. '.join(lines)}" if lines else ""
        if not pictures:
            line = f"{folder}: no pictures there; give Studio an image folder"
            raise InputError(f"{line} ({left_out})" if left_out else line)
        stems = [path.stem.replace("_", " ") for path in pictures]
        for stem, path in zip(stems, pictures, strict=True):
            ending = f" ({path.suffix[1:]})" if stems.count(stem) > 1 else ""
            self._add(stem + ending, path, pictures[path])
        return left_out

    def _add(self, name: str, source: Path | bytes, thumbnail: str) -> str:
        """Take up a picture, under a name that no other has; return it."""
        name = name.encode(errors="replace").decode()  # it may hold odd bytes
        names = chain([name], (f"{name} ({k})" for k in count(2)))
        name = next(n for n in names if self._sources.get(n, source) == source)
        self._sources[name], self._thumbnails[name] = source, thumbnail
        return name

    def _offer(self, name: str) -> None:
        """Show all thumbnails, one of them chosen, without calling on_choose."""
        self.image = self.load(name)
        rules = [
            f".nst-gallery-{self._what} button:nth-child({k}) {{ background-image: "
            f"url({thumbnail}); }}"
            for k, thumbnail in enumerate(self._thumbnails.values(), 1)
        ]
        self._style.value = f"<style>{' '.join(rules)}</style>"
        self._press(name)

    def _press(self, name: str) -> None:
        """Show which picture is chosen, without calling on_choose."""
        self._buttons.unobserve(self._choose, "value")
        self._buttons.options = self._buttons.tooltips = self.names
        self._buttons.value = name
        self._buttons.observe(self._choose, "value")
        self._title.value = f"<b>{self._what}</b>: {html.escape(name)}"

    def _choose(self, change: dict) -> None:
        """Hand a choice on; or go back to the one before, if its file is gone."""
        try:
            self.image = self.load(change["new"])
        except InputError as error:
            self._press(change["old"])
            self._on_refuse(str(error))
        else:
            self._press(change["new"])
            self._on_choose()

    def _read_uploads(self, change: dict) -> None:
        """Take uploads up and choose the last; refuse those that are no pictures."""
        added, refusals = [], []
        for file in change["new"]:
            name, content = file["name"], bytes(file["content"])
            try:
                added.append(self._add(name, content, _thumbnail(content, name)))
            except InputError as error:
                refusals.append(str(error))
        if added:
            self._offer(added[-1])
            self._on_choose()
        if refusals:  # the last word: a choice takes back what was said before
            self._on_refuse(". ".join(refusals))
        self._upload.value = ()  # so that the same file may be chosen again


def _thumbnail(source: Path | bytes, name: str) -> str:
    """Make an address that holds a picture, small; refuse what cannot be painted."""
    if isinstance(source, Path) and not os.path.isfile(source):
        raise InputError(f"{name}: no file (a folder, say, or a link to nothing)")
    named = {} if isinstance(source, Path) else {"name": name}
    try:
        image = load_image(source, LARGEST, **named)
    except InputError:
        load_image(source, LIMITS["size"][1], **named)  # refuses what is broken
        thin = f"too thin to paint here; crop it to at most {LARGEST // MIN_SIDE}:1"
        raise InputError(f"{name}: {thin}") from None
    return _jpeg_url(stretch(image, *(side * 3 // 8 for side in image.shape[2:])))


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
