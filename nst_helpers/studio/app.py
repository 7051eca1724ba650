"""The studio: move a slider, and the painting bends while it is being painted.

Callbacks load pictures and send commands to a Worker, so the kernel stays free; the
worker's thread writes only what shows, never a slider.
"""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
import traitlets
from torch import Tensor

from ..files import InputError, check_number
from ..losses import Loss
from ..settings import FIXED, LIMITS, Settings
from .brush import Brush
from .controls import Controls
from .curves import label
from .keeper import Keeper
from .layout import Buttons, arrange
from .scene import Scene
from .shelf import Shelf
from .view import FINISH_STEPS, View
from .worker import Worker

SETTINGS = Settings(size=128, steps=300)  # small at first: it grows


class Studio(Keeper, widgets.VBox):
    """Show the studio: a picture that is painted while sliders steer it.

    Let it be a cell's last line. The cell returns at once. Start paints settings.steps
    iterations, so a closed page leaves no endless run. Of several studios one paints.

    Args:
        images: a folder with content/ and style/ in it. Files that are no pictures are
            left out, and the studio names them.
        settings: where the sliders stand at first.
        extra: losses of one's own; each has a slider for its weight.
        grows: the picture begins in the size that the settings say, and grows as far as
            this computer paints several a second; else it stays so.

    Attributes:
        settings: what the sliders say; assign others to move them. A trait, to observe.
        image: the picture shown, (1, 3, H, W) in [0, 1]; None before the first. A trait
            that the worker's thread sets.
        running: whether it paints. A trait, as image.
        worker: the Worker behind it.

    Raises:
        InputError: no pictures there. Or, when settings are assigned, what cannot
            change in mid-run (after reset it can), or too small a size.
    """

    settings = traitlets.Instance(Settings)
    image = traitlets.Instance(Tensor, allow_none=True)
    running = traitlets.Bool(False)
    worker: Worker | None = None

    def __init__(
        self,
        images: str | Path = "../images",
        settings: Settings = SETTINGS,
        extra: Sequence[Loss] = (),
        grows: bool = True,
    ) -> None:
        self._first, self._base, self._grows = settings, settings, grows
        self._weights = {loss.name: loss.weight for loss in extra}
        self._loading = True  # code moves everything: nothing is handed on
        self._sending, self._photo = threading.Lock(), None  # which the brush shows
        self._view, self._buttons, self._brush = View(), Buttons(), Brush()
        self._shelf = Shelf(lambda kept: self._try(lambda: self._go_back(kept)))
        self._controls = Controls(
            Path(os.path.expanduser(images)),
            settings,
            extra,
            on_photo=lambda: self._try(self._begin),
            on_change=lambda: self._try(self._change),
            on_refuse=self._view.refuse,
        )
        follow = self._view.stage.relay(self._follow)
        self.worker = self._view.worker = Worker(follow, extra)
        parts = self._controls, self._buttons, self._brush, self._shelf
        super().__init__(arrange(self._view, *parts))
        self.add_class("nst-studio")
        self._connect()
        self._controls.let_grow(grows)
        self.settings, self._loading = self._controls.settings(settings), False
        self._try(self._begin)
        pickers = self._controls.photo, self._controls.painting
        if left_out := ". ".join(p.left_out for p in pickers if p.left_out):
            self._view.refuse(left_out)

    @traitlets.validate("settings")
    def _check_settings(self, proposal: dict) -> Settings:
        """Refuse, whole, what cannot be painted."""
        settings = proposal["value"]
        if not self._loading:
            if (newest := self.worker.painting.newest) and newest.iteration:
                self._base.check_change(settings)
            self._scene(settings).check()
        return settings

    @traitlets.observe("settings")
    def _move_sliders(self, change: dict) -> None:
        """Put the sliders where settings have them, and go on with what they say."""
        if self._loading:
            return
        old, self._base = self._base, change["new"]
        self._controls.show(self._base)
        anew = any(getattr(old, name) != getattr(self._base, name) for name in FIXED)
        self._try(self._begin if anew else self._change)

    def paint(self, steps: int) -> None:
        """Do what Start does, for so many steps, and wait for the end.

        Args:
            steps: iterations, 1 to 100,000.

        Raises:
            InputError: no such number, or the error that ended it.
        """
        check_number("steps", steps, *LIMITS["steps"])
        self._paint(steps)
        self.worker.wait()
        if self.worker.error:
            raise InputError(self.worker.error)

    def reset(self) -> None:
        """Bring the photo back, and the sliders to where they first stood; rest."""
        self._base = self._first
        self._controls.show(self._first, self._weights)
        self._controls.let_grow(self._grows)
        with self._by_code():
            self._brush.region = None
            self.settings = self._controls.settings(self._first)
        self._begin()
        self.worker.wait()

    def close(self) -> None:
        """End the thread and take the studio off the page."""
        if self.worker:  # else it was never built
            self.worker.close()
            self.worker.join()
        for part in _parts(self):
            part.close()
        super().close()

    def __repr__(self) -> str:
        """Say what to do where no widget can be shown."""
        return "The studio lives in a running notebook only: run this cell again."

    def _connect(self) -> None:
        """Let buttons and pickers act."""
        view, buttons = self._view, self._buttons
        actions = {
            buttons.start: self._toggle,
            buttons.step: lambda: self._paint(1),
            buttons.anew: self._begin,
            buttons.go_back: self._go_on_from_here,
            buttons.keep: self._keep,
            buttons.finish: lambda: self._paint(FINISH_STEPS, view.large.value),
            buttons.take: self._take_home,
        }
        for button, action in actions.items():
            button.on_click(lambda _, action=action: self._try(action))
        buttons.recipe.observe(self._read_uploads, "value")
        self._brush.observe(lambda _: self._try(self._change), "mask")
        view.time.observe(lambda _: self._tell(), "value")
        names = "content", "style", "style 2", "tv", *self._weights
        view.pull.options = [("nobody", ""), *((label(name), name) for name in names)]
        view.pull.observe(lambda change: self.worker.watch(change["new"]), "value")

    def _try(self, action: Callable[[], None]) -> None:
        """Do what a hand asks for, or show in one line why not."""
        self._view.refusal = ""
        try:
            action()
        except InputError as error:
            self._view.refuse(str(error))

    def _follow(self) -> None:
        """Show what the worker did, and tell whoever observes."""
        self._view.follow()
        self._buttons.start.description = "Pause" if self.worker.left else "Start"
        self._tell()

    def _tell(self) -> None:
        """Tell whoever observes what is shown."""
        moment, self.running = self._view.moment, self.worker.left > 0
        self.image = moment and moment.image

    def _scene(self, settings: Settings | None = None) -> Scene:
        """Gather what the controls say; all weights at 0: refused."""
        controls = self._controls
        settings = settings or controls.settings(self._base)
        extra = {name: slider.value for name, slider in controls.extras.items()}
        chosen = controls.photo.chosen, controls.paintings
        return Scene(*chosen, settings, self._brush.region, extra)

    def _begin(self) -> None:
        """Begin a new run with what is chosen, and rest."""
        scene = self._scene()  # may be refused: before anything changes
        if self._photo is not scene.photo.image:  # another one has no region yet
            scene = replace(scene, region=None)
            self._show_photo(scene)
        self._view.refusal = ""
        self._keep_painted()
        self._show_originals(scene)
        self._view.say("Loading …")
        self.worker.begin(scene, self._controls.grows)

    def _change(self) -> None:
        """Go on with what the controls say."""
        if self._loading:
            return
        with self._sending:  # an older reading of them must not be sent last
            scene = self._scene()
            if scene.photo.image is not self._photo:  # it was refused before
                return self._begin()
            self._show_originals(scene)
            if self.worker.left:
                self._view.say("Bends from the next iteration on.")
            self.worker.change(scene, self._controls.grows)
        with self._by_code():
            self.settings = scene.settings

    def _toggle(self) -> None:
        """Start, or pause."""
        self.worker.rest() if self.worker.left else self._paint(self._base.steps)

    def _paint(self, steps: int, size: int | None = None) -> None:
        """Paint, and follow it on the time line; other studios rest."""
        for thread in threading.enumerate():
            if isinstance(thread, Worker) and thread is not self.worker:
                thread.give_way()
        self._view.refusal = self._buttons.links.value = ""  # of an older picture
        self._view.release()
        self._view.say("Starting …")
        self.worker.paint(steps, size)


def _parts(widget: widgets.Widget) -> list[widgets.Widget]:
    """List the widgets in a widget."""
    children = getattr(widget, "children", ())
    return [*children, *(part for child in children for part in _parts(child))]
