"""The studio: move a slider, and the painting bends while it is being painted.

The only module that knows widgets. One worker thread paints; the widgets' callbacks
only leave orders for it, so the kernel stays free.
"""

import base64
import html
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from torch import Tensor

from .files import InputError
from .images import encode, load_image
from .plots import LOSS_LINES
from .settings import LIMITS, Settings
from .transfer import Step, StyleTransfer

KEPT = 200  # pictures on the time line; when there are more, every second one goes
PAUSE = 0.1  # seconds between two pictures sent to the page, at least
FIRST = "hokusai great wave"  # of the paintings, if it is there
# Small enough for several pictures a second; the weights lie on the sliders' marks.
SETTINGS = Settings(size=128, steps=300, tv_weight=10**-0.5)
WEIGHTS = {  # field of Settings: name on the slider, its range in powers of ten
    "content_weight": ("content", -2, 2),
    "style_weight": ("style", 0, 4),
    "tv_weight": ("smoothness", -2.5, 1.5),
}


class Painter:
    """Paint in a thread of its own, obeying orders between two steps.

    Args:
        changed: called by that thread after each step and when it comes to rest.

    Attributes:
        steps: of the run so far; thinned when there are many.
        status: one line: what it does, or why it rests.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.steps: list[Step] = []
        self.status = "Press Start."
        self._changed = changed
        self._orders = threading.Condition()
        self._run = None  # photo and painting of a run to begin
        self._settings = Settings()
        self._todo = 0  # steps to do before it rests; -1: end the thread
        self._stepping = False
        self._busy = False  # loading, stepping or telling of it
        self._thread: threading.Thread | None = None

    @property
    def painting(self) -> bool:
        """Whether it is in a step or has more to do."""
        return self._todo > 0 or self._stepping

    def begin(self, photo: Tensor, painting: Tensor, settings: Settings) -> None:
        """Order a new run; the network is loaded at once, so Start is quick."""
        with self._orders:
            self._run, self._settings = (photo, painting), settings
            self._wake()

    def bend(self, settings: Settings) -> None:
        """Order other settings from the next step on."""
        with self._orders:
            self._settings = settings

    def go(self, steps: int) -> None:
        """Order so many steps."""
        with self._orders:
            self._todo = steps
            self._wake()

    def wait(self) -> None:
        """Wait until it rests."""
        with self._orders:
            self._orders.wait_for(lambda: self._todo <= 0 and not self._busy)

    def pause(self) -> None:
        """Order a rest after the present step."""
        with self._orders:
            self._todo = 0

    def close(self, timeout: float = 10.0) -> None:
        """End the thread and wait for it."""
        with self._orders:
            self._todo = -1
            self._orders.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _wake(self) -> None:
        """Let the thread look at its orders; make one if there is none."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._work, name="painter", daemon=True
            )
            self._thread.start()
        self._orders.notify_all()

    def _work(self) -> None:
        """Obey orders until closed."""
        transfer, trouble = None, None
        while True:
            with self._orders:
                self._orders.wait_for(lambda: self._todo or self._run)
                if self._todo < 0:
                    return
                self._busy = True
                run, self._run = self._run, None
                self._stepping = not run
                self._todo -= self._stepping
                # How long it paints is a matter of orders.
                settings = replace(self._settings, steps=LIMITS["steps"][1])
            try:
                if run:
                    self.steps, transfer, trouble = [], None, None
                    self.status = "Press Start."
                    transfer = StyleTransfer(*run, settings)
                elif trouble:
                    raise trouble
                else:
                    transfer.settings = settings
                    self._keep(next(transfer))
            except StopIteration:
                self._rest(f"At rest: {transfer.reason}.")
            except Exception as error:
                # Without a transfer, every order to paint meets the same trouble.
                trouble = error if transfer is None else None
                self._rest(f"{type(error).__name__}: {error}")
            self._stepping = False
            self._changed()
            with self._orders:
                self._busy = False
                self._orders.notify_all()

    def _keep(self, step: Step) -> None:
        """Take a step over to the time line."""
        if len(self.steps) >= KEPT:
            self.steps = self.steps[::2]
        self.steps = [*self.steps, step]  # a new list: readers see the old one whole
        self.status = "Painting." if self._todo > 0 else "Pause."
        if step.restarted:
            self.status += " The sliders moved: L-BFGS started its memory anew."

    def _rest(self, status: str) -> None:
        """Stop painting, saying why."""
        with self._orders:
            self._todo = min(self._todo, 0)
        self.status = status


class Studio(widgets.VBox):
    """Show the studio: pictures, sliders, buttons, curves and a time line.

    Let it be the last line of a cell. The cell returns at once.

    Args:
        images: a folder with content/ and style/ in it.
        settings: where the sliders stand at first. A long side of 128 pixels gives
            several pictures a second on 2 cores.

    Attributes:
        painter: the Painter behind it.

    Raises:
        InputError: no pictures there.
    """

    def __init__(
        self,
        images: str | Path = "../images",
        settings: Settings = SETTINGS,
    ) -> None:
        self._base = settings
        self.painter = Painter(self._painted)
        self._sent = 0.0
        self._photos = _pictures(Path(images) / "content")
        self._paintings = _pictures(Path(images) / "style")
        self._build()
        super().__init__(self._rows, layout=widgets.Layout(max_width="1160px"))
        self._choose()

    @property
    def settings(self) -> Settings:
        """What the sliders say."""
        said = {field: slider.value for field, slider in self._weights.items()}
        layers = {name: slider.value for name, slider in self._layers.items()}
        if any(layers.values()):
            said["style_layers"] = layers
        else:  # no layer counts: no style
            said["style_weight"] = 0.0
        return replace(self._base, **said)

    @property
    def image(self) -> Tensor | None:
        """The picture shown, (1, 3, H, W) in [0, 1]; None before the first."""
        step = self._moment()
        return step and step.image

    def _moment(self) -> Step | None:
        """Find the step that the time line, in per cent of the run, points at."""
        steps = self.painter.steps
        place = round(self._time.value / 100 * (len(steps) - 1))
        return steps[place] if steps else None

    def paint(self, steps: int) -> None:
        """Do what Start does, for so many steps, and wait for the end.

        Args:
            steps: iterations, 1 or more.
        """
        self._go(steps)
        self.painter.wait()

    def close(self) -> None:
        """End the worker thread and take the studio off the page."""
        self.painter.close()
        super().close()

    def _build(self) -> None:
        """Make the widgets and connect them."""
        wide = widgets.Layout(width="310px")
        style = {"description_width": "80px"}
        self._photo = widgets.Dropdown(
            options=list(self._photos), description="photo", layout=wide, style=style
        )
        self._painting = widgets.Dropdown(
            options=list(self._paintings),
            value=FIRST if FIRST in self._paintings else next(iter(self._paintings)),
            description="painting",
            layout=wide,
            style=style,
        )
        self._weights = {
            field: widgets.FloatLogSlider(
                value=getattr(self._base, field),
                min=low,
                max=high,
                step=0.05,
                description=name,
                readout_format=".3g",
                layout=wide,
                style=style,
            )
            for field, (name, low, high) in WEIGHTS.items()
        }
        self._layers = {
            name: widgets.FloatSlider(
                value=weight,
                min=0.0,
                max=20.0,
                step=0.5,
                description=name,
                layout=wide,
                style=style,
            )
            for name, weight in self._base.style_layers.items()
        }
        self._start = widgets.Button(description="Start", button_style="success")
        self._once = widgets.Button(description="Step")
        self._reset = widgets.Button(description="Reset")
        self._originals = widgets.HTML()
        self._result = widgets.Image(format="jpeg", layout={"width": "430px"})
        self._status = widgets.HTML()
        self._curves = widgets.HTML()
        self._save = widgets.HTML()
        self._time = widgets.FloatSlider(
            value=100,
            step=0.5,
            description="time line",
            readout_format=".0f",
            layout={"width": "430px"},
            style=style,
        )
        self._connect()
        buttons = widgets.HBox([self._start, self._once, self._reset])
        for button in buttons.children:
            button.layout.width = "98px"
        left = [self._photo, self._painting, *self._weights.values()]
        left += [widgets.HTML("<b>How much each style layer counts</b>")]
        left += [*self._layers.values(), buttons, self._status, self._save]
        middle = [self._result, self._time, self._curves]
        columns = [widgets.VBox(left), widgets.VBox(middle), self._originals]
        for column in columns:
            column.layout.flex = "0 0 auto"  # do not shrink
        self._rows = [widgets.HBox(columns)]

    def _connect(self) -> None:
        """Let the widgets leave their orders."""
        self._start.on_click(lambda _: self._toggle())
        self._once.on_click(lambda _: self._go(1))
        self._reset.on_click(lambda _: self._choose())
        for picker in (self._photo, self._painting):
            picker.observe(lambda _: self._choose(), "value")
        for slider in (*self._weights.values(), *self._layers.values()):
            slider.observe(lambda _: self.painter.bend(self.settings), "value")
        self._time.observe(lambda _: self._show(), "value")

    def _choose(self) -> None:
        """Begin a new run with the pictures chosen; a run that paints goes on."""
        photo = load_image(self._photos[self._photo.value], self._base.size)
        painting = load_image(self._paintings[self._painting.value], self._base.size)
        self.painter.begin(photo, painting, self.settings)
        self._result.value = encode(photo, "JPEG")
        self._status.value = self._curves.value = self._save.value = ""
        both = "".join(
            f'<img src="{_data(encode(x, "JPEG"), "image/jpeg")}" '
            f'alt="the {name}" style="display: block; width: 170px; margin: 0 0 8px">'
            for name, x in (("photo", photo), ("painting", painting))
        )
        self._originals.value = f"<div>{both}</div>"

    def _toggle(self) -> None:
        """Start or pause."""
        if self.painter.painting:
            self.painter.pause()
        else:
            self._go(self._base.steps)
        self._label()

    def _go(self, steps: int) -> None:
        """Paint so many steps, and follow them on the time line."""
        self._time.value = 100
        self.painter.go(steps)

    def _label(self) -> None:
        """Let the button say what it would do."""
        self._start.description = "Pause" if self.painter.painting else "Start"

    def _painted(self) -> None:
        """Show the newest picture, but not more often than a page can follow."""
        resting = not self.painter.painting
        if resting or time.monotonic() - self._sent >= PAUSE:
            self._sent = time.monotonic()
            self._show()
        if resting:
            self._label()

    def _show(self) -> None:
        """Show the moment that the time line points at."""
        step = self._moment()
        if step is None:
            self._status.value = html.escape(self.painter.status)
            return
        self._result.value = encode(step.image, "JPEG")
        speed = step.evaluations / max(step.seconds, 1e-9)
        losses = ", ".join(
            f"{name} {step.losses[name]:.3g}"
            for name in ("content", "style", "tv")
            if name in step.losses
        )
        self._status.value = (
            f"{html.escape(self.painter.status)}<br>"
            f"Iteration {step.iteration}, "
            f"{speed:.1f} evaluations a second<br>{losses}"
        )
        self._curves.value = _draw(self.painter.steps)
        if not self.painter.painting:
            self._save.value = _links(step, self.settings)


def _pictures(folder: Path) -> dict[str, Path]:
    """List the pictures of a folder by what they are called."""
    paths = sorted(p for p in folder.glob("*") if p.suffix in (".jpg", ".png"))
    if not paths:
        raise InputError(f"{folder}: no pictures there; give Studio an image folder")
    return {path.stem.replace("_", " "): path for path in paths}


def _data(content: bytes, kind: str) -> str:
    """Make an address that holds the content itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _links(step: Step, settings: Settings) -> str:
    """Offer the picture and the recipe to take home."""
    picture = _data(encode(step.image, "PNG"), "image/png")
    recipe = _data(settings.to_json().encode(), "application/json")
    return (
        f'Take home: <a download="painting.png" href="{picture}">picture</a>, '
        f'<a download="recipe.json" href="{recipe}">recipe</a>'
    )


def _draw(steps: list[Step], width: int = 430, height: int = 130) -> str:
    """Draw the loss curves, on a logarithmic scale, as SVG."""
    values = np.array([[s.losses.get(n, np.nan) for n in LOSS_LINES] for s in steps])
    logs = np.log10(np.where(values > 0, values, np.nan))
    low, high = np.floor(np.nanmin(logs)), np.ceil(np.nanmax(logs))
    x = 40 + np.linspace(0, width - 150, len(steps))
    y = 10 + (high - logs) / max(high - low, 1) * (height - 30)
    parts = []
    for k in np.arange(low, high + 1):
        at = 10 + (high - k) / max(high - low, 1) * (height - 30)
        parts.append(
            f'<line x1="40" x2="{width - 110}" y1="{at}" y2="{at}" '
            'stroke="currentColor" opacity="0.2"/>'
            f'<text x="2" y="{at + 4}">1e{k:.0f}</text>'
        )
    for step, at in zip(steps, x, strict=True):
        if step.restarted:
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="10" '
                f'y2="{height - 20}" stroke="currentColor" '
                'stroke-dasharray="2 3"/>'
            )
    dashes = {"-": "", "--": "6 3", "-.": "6 2 1 2", ":": "1 3"}
    for row, (name, (colour, dash)) in enumerate(LOSS_LINES.items()):
        colour = "currentColor" if name == "total" else colour
        points = " ".join(
            f"{a:.1f},{b:.1f}"
            for a, b in zip(x, y[:, row], strict=True)
            if np.isfinite(b)
        )
        at = 20 + 22 * row
        pen = (
            f'fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dashes[dash]}"'
        )
        parts.append(f'<polyline points="{points}" {pen}/>')
        parts.append(f'<polyline points="{width - 100},{at} {width - 70},{at}" {pen}/>')
        parts.append(f'<text x="{width - 64}" y="{at + 4}">{name}</text>')
    return (
        f'<svg width="{width}" height="{height}" role="img" font-size="12" '
        'style="color: var(--jp-ui-font-color1, black); fill: currentColor" '
        'aria-label="loss curves">' + "".join(parts) + "</svg>"
    )
