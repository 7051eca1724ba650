"""What the studio shows of a run: its picture, curves and numbers, at any moment."""

import html
import threading
import time

import ipywidgets as widgets
from torch import Tensor

from ..images import encode
from .curves import draw_losses, draw_shares, label, loss_names
from .moment import Moment
from .pull import pull_png
from .scene import Scene
from .stage import Stage
from .thumbnails import jpeg_url, shrink
from .worker import Worker

PAUSE = 0.1  # seconds between two pictures sent to the page, at least
REDRAW = 0.4  # the same for the curves, which cost the page more
FINISH_STEPS = 40
LARGE_SIZES = (256, 384, 512, 768, 1024)
SHOWN = 768  # pixels, at most, of a picture to compare with
PHOTO = "the photo"  # to compare with


class View:
    """Show what a worker does; any thread may call this.

    Its widgets are attributes, for the layout to arrange.

    Attributes:
        worker: is shown.
        refusal: why something asked for was not done, in one line; or "".
        note: what was just asked for, until the page shows it; or "".
    """

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.refusal = self.note = ""
        self._pinned: Moment | None = None  # the moment that the time line points at
        self._other: dict[str, Tensor] = {}  # to compare with
        self._sent = self._drawn = 0.0
        self._lock = threading.RLock()
        self.stage = Stage()
        self.progress = widgets.FloatProgress(max=1.0, layout={"height": "6px"})
        self.time = widgets.FloatSlider(
            value=100, step=0.5, description="time line", readout=False
        )
        self.film = widgets.Play(max=100, interval=120, description="the making")
        widgets.jslink((self.film, "value"), (self.time, "value"))
        self.compare = widgets.Dropdown(description="compare with", options=[PHOTO])
        self.wipe = widgets.FloatSlider(step=1, description="wipe", readout=False)
        widgets.jslink((self.wipe, "value"), (self.stage, "wipe"))
        self.pull = widgets.Dropdown(description="who pulls where", options=[("", "")])
        self.large = widgets.Dropdown(
            options=[(f"{size} px", size) for size in LARGE_SIZES],
            value=512,
            description="finish at",
        )
        self.status = widgets.HTML()
        self.alert, self.originals, self.curves = (widgets.HTML() for _ in range(3))
        self.estimate = widgets.HTML()
        self.time.observe(self._pin, "value")
        self.compare.observe(lambda _: self.show_other(), "value")
        self.large.observe(lambda _: self.show(), "value")

    @property
    def moment(self) -> Moment | None:
        """The moment that is shown; None before the first."""
        return self._pinned or self.worker.painting.newest

    def film_before(self, moment: Moment) -> list[Moment]:
        """List the moments before one."""
        moments = self.worker.painting.moments
        return [each for each in moments if each.iteration < moment.iteration]

    def show_originals(self, scene: Scene) -> None:
        """Show small what a picture is made from."""
        first, second = scene.paintings
        shown = {"photo": scene.photo, "painting": first}
        if scene.settings.mix[1] or scene.region is not None:
            shown["second painting"] = second
        tags = (
            f'<img src="{jpeg_url(shrink(each.image, 256))}" alt="{what}: {name}" '
            f'title="{what}: {name}">'
            for what, each in shown.items()
            for name in [html.escape(each.name)]
        )
        self.originals.value = f'<div class="nst-originals">{"".join(tags)}</div>'

    def offer_others(self, pictures: dict[str, Tensor]) -> None:
        """Offer {name: picture} to compare with; the first is the photo."""
        chosen, self._other = self.compare.value, pictures
        self.compare.options = list(pictures)
        self.compare.value = chosen if chosen in pictures else PHOTO
        self.show_other()

    def show_other(self) -> None:
        """Lay the picture to compare with over the result, as far as it is wiped."""
        other = self._other.get(self.compare.value)
        if other is not None:
            with self._lock:
                self.stage.other = encode(shrink(other, SHOWN), "JPEG")

    def refuse(self, refusal: str) -> None:
        """Show why something was not done."""
        # A file's name may hold bytes that no page can show.
        self.refusal = refusal.encode(errors="replace").decode()
        self.show()

    def say(self, note: str) -> None:
        """Show at once what was asked for; the worker's next picture takes it away."""
        self.note = note
        with self._lock:
            self._tell(self.moment)

    def release(self) -> None:
        """Show the newest picture again."""
        self._pinned, self.time.value = None, 100

    def follow(self) -> None:
        """Show the newest picture, but not more often than a page can follow."""
        self.note = ""
        moments, pinned = self.worker.painting.moments, self._pinned
        if pinned and not (moments and pinned.moves[0] is moments[0].moves[0]):
            self._pinned = None  # of a run that ended
        if not self.worker.left or time.monotonic() - self._sent >= PAUSE:
            self.show()
            self._sent = time.monotonic()

    def show(self) -> None:
        """Show the present state of things."""
        worker, painting = self.worker, self.worker.painting
        with self._lock:  # the last to come has the last word
            error = html.escape(self.refusal or worker.error or "")
            self.alert.value = error and (
                f'<div class="nst-alert" role="alert">{error}</div>'
            )
            moment, moments = self.moment, painting.moments
            self._tell(moment)
            if moment is None or not moments:
                return
            veil = b""
            pull = painting.pull
            if pull is not None and moment is painting.newest:
                veil = pull_png(pull)
            names = [moment.scene.photo.name, moment.scene.paintings[0].name]
            alt = f"{names[0]} painted in the manner of {names[1]}"
            self.stage.show(
                moment.image,
                f"{alt}, iteration {moment.iteration}",
                f"{moment.size} px",
                veil,
            )
            now = time.monotonic()
            if not worker.left or now - self._drawn >= REDRAW:
                self._drawn = now
                cursor = self._pinned and self._pinned.iteration
                drawn = moments, painting.restarts, cursor
                self.curves.value = draw_losses(*drawn) + draw_shares(*drawn)

    def _pin(self, _: dict) -> None:
        """Hold on to the moment that the time line, in per cent, points at."""
        moments, place = self.worker.painting.moments, self.time.value / 100
        live = place == 1 or not moments
        self._pinned = None if live else moments[round(place * (len(moments) - 1))]
        self.show()

    def _tell(self, moment: Moment | None) -> None:
        """Say what the worker does, and the numbers of the moment shown."""
        worker, newest = self.worker, self.worker.painting.newest
        each, parts = worker.painting.pace.seconds, [self.note or worker.status]
        if worker.left and each:
            parts[0] += f" {_minutes(worker.left * each)} left."
        self.progress.value = worker.done / worker.total if worker.total else 0.0
        if moment:
            of = f" of {newest.iteration}" if self._pinned and newest else ""
            speed = f", {1 / each:.1f}/s" if each else ""
            parts.append(f"Iteration {moment.iteration}{of}{speed}")
            for name in loss_names([moment]):
                weight = moment.weights.get(name, 0.0)
                then = f" × {weight:.3g}" if self._pinned else ""  # the sliders say now
                parts.append(f"{label(name)} {moment.losses[name]:.3g}{then}")
            parts.append(self._say_bent(moment))
        self.estimate.value = self._estimate(newest)
        self.status.value = "<br>".join(html.escape(part) for part in parts)

    def _say_bent(self, moment: Moment) -> str:
        """Say where the optimiser began anew, the last time."""
        *_, before, last = (None, *moment.moves)
        if before is None:
            return ""
        who = "L-BFGS" if last.scene.settings.optimizer == "lbfgs" else "Adam"
        size, at, old = last.scene.settings.size, last.iteration, before.scene
        alike = last.scene.aims_as(old) and last.scene.settings == old.at(size).settings
        if alike and size != old.settings.size and not last.again:
            return f"{size} pixels since iteration {at}."
        return f"Bent at iteration {at}: {who} started its memory anew."

    def _estimate(self, newest: Moment | None) -> str:
        """Say how long it takes to finish."""
        each = newest and self.worker.painting.pace.would_take(self.large.value)
        return f"about {_minutes(FINISH_STEPS * each)}" if each else ""


def _minutes(seconds: float) -> str:
    """Write a duration."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"
