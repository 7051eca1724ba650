"""The studio: move a slider, and the painting bends while it is being painted.

Callbacks load pictures and send commands to a Worker, so the kernel stays free; the
worker's thread writes only what shows, never a slider.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
from torch import Tensor

from ..device import check_memory
from ..files import InputError, check_number
from ..pixels import resize
from ..settings import LIMITS, Settings
from ..terms import choose_losses
from .controls import Controls
from .view import FINISH_STEPS, View
from .worker import Worker

MACHINE = ("weights", "device", "precision")  # no recipe changes these
SETTINGS = Settings(size=128, steps=300)  # small: several pictures a second


class Studio(widgets.VBox):
    """Show the studio: pictures, sliders, buttons, curves and a time line.

    Let it be the last line of a cell. The cell returns at once. Start paints
    settings.steps iterations, so a page that is closed leaves nothing that runs for
    ever; a studio that is opened closes the one before it.

    Args:
        images: a folder with content/ and style/ in it. Files that are no pictures are
            left out, and the studio names them.
        settings: where the sliders stand at first. A long side of 128 pixels gives
            several pictures a second on 2 cores.

    Attributes:
        worker: the Worker behind it.

    Raises:
        InputError: no pictures there.
    """

    worker: Worker | None = None

    def __init__(
        self, images: str | Path = "../images", settings: Settings = SETTINGS
    ) -> None:
        self._first = self._base = settings
        self._stopped = False  # so Start begins anew
        self._sending = threading.Lock()
        self._view = View()
        self._controls = Controls(
            Path(os.path.expanduser(images)),
            settings,
            on_photo=lambda: self._try(self._begin),
            on_painting=lambda: self._try(self._repaint),
            on_change=lambda: self._try(self._change),
            on_refuse=self._refuse,
        )
        rows = self._controls.arrange(self._view)
        super().__init__(rows, layout={"max_width": "1120px"})
        self.add_class("nst-studio")
        self._connect()
        for thread in threading.enumerate():
            if isinstance(thread, Worker):
                thread.close()
        self.worker = self._view.worker = Worker(self._view.follow)
        self._try(self._begin)
        pickers = self._controls.photo, self._controls.painting
        if left_out := ". ".join(p.left_out for p in pickers if p.left_out):
            self._refuse(left_out)

    @property
    def settings(self) -> Settings:
        """What the sliders say; assign others to move them.

        Raises:
            InputError: all three weights are 0. Or, when assigned, what cannot change
                in mid-run (after Stop it can), or too small a size.
        """
        return self._controls.settings(self._base)

    @settings.setter
    def settings(self, settings: Settings) -> None:
        if not self._stopped:
            self._base.check_change(settings)
        self._check_size(settings)
        self._move_sliders(settings)
        self._try(self._change)

    @property
    def image(self) -> Tensor | None:
        """The picture shown, (1, 3, H, W) in [0, 1]; None before the first."""
        return self._view.image

    def paint(self, steps: int) -> None:
        """Do what Start does, for so many steps, and wait for the end.

        Args:
            steps: iterations, 1 to 100,000.

        Raises:
            InputError: no such number, or the error that ended it.
        """
        check_number("steps", steps, *LIMITS["steps"])
        self._start(steps)
        self.worker.wait()
        if self.worker.error:
            raise InputError(self.worker.error)

    def reset(self) -> None:
        """Bring the photo back, and the sliders to where they first stood; rest."""
        self._restart(self._first)

    def close(self) -> None:
        """End the thread and take the studio off the page."""
        if self.worker:  # else it was never built
            self.worker.close()
            self.worker.join()
        for part in _parts(self):
            part.close()
        super().close()

    def _connect(self) -> None:
        """Let the buttons act."""
        actions = {
            "Start": lambda: self._start(self._base.steps),
            "Pause": lambda: self.worker.rest(),
            "Step": lambda: self._start(1),
            "Stop": self._stop,
            "Reset": self.reset,
            "Go on from here": self._resume,
            "Take home": self._view.offer_downloads,
            "Finish": lambda: self._paint(FINISH_STEPS, self._view.large.value),
        }
        for name, action in actions.items():
            button = self._controls.buttons[name]
            button.on_click(lambda _, action=action: self._try(action))
        self._controls.recipe.observe(self._read_recipes, "value")

    def _try(self, action: Callable[[], None]) -> None:
        """Do what a hand asks for, or show in one line why not."""
        self._view.refusal = ""
        try:
            action()
        except InputError as error:
            self._refuse(str(error))

    def _refuse(self, refusal: str) -> None:
        """Show why something was not done."""
        # A file's name may hold bytes that no page can show.
        self._view.refusal = refusal.encode(errors="replace").decode()
        self._view.show()

    def _begin(self) -> None:
        """Begin a new run with the pictures chosen; one that paints goes on."""
        settings = self.settings  # may be refused: before anything changes
        photo, paintings = self._controls.photo.image, self._controls.paintings
        self._view.show_original("photo", photo)
        self._view.show_original("painting", paintings[0])
        self.worker.begin(photo, paintings, settings)
        self._stopped, self._view.refusal = False, ""
        self._view.time.value = 100

    def _repaint(self) -> None:
        """Go on with the paintings chosen."""
        paintings = self._controls.paintings
        self._view.show_original("painting", paintings[0])
        self.worker.change_paintings(paintings)

    def _change(self) -> None:
        """Go on with what the sliders say."""
        with self._sending:  # an older reading of them must not be sent last
            self.worker.change_settings(self.settings)

    def _check_size(self, settings: Settings) -> None:
        """Refuse settings, whole, if a picture gets too small, or too large."""
        photo, paintings = self._controls.photo.image, self._controls.paintings
        resize(photo, settings.size, "the photo")
        for painting in paintings:
            resize(painting, settings.size, "the painting", settings.style_scale)
        check_memory(photo, choose_losses(paintings, settings), settings)

    def _move_sliders(self, settings: Settings) -> None:
        """Put the sliders where settings have them."""
        self._base = settings
        self._controls.show(settings)

    def _start(self, steps: int) -> None:
        """Begin anew if the last run was stopped, and paint."""
        if self._stopped:
            self._begin()
        self._paint(steps)

    def _paint(
        self, steps: int, size: int | None = None, image: Tensor | None = None
    ) -> None:
        """Paint, and follow it on the time line."""
        self._view.refusal, self._view.time.value = "", 100
        self.worker.paint(steps, size, image)

    def _stop(self) -> None:
        """End the run; its pictures stay."""
        self._stopped = True
        self.worker.stop()

    def _restart(self, settings: Settings) -> None:
        """Move the sliders, bring the photo back, and rest."""
        self._move_sliders(settings)
        self.worker.rest()
        self._begin()

    def _resume(self) -> None:
        """Go on from the moment shown."""
        step = self._view.moment
        if step:
            self._stopped = False
            self._paint(self._base.steps, image=step.image)

    def _read_recipes(self, change: dict) -> None:
        """Take up the recipe chosen."""
        for file in change["new"]:
            self._try(lambda file=file: self._read_recipe(file))
        self._controls.recipe.value = ()  # so that the same file may be chosen again

    def _read_recipe(self, file: dict) -> None:
        """Begin anew with what a recipe says."""
        recipe = Settings.from_json(bytes(file["content"]), file["name"])
        # What suits its author's computer need not suit this one.
        here = {name: getattr(self._base, name) for name in MACHINE}
        recipe = replace(recipe, **here)
        self._check_size(recipe)
        self._restart(recipe)


def _parts(widget: widgets.Widget) -> list[widgets.Widget]:
    """List the widgets in a widget."""
    children = getattr(widget, "children", ())
    return [*children, *(part for child in children for part in _parts(child))]
