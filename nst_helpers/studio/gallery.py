"""Photos and paintings: those of a folder, and those that a learner brings."""

import html
import os
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

import ipywidgets as widgets
from torch import Tensor

from ..files import InputError, tell
from ..images import list_endings, load_image
from ..pixels import MIN_SIDE, stretch
from ..settings import LIMITS
from .scene import Named
from .thumbnails import Thumbnails, jpeg_url, take_uploads

LARGEST = 256  # pixels: the long side of a preview of anything that can be painted


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
        self._title = widgets.HTML()
        self._upload = widgets.FileUpload(
            accept=",".join(["image/*", *list_endings()]),
            description="your own",
            tooltip=f"Bring a {what} of your own, up to 10 MB (1 MB in Colab)",
        )
        self._upload.add_class("nst-upload")
        self._upload.observe(self._read_uploads, "value")
        self._thumbs = Thumbnails(self._choose)
        self.choose(first if first in self._sources else self.names[0])
        super().__init__([widgets.HBox([self._title, self._upload]), self._thumbs])
        self.add_class("nst-picker")

    @property
    def names(self) -> list[str]:
        """What the pictures are called."""
        return list(self._sources)

    @property
    def value(self) -> str:
        """Name of the picture chosen; may be assigned."""
        return self._thumbs.value

    @value.setter
    def value(self, name: str) -> None:
        self._thumbs.value = name

    @property
    def chosen(self) -> Named:
        """The picture chosen, and its name."""
        return Named(self._chosen, self.image)

    def add(self, name: str, content: bytes) -> str:
        """Take up a picture without choosing it.

        Args:
            name: of its file.
            content: of its file.

        Returns:
            What it is called here.

        Raises:
            InputError: it is no picture that can be painted.
        """
        return self._add(name, content, _thumbnail(content, name))

    def brought(self, name: str) -> bytes | None:
        """Return the file of a picture that was brought; None of the folder's."""
        source = self._sources.get(name)
        return source if isinstance(source, bytes) else None

    def find(self, mark: dict[str, str]) -> Named:
        """Find the picture of a recipe.

        Args:
            mark: as Named tells it.

        Returns:
            The picture.

        Raises:
            InputError: it is not here.
        """
        for name in sorted(self._sources, key=lambda name: name != mark["name"]):
            with suppress(InputError):
                picture = Named(name, self.load(name))
                if picture.mark["pixels"] == mark["pixels"]:
                    return picture
        line = f"its {self._what} {tell(mark['name'])} is not here; bring it by"
        raise InputError(f"{line} 'your own', then load the recipe again")

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

    def choose(self, name: str) -> None:
        """Choose a picture without calling on_choose; InputError: it is gone."""
        self.image, self._chosen = self.load(name), name
        self._show()

    def take(self, picture: Named) -> None:
        """Choose a picture that was loaded before, without calling on_choose."""
        self.image, self._chosen = picture.image, picture.name
        self._show()

    def _show(self) -> None:
        """Show which picture is chosen."""
        self._thumbs.offer(self._thumbnails, self._chosen)
        self._title.value = f"<b>{self._what}</b>: {html.escape(self._chosen)}"

    def _choose(self, name: str) -> None:
        """Hand a choice on; or go back to the one before, if its file is gone."""
        try:
            self.choose(name)
        except InputError as error:
            self._show()
            self._on_refuse(str(error))
        else:
            self._on_choose()

    def _read_uploads(self, _: dict) -> None:
        """Take uploads up and choose the last; refuse those that are no pictures."""
        added, refusals = [], []
        for name, content in take_uploads(self._upload):
            try:
                added.append(self.add(name, content))
            except InputError as error:
                refusals.append(str(error))
        if added:
            self.choose(added[-1])
            self._on_choose()
        if refusals:  # the last word: a choice takes back what was said before
            self._on_refuse(". ".join(refusals))


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
    return jpeg_url(stretch(image, *(side * 3 // 8 for side in image.shape[2:])))
