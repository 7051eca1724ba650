"""The studio: move a slider, and the painting bends while it is being painted.

Callbacks load pictures and leave orders for a Painter, so the kernel stays free; the
painter's thread writes only what shows, never a slider.
"""

import html
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
from torch import Tensor

from .curves import NAMES, draw_losses, draw_shares
from .files import InputError
from .images import encode, recolour, resize, stretch
from .painter import Painter
from .picker import SMALLEST, Picker, data_address
from .plots import FRAMES, encode_gif
from .settings import TERMS, Settings
from .transfer import Step

PAUSE = 0.1  # seconds between two pictures sent to the page, at least
REDRAW = 0.4  # the same for the curves, which cost the page more
SIZES = (SMALLEST, 96, 128, 160, 192, 256)  # of the preview
FINISHES = (256, 384, 512, 768, 1024)
FINISH_STEPS = 40
MACHINE = ("weights", "device", "precision")  # no recipe changes these
FIRST, SECOND = "hokusai great wave", "kandinsky composition viii"
SETTINGS = Settings(size=128, steps=300)  # small: several pictures a second
COLOURS = {  # what is shown: of which pictures come brightness and colours
    "as painted": ("painted", "painted"),
    "of the photo": ("painted", "photo"),
    "on the photo's light": ("photo", "painted"),
}
LOOKS = """<style>
.nst-studio .widget-html-content { line-height: 1.4; }
.nst-studio .jupyter-button { padding: 0 4px; }
.nst-studio .widget-hbox { align-items: center; }
.nst-studio .nst-columns { align-items: flex-start; }
.nst-studio svg { display: block; }
.nst-studio a { color: var(--jp-content-link-color, #1976d2);
  text-decoration: underline; }
.nst-studio .widget-vslider .widget-label {
  height: 20px; line-height: 20px; overflow: visible; font-size: 12px; }
.nst-studio .nst-pick { max-width: 480px; }
.nst-studio .nst-pick button {
  width: 62px; height: 44px; margin: 3px; font-size: 0; border-radius: 3px;
  background-size: cover; background-position: center; opacity: 0.6; }
.nst-studio .nst-pick button.mod-active {
  opacity: 1; outline: 3px solid var(--jp-brand-color1, #1976d2); }
.nst-studio .nst-pick button:focus-visible {
  opacity: 1; outline: 3px dashed currentColor; }
.nst-studio .nst-result { object-fit: contain; }
.nst-studio .nst-alert { border-left: 4px solid #d32f2f; padding: 2px 8px; }
</style>"""


class Studio(widgets.VBox):
    """Show the studio: pictures, sliders, buttons, curves and a time line.

    Let it be the last line of a cell. The cell returns at once. Start paints
    settings.steps iterations, so a page that is closed leaves nothing that runs for
    ever; a studio that is opened closes the one before it.

    Args:
        images: a folder with content/ and style/ in it.
        settings: where the sliders stand at first. A long side of 128 pixels gives
            several pictures a second on 2 cores.

    Attributes:
        painter: the Painter behind it.

    Raises:
        InputError: no pictures there, or a broken one.
    """

    painter: Painter | None = None

    def __init__(
        self, images: str | Path = "../images", settings: Settings = SETTINGS
    ) -> None:
        self._first = self._base = settings
        self._refusal = ""
        self._quiet = False  # code moves the sliders: no orders yet
        self._pinned: Step | None = None  # the moment that the time line points at
        self._ended = False  # by Stop: Start begins anew
        self._sent = self._drawn = 0.0
        self._showing = threading.RLock()
        self._build(Path(images))
        super().__init__(self._arrange(), layout={"max_width": "1120px"})
        self.add_class("nst-studio")
        self._connect()
        for thread in threading.enumerate():
            if isinstance(thread, Painter):
                thread.close()
        self.painter = Painter(self._painted)
        self._begin()

    @property
    def settings(self) -> Settings:
        """What the sliders say; assign others to move them.

        Raises:
            InputError: all three weights are 0.
        """
        said = {field: slider.value for field, slider in self._weights.items()}
        layers = {name: slider.value for name, slider in self._layers.items()}
        if any(layers.values()):
            said["style_layers"] = layers
        else:  # no layer counts: no style
            said["style_weight"] = 0.0
        return replace(self._base, mix=self._mix.value, size=self._size.value, **said)

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._base = settings
        self._move_sliders(settings)
        self._bend()

    @property
    def image(self) -> Tensor | None:
        """The picture shown, (1, 3, H, W) in [0, 1]; None before the first."""
        step = self._moment()
        return step and self._coloured(step)

    def paint(self, steps: int) -> None:
        """Do what Start does, for so many steps, and wait for the end.

        Args:
            steps: iterations, 1 or more.

        Raises:
            InputError: the trouble that ended it.
        """
        self._start(steps)
        self.painter.wait()
        if self.painter.trouble:
            raise InputError(self.painter.trouble)

    def reset(self) -> None:
        """Bring the photo back, and the sliders to where they first stood; rest."""
        self._base = self._first
        self._move_sliders(self._first)
        self._restart()

    def close(self) -> None:
        """End the thread and take the studio off the page."""
        if self.painter:  # else it was never built
            self.painter.close()
            self.painter.join()
        for part in _parts(self):
            part.close()
        super().close()

    def _build(self, images: Path) -> None:
        """Make the widgets."""
        size, base = FINISHES[-1], self._base
        self._photo = Picker(
            "photo", images / "content", "cat", size, self._begin, self._say
        )
        self._painting = Picker(
            "painting", images / "style", FIRST, size, self._repaint, self._say
        )
        self._second = widgets.Dropdown(description="mixed with", **_row(310))
        self._offer_second(SECOND)
        self._mix = widgets.FloatSlider(
            max=1.0, step=0.05, description="mix", readout_format=".0%", **_row(310)
        )
        self._weights = {
            field: widgets.SelectionSlider(
                options=_plain(_around(getattr(Settings(), field))),
                description=NAMES[field.removesuffix("_weight")],
                **_row(300),
            )
            for field in (f"{name}_weight" for name in TERMS)
        }
        self._equaliser = widgets.HBox()
        self._layers = {}
        self._size = widgets.SelectionSlider(
            options=_plain(SIZES),
            description="size (px)",
            continuous_update=False,  # each change of size blurs a little
            **_row(300),
        )
        self._move_sliders(base)
        names = ("Start", "Pause", "Step", "Stop", "Reset")
        self._buttons = {name: _button(name, 58) for name in names}
        self._buttons["Start"].button_style = "success"
        self._result = widgets.Image(
            format="jpeg", layout={"width": "430px", "height": "300px"}
        )
        self._result.add_class("nst-result")
        self._time = widgets.FloatSlider(
            value=100, step=0.5, description="time line", readout=False, **_row(290)
        )
        self._fork = _button("Go on from here", 135)
        self._wipe = widgets.FloatSlider(
            step=1, description="compare", readout=False, **_row(205)
        )
        self._colours = widgets.Dropdown(
            options=list(COLOURS), description="colours", **_row(220, 55)
        )
        self._progress = widgets.FloatProgress(
            max=1.0, layout={"width": "430px", "height": "10px"}
        )
        self._originals = widgets.HTML()
        self._status = widgets.HTML(layout={"min_height": "84px"})
        self._alert = widgets.HTML()
        self._curves = widgets.HTML()
        self._pack = _button("Take home", 90)
        self._links = widgets.HTML()
        self._recipe = widgets.FileUpload(
            accept=".json",
            description="load recipe",
            tooltip="Move the sliders to where a classmate's recipe has them",
            layout={"width": "150px"},
        )
        self._large = widgets.Dropdown(
            options=FINISHES, value=512, description="finish at", **_row(160)
        )
        self._finish = _button("Finish", 70)
        self._estimate = widgets.HTML()

    def _arrange(self) -> list[widgets.Widget]:
        """Put the widgets in their places."""
        line = widgets.HBox
        mixing = widgets.VBox([self._second, self._mix])
        top = line([self._photo, self._painting, mixing])
        left = widgets.VBox(
            [
                *self._weights.values(),
                widgets.HTML("How much each style layer counts"),
                self._equaliser,
                self._size,
                line(list(self._buttons.values())),
                self._status,
            ]
        )
        middle = widgets.VBox(
            [
                self._result,
                self._progress,
                line([self._time, self._fork]),
                line([self._wipe, self._colours]),
            ]
        )
        right = widgets.VBox(
            [
                self._originals,
                self._curves,
                line([self._large, self._finish, self._estimate]),
                line([self._pack, self._recipe]),
                self._links,
            ]
        )
        for box in (top, middle.children[-1]):
            box.layout.flex_flow = "row wrap"
        main = line([left, middle, right], layout={"flex_flow": "row wrap"})
        top.add_class("nst-columns")
        main.add_class("nst-columns")
        for column, width in ((left, 310), (middle, 440), (right, 350)):
            column.layout.width = f"{width}px"
        return [widgets.HTML(LOOKS, layout={"display": "none"}), top, self._alert, main]

    def _connect(self) -> None:
        """Let the widgets leave their orders."""
        acts = {
            "Start": lambda: self._start(self._base.steps),
            "Pause": lambda: self.painter.rest(),
            "Step": lambda: self._start(1),
            "Stop": self._stop,
            "Reset": self.reset,
        }
        for name, act in acts.items():
            self._buttons[name].on_click(lambda _, act=act: act())
        self._fork.on_click(lambda _: self._go_on_from_here())
        self._finish.on_click(lambda _: self._go(FINISH_STEPS, self._large.value))
        self._pack.on_click(lambda _: self._take_home())
        self._second.observe(lambda _: self._repaint(), "value")
        for slider in (self._mix, self._size, *self._weights.values()):
            slider.observe(lambda _: self._bend(), "value")
        self._recipe.observe(self._read_recipe, "value")
        self._time.observe(lambda _: self._pin(), "value")
        for look in (self._wipe, self._colours, self._large):
            look.observe(lambda _: self._show(), "value")

    def _begin(self) -> None:
        """Order a new run with the pictures chosen; one that paints goes on."""
        with self._friendly():
            settings = self.settings  # may be refused: before anything changes
            photo, paintings = self._photo.load(self._photo.value), self._load()
            self._content = photo  # before the painter's thread asks for it
            self.painter.begin(photo, paintings, settings)
            self._ended, self._time.value = False, 100
            self._show_originals(photo, paintings[0])

    def _repaint(self) -> None:
        """Order other paintings."""
        if self._quiet:
            return
        if list(self._second.options) != self._painting.names:
            self._offer_second(self._second.value)
        with self._friendly():
            paintings = self._load()
            self.painter.bend(painting=paintings)
            self._show_originals(self._content, paintings[0])

    def _load(self) -> list[Tensor]:
        """Load the two paintings chosen."""
        names = self._painting.value, self._second.value
        return [self._painting.load(name) for name in names]

    def _show_originals(self, photo: Tensor, painting: Tensor) -> None:
        """Show the pictures chosen beside the result."""
        self._originals.value = "".join(
            f'<img src="{data_address(encode(resize(x, 256), "JPEG"), "image/jpeg")}" '
            f'alt="the {what}" style="max-width: 165px; max-height: 120px; '
            'margin: 0 6px 0 0; vertical-align: bottom">'
            for what, x in (("photo", photo), ("painting", painting))
        )

    def _bend(self) -> None:
        """Order what the sliders say."""
        if self._quiet:
            return
        # One at a time: an older reading of the sliders must not be left last.
        with self._showing, self._friendly():
            self.painter.bend(settings=self.settings)

    def _start(self, steps: int) -> None:
        """Begin anew if the last run was stopped, and paint."""
        if self._ended:
            self._begin()
        self._go(steps)

    def _go(self, steps: int, large: int | None = None) -> None:
        """Order so many steps, and follow them on the time line."""
        self._refusal, self._time.value = "", 100
        self.painter.go(steps, large)

    def _stop(self) -> None:
        """Order the run to end; its pictures stay."""
        self._ended = True
        self.painter.rest("Stopped: the picture is kept, Start begins a new one.")

    def _restart(self) -> None:
        """Order the photo back, and a rest."""
        self.painter.rest("Press Start.")
        self._begin()

    def _go_on_from_here(self) -> None:
        """Order the run to go on from the moment shown."""
        step = self._moment()
        if step:
            self._ended = False
            self.painter.bend(image=step.image)
            self._go(self._base.steps)

    def _pin(self) -> None:
        """Hold on to the moment that the time line, in per cent, points at."""
        steps, place = self.painter.steps, self._time.value / 100
        live = place == 1 or not steps
        self._pinned = None if live else steps[round(place * (len(steps) - 1))]
        self._show()

    def _moment(self) -> Step | None:
        """Find the step shown."""
        return self._pinned or self.painter.newest

    def _read_recipe(self, change: dict) -> None:
        """Move the sliders to where a recipe has them, and begin anew."""
        for file in change["new"]:
            with self._friendly():
                recipe = Settings.from_json(bytes(file["content"]), file["name"])
                # What suits its author's computer need not suit this one.
                here = {n: getattr(self._base, n) for n in MACHINE}
                self._base = replace(recipe, **here)
                self._move_sliders(recipe)
                self._restart()
        self._recipe.value = ()  # so that the same file may be chosen again

    def _move_sliders(self, settings: Settings) -> None:
        """Put the sliders where settings have them, without an order."""
        self._quiet = True
        for slider in self._layers.values():
            slider.close()
        for field, slider in self._weights.items():
            _point(slider, getattr(settings, field))
        self._layers = {
            name: widgets.FloatSlider(
                value=weight,
                max=max(20.0, weight),
                step=0.5,
                description=name,
                orientation="vertical",
                readout_format=".3g",
                layout={"width": "56px", "height": "150px"},
            )
            for name, weight in settings.style_layers.items()
        }
        for slider in self._layers.values():
            slider.observe(lambda _: self._bend(), "value")
        self._equaliser.children = list(self._layers.values())
        self._mix.value = settings.mix
        _point(self._size, settings.size)
        self._quiet = False

    def _offer_second(self, name: str) -> None:
        """List the paintings that can be mixed in."""
        names, self._quiet = self._painting.names, True
        self._second.options = names
        self._second.value = name if name in names else names[-1]
        self._quiet = False

    def _take_home(self) -> None:
        """Offer the picture shown, the making-of and the recipe as links."""
        step, steps = self._moment(), self.painter.steps
        if not step or not steps:
            return
        stride = math.ceil(len(steps) / FRAMES)
        film = [self._coloured(step) for step in steps[:-1:stride]]
        last = self._coloured(steps[-1])
        film.append(resize(last, min(max(last.shape), SIZES[-1])))
        recipe = replace(step.settings, steps=max(1, step.iteration))
        files = {
            "picture": ("png", "image/png", encode(self._coloured(step), "PNG")),
            "making-of": ("gif", "image/gif", encode_gif(film)),
            "recipe": ("json", "application/json", recipe.to_json().encode()),
        }
        links = [
            f'<a download="{name}.{ending}" href="{data_address(content, kind)}">'
            f"{name} ({ending.upper()})</a>"
            for name, (ending, kind, content) in files.items()
        ]
        self._links.value = f"Iteration {step.iteration}: {' · '.join(links)}"

    def _coloured(self, step: Step) -> Tensor:
        """Give a step's picture the colours chosen."""
        brightness, colours = COLOURS[self._colours.value]
        if brightness == colours:
            return step.image
        photo = stretch(self._content, *step.image.shape[2:])
        pictures = {"painted": step.image, "photo": photo}
        return recolour(pictures[brightness], pictures[colours])

    def _painted(self) -> None:
        """Show the newest picture, but not more often than a page can follow."""
        if not self.painter.left or time.monotonic() - self._sent >= PAUSE:
            self._show()
            self._sent = time.monotonic()

    @contextmanager
    def _friendly(self) -> Iterator[None]:
        """Say a bad input in one line."""
        self._refusal = ""
        try:
            yield
        except InputError as error:
            self._say(str(error))

    def _say(self, refusal: str) -> None:
        """Show why something was not done."""
        self._refusal = refusal
        self._show()

    def _show(self) -> None:
        """Show the present state of things."""
        with self._showing:  # the last to come has the last word
            trouble = html.escape(self._refusal or self.painter.trouble or "")
            self._alert.value = trouble and (
                f'<div class="nst-alert" role="alert">{trouble}</div>'
            )
            step, steps = self._moment(), self.painter.steps
            self._tell(step)
            if not step or not steps:
                return
            image = self._coloured(step)
            wiped = round(self._wipe.value / 100 * image.shape[3])
            if wiped:
                image = image.clone()
                photo = stretch(self._content, *image.shape[2:])
                image[..., :wiped] = photo[..., :wiped]
                image[..., wiped - 1] = 1.0
            self._result.value = encode(image, "JPEG")
            painter = self.painter
            now = time.monotonic()
            if not painter.left or now - self._drawn >= REDRAW:
                self._drawn = now
                self._curves.value = draw_losses(steps, painter.bends) + draw_shares(
                    steps, painter.bends
                )

    def _tell(self, step: Step | None) -> None:
        """Say what the painter does, and the numbers of the step shown."""
        painter, estimate = self.painter, ""
        each, rate = painter.pace()
        lines = [painter.status]
        if painter.left:
            lines[0] += f" {_minutes(painter.left * each)} left."
        done = painter.ordered - painter.left
        self._progress.value = done / painter.ordered if painter.ordered else 0.0
        newest = painter.newest or step
        if step:
            larger = (self._large.value / max(newest.image.shape[2:])) ** 2
            if each:
                estimate = f"about {_minutes(FINISH_STEPS * each * larger)}"
            lines.append(
                f"Iteration {step.iteration}"
                + (f" of {newest.iteration}" if self._pinned else "")
                + (f", {rate:.1f} evaluations a second" if rate else "")
            )
            lines.append(
                ", ".join(
                    f"{NAMES[name]} {step.losses[name]:.3g}"
                    for name in TERMS
                    if name in step.losses
                )
            )
        for iteration in painter.bends[-1:]:
            who = "L-BFGS" if self._base.optimizer == "lbfgs" else "Adam"
            lines.append(
                f"Bent at iteration {iteration}: {who} started its memory anew."
            )
        self._estimate.value = estimate
        self._status.value = "<br>".join(html.escape(line) for line in lines)


def _row(width: int, label: int = 84) -> dict:
    """Style a widget with a label in front."""
    return {
        "layout": {"width": f"{width}px"},
        "style": {"description_width": f"{label}px"},
    }


def _button(label: str, width: int) -> widgets.Button:
    """Make a button."""
    return widgets.Button(description=label, layout={"width": f"{width}px"})


def _around(middle: float) -> list[float]:
    """List 0 and a hundredth to a hundredfold of a weight, ten to each power of ten."""
    steps = (float(f"{middle * 10 ** (k / 10):.2g}") for k in range(-20, 21))
    return [0.0, *steps]


def _plain(values: Sequence[float]) -> list[tuple[str, float]]:
    """Label values with plain numbers, in order."""
    return [(f"{value:g}", value) for value in sorted(set(values))]


def _point(slider: widgets.SelectionSlider, value: float) -> None:
    """Move a slider to a value, one of its own or not."""
    values = [v for _, v in slider.options]
    if value not in values:
        slider.options = _plain([*values, value])
    slider.value = value


def _minutes(seconds: float) -> str:
    """Write a duration."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"


def _parts(widget: widgets.Widget) -> list[widgets.Widget]:
    """List the widgets in a widget."""
    children = getattr(widget, "children", ())
    return [*children, *(part for child in children for part in _parts(child))]
