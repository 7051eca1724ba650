"""What the studio shows of a run: its picture, curves and numbers, at any moment."""

import html
import math
import threading
import time
from dataclasses import replace

import ipywidgets as widgets
from torch import Tensor

from ..images import encode
from ..pixels import resize, stretch
from ..plots import FRAMES, encode_gif
from ..step import Step
from .curves import draw_losses, draw_shares, label, loss_names
from .gallery import download_link, picture_html
from .worker import Worker

PAUSE = 0.1  # seconds between two pictures sent to the page, at least
REDRAW = 0.4  # the same for the curves, which cost the page more
FILM_SIZE = 256  # at most
FINISH_STEPS = 40
LARGE_SIZES = (256, 384, 512, 768, 1024)


class View:
    """Show what a worker does; any thread may call this.

    Its widgets are attributes, for Controls to arrange.

    Attributes:
        worker: is shown.
        refusal: why something asked for was not done, in one line; or "".
    """

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.refusal = ""
        self._tags: dict[str, str] = {}
        self._pinned: Step | None = None  # the moment that the time line points at
        self._sent = self._drawn = 0.0
        self._lock = threading.RLock()
        self.result = widgets.Image(
            format="jpeg", layout={"width": "430px", "height": "300px"}
        )
        self.result.add_class("nst-result")
        self.progress = widgets.FloatProgress(
            max=1.0, layout={"width": "430px", "height": "10px"}
        )
        self.time = widgets.FloatSlider(
            value=100, step=0.5, description="time line", readout=False, **row(290)
        )
        self.compare = widgets.FloatSlider(
            step=1, description="compare", readout=False, **row(205)
        )
        self.large = widgets.Dropdown(
            options=LARGE_SIZES, value=512, description="finish at", **row(160)
        )
        self.status = widgets.HTML(layout={"min_height": "84px"})
        self.alert, self.originals, self.curves = (widgets.HTML() for _ in range(3))
        self.estimate, self.links = widgets.HTML(), widgets.HTML()
        self.time.observe(self._pin, "value")
        for look in (self.compare, self.large):
            look.observe(lambda _: self.show(), "value")

    @property
    def moment(self) -> Step | None:
        """The step that is shown; None before the first."""
        return self._pinned or self.worker.newest

    @property
    def image(self) -> Tensor | None:
        """The picture that is shown, (1, 3, H, W) in [0, 1]; None before the first."""
        step = self.moment
        return step and step.image

    def show_original(self, what: str, picture: Tensor) -> None:
        """Show a picture that was chosen, beside the result.

        Args:
            what: "photo" or "painting".
            picture: (1, 3, H, W) in [0, 1].
        """
        self._tags[what] = picture_html(picture, f"the {what}")
        self.originals.value = "".join(self._tags.values())

    def follow(self) -> None:
        """Show the newest picture, but not more often than a page can follow."""
        if not self.worker.left or time.monotonic() - self._sent >= PAUSE:
            self.show()
            self._sent = time.monotonic()

    def show(self) -> None:
        """Show the present state of things."""
        worker = self.worker
        with self._lock:  # the last to come has the last word
            error = html.escape(self.refusal or worker.error or "")
            self.alert.value = error and (
                f'<div class="nst-alert" role="alert">{error}</div>'
            )
            self._tell()
            image, steps = self.image, worker.steps
            if image is None or not steps:
                return
            self.result.value = encode(self._compared(image), "JPEG")
            now = time.monotonic()
            if not worker.left or now - self._drawn >= REDRAW:
                self._drawn = now
                drawn = steps, worker.restarts
                self.curves.value = draw_losses(*drawn) + draw_shares(*drawn)

    def offer_downloads(self) -> None:
        """Offer the picture shown, the making-of and the recipe as links."""
        step, steps = self.moment, self.worker.steps
        if not step or not steps:
            return
        stride = math.ceil(len(steps) / FRAMES)
        film, last = [step.image for step in steps[:-1:stride]], steps[-1].image
        film.append(resize(last, min(max(last.shape), FILM_SIZE)))
        recipe = replace(step.settings, steps=max(1, step.iteration))
        picture, recipe = encode(step.image, "PNG"), recipe.to_json().encode()
        links = (
            download_link("picture.png", "image/png", picture),
            download_link("making-of.gif", "image/gif", encode_gif(film)),
            download_link("recipe.json", "application/json", recipe),
        )
        self.links.value = f"Iteration {step.iteration}: {' · '.join(links)}"

    def _pin(self, _: dict) -> None:
        """Hold on to the moment that the time line, in per cent, points at."""
        steps, place = self.worker.steps, self.time.value / 100
        live = place == 1 or not steps
        self._pinned = None if live else steps[round(place * (len(steps) - 1))]
        self.show()

    def _compared(self, image: Tensor) -> Tensor:
        """Lay the photo over the left of a picture, up to a white line."""
        wiped = round(self.compare.value / 100 * image.shape[3])
        if not wiped:
            return image
        image, photo = image.clone(), stretch(self.worker.photo, *image.shape[2:])
        image[..., :wiped] = photo[..., :wiped]
        image[..., wiped - 1] = 1.0
        return image

    def _tell(self) -> None:
        """Say what the worker does, and the numbers of the step shown."""
        worker, step, estimate = self.worker, self.moment, ""
        each, rate = worker.pace
        lines = [worker.status]
        if worker.left:
            lines[0] += f" {_minutes(worker.left * each)} left."
        done = worker.total - worker.left
        self.progress.value = done / worker.total if worker.total else 0.0
        newest = worker.newest or step
        if step:
            if each:
                larger = (self.large.value / max(newest.image.shape[2:])) ** 2
                estimate = f"about {_minutes(FINISH_STEPS * each * larger)}"
            of = f" of {newest.iteration}" if self._pinned else ""
            speed = f", {rate:.1f} evaluations a second" if rate else ""
            lines.append(f"Iteration {step.iteration}{of}{speed}")
            losses = [(label(x), step.losses[x]) for x in loss_names([step])]
            lines.append(", ".join(f"{name} {loss:.3g}" for name, loss in losses))
        for iteration in worker.restarts[-1:]:
            who = "L-BFGS" if newest.settings.optimizer == "lbfgs" else "Adam"
            lines.append(
                f"Bent at iteration {iteration}: {who} started its memory anew."
            )
        self.estimate.value = estimate
        self.status.value = "<br>".join(html.escape(line) for line in lines)


def row(width: int, front: int = 84) -> dict:
    """Style a widget that has a label in front of it.

    Args:
        width: of both, in pixels.
        front: width of the label, in pixels.

    Returns:
        Arguments for the widget.
    """
    return {
        "layout": {"width": f"{width}px"},
        "style": {"description_width": f"{front}px"},
    }


def _minutes(seconds: float) -> str:
    """Write a duration."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"
