"""A wall: the pictures of a class, each with its recipe, out of a shared folder."""

import html
import os
from pathlib import Path

import ipywidgets as widgets

from ..files import InputError
from ..images import load_image
from ..settings import TERMS, Settings
from .app import Studio
from .curves import label
from .home import home_folder
from .thumbnails import Thumbnails, jpeg_url


class Wall(widgets.VBox):
    """Show all pictures of a folder that have a recipe beside them.

    "Take home" writes such pairs: give everybody the same folder. A click on a picture
    tells its settings, and brings its recipe into a studio's sliders.

    Args:
        folder: of pictures and recipes; it may fill later. None: the studio's own.
        studio: to bring recipes to, if any.
    """

    def __init__(
        self, folder: str | Path | None = None, studio: Studio | None = None
    ) -> None:
        self._folder = Path(os.path.expanduser(folder or home_folder()))
        self._studio = studio
        self._recipes: dict[str, Path] = {}
        self._told, self._alert = widgets.HTML(), widgets.HTML()
        self._thumbs = Thumbnails(self._choose, "nst-wall")
        again = widgets.Button(description="Look again", icon="refresh")
        again.on_click(lambda _: self.look())
        super().__init__([again, self._alert, self._thumbs, self._told])
        self.add_class("nst-studio")
        self.look()

    @property
    def names(self) -> list[str]:
        """Names of the pictures that hang there."""
        return list(self._recipes)

    def look(self) -> None:
        """Look for pictures again."""
        pictures, refused, self._recipes = {}, [], {}
        for recipe in sorted(self._folder.glob("*.json")):
            try:
                image = load_image(recipe.with_suffix(".png"), 240)
            except InputError as error:
                refused.append(str(error))
            else:
                # A file's name may hold bytes that no page can show.
                name = recipe.stem.encode(errors="replace").decode()
                pictures[name], self._recipes[name] = jpeg_url(image), recipe
        count = len(pictures)
        line = f"{count} picture{'s' * (count != 1)} in {self._folder}"
        self._told.value = html.escape(line if count else f"{line} yet")
        alert = ". ".join(refused).encode(errors="replace").decode()
        self._alert.value = html.escape(alert)
        self._thumbs.offer(pictures, None)

    def _choose(self, name: str) -> None:
        """Tell a picture's settings, and bring its recipe to the studio."""
        recipe, self._alert.value = self._recipes[name], ""
        try:
            settings = Settings.load(recipe)
            if self._studio:
                self._studio.load_recipe(recipe)
        except InputError as error:
            self._alert.value = html.escape(str(error))
            return
        weights = (f"{label(n)} {getattr(settings, f'{n}_weight'):g}" for n in TERMS)
        line = f"{name}: {', '.join(weights)}, {settings.steps} iterations"
        more = "; now press Start in the studio" if self._studio else ""
        self._told.value = html.escape(line + more)
