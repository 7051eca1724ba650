"""What a studio keeps: moments on a shelf, files taken home, recipes brought back."""

import functools
import html
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import is_
from pathlib import Path

from ..files import InputError
from ..settings import RECIPE_BYTES
from .home import pack, read_brought, write_files
from .scene import Scene, read_recipe
from .shelf import Kept
from .thumbnails import download_link, take_uploads
from .view import PHOTO

MACHINE = ("weights", "device", "precision")  # no recipe changes these


class Keeper:
    """Give Studio the shelf, the way home and the way back."""

    _shown: tuple = ()  # what the small pictures were made from

    def load_recipe(self, path: str | Path) -> None:
        """Move everything to where a recipe has it; Start paints it again.

        Pictures that lie beside the recipe are brought along. The picture painted so
        far is kept on the shelf.

        Args:
            path: of a recipe taken home, or of one that only has settings.

        Raises:
            InputError: no recipe, or one of pictures that are not here.
        """
        path = Path(path)
        for name, content in read_brought(path).items():
            is_photo = name.startswith("photo")
            picker = self._controls.photo if is_photo else self._controls.painting
            picker.add(name, content)
        try:
            content = path.read_bytes()
        except (OSError, ValueError) as error:  # the latter of NUL in a name
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: cannot be read: {why}") from error
        self._read_recipe(content, path.name)

    def _now(self) -> Kept:
        """Return the moment shown, with those before it."""
        moment = self._view.moment  # once: the worker goes on
        if not moment:
            raise InputError("there is no picture yet; press Start")
        return Kept(moment, self._view.film_before(moment))

    def _keep(self) -> None:
        """Put the moment shown on the shelf."""
        now = self._now()
        self._shelf.keep(now.moment, now.film)
        self._offer_others()

    def _keep_painted(self) -> None:
        """Put what was painted last on the shelf, so that nothing is lost."""
        self._view.release()
        newest = self.worker.painting.newest
        if newest and newest.iteration:
            self._keep()

    def _go_on_from_here(self) -> None:
        """Paint on from the moment shown."""
        self._go_back(self._now())
        self._paint(self._base.steps)

    def _go_back(self, kept: Kept) -> None:
        """Go back to a moment; the picture shown last is kept."""
        self._keep_painted()
        self._show_scene(kept.moment.scene)
        self._view.say(f"Back at iteration {kept.moment.iteration}.")
        self.worker.resume(kept.moment, kept.film)
        self._shelf.release()

    def _show_scene(self, scene: Scene) -> None:
        """Move everything to where a scene has it."""
        self._base = scene.settings
        with self._by_code():
            self._controls.show_scene(scene)
            self.settings = self._controls.settings(scene.settings)
        self._show_photo(scene)
        self._view.release()
        self._show_originals(scene)

    def _take_home(self) -> None:
        """Write the moment shown into the folder, and offer it as links."""
        now, controls = self._now(), self._controls
        self._buttons.links.value = "Writing …"
        scene, brought = now.moment.scene, {}
        for what, picker, name in (
            ("photo", controls.photo, scene.photo.name),
            *(("painting", controls.painting, x.name) for x in scene.paintings),
        ):
            if content := picker.brought(name):
                brought[f"{what}-{name}"] = content
        files = pack(now.moment, now.film, brought)
        links = " · ".join(download_link(*file) for file in files.items())
        self._buttons.links.value = f"To download: {links}"
        folder = write_files(self._buttons.folder.value, files)
        done = f"{len(files)} files are in the folder {html.escape(str(folder))}."
        self._buttons.links.value = f"{done} To download: {links}"

    def _read_uploads(self, _: dict) -> None:
        """Take up the recipe chosen."""
        for name, content in take_uploads(self._buttons.recipe):
            self._try(functools.partial(self._read_recipe, content, name))

    def _read_recipe(self, content: bytes, name: str) -> None:
        """Begin anew with what a recipe says."""
        pickers = {"photo": self._controls.photo, "painting": self._controls.painting}
        settings, moves, steps = read_recipe(
            content[:RECIPE_BYTES], name, lambda what, mark: pickers[what].find(mark)
        )
        unknown = {x for move in moves for x in move.scene.extra} - self._weights.keys()
        if unknown:
            line = f"{name}: it has a loss {min(unknown)!r}; give it to Studio(extra=…)"
            raise InputError(line)
        # What suits its author's computer need not suit this one.
        here = {field: getattr(self._base, field) for field in MACHINE}
        settings = replace(settings, **here)
        moves = [move.on(here) for move in moves]
        scenes = [move.scene for move in moves]
        scenes = scenes or [self._scene(settings)]
        for extreme in (min, max):
            extreme(scenes, key=lambda scene: scene.settings.size).check()
        if moves:
            self._keep_painted()
            self._show_scene(moves[-1].scene)
            self._base = replace(self._base, steps=max(1, steps))
            self.worker.play(moves, steps)
        else:
            self._base = settings
            with self._by_code():
                self._controls.show(settings)
                self.settings = self._controls.settings(settings)
            self._begin()

    def _show_photo(self, scene: Scene) -> None:
        """Let the brush show the photo and the region of a scene."""
        self._photo = self._controls.photo.image
        with self._by_code():
            self._brush.show(scene.photo.image)
            self._brush.region = scene.region

    @contextmanager
    def _by_code(self) -> Iterator[None]:
        """Move things without handing the moves on."""
        before, self._loading = self._loading, True
        try:
            yield
        finally:
            self._loading = before

    def _show_originals(self, scene: Scene) -> None:
        """Show small what goes into the picture, and offer the photo to compare."""
        has_second = bool(scene.settings.mix[1]), scene.region is not None
        shown = scene.photo.image, *scene.images, *has_second
        if len(shown) == len(self._shown) and all(map(is_, shown, self._shown)):
            return  # as before: a slider's move is answered sooner
        self._shown = shown
        self._view.show_originals(scene)
        self._controls.mix.disabled = scene.region is not None
        self._offer_others()

    def _offer_others(self) -> None:
        """Offer the photo, and what is on the shelf, to compare with."""
        kept = {name: kept.moment.image for name, kept in self._shelf.kept.items()}
        self._view.offer_others({PHOTO: self._controls.photo.image} | kept)
