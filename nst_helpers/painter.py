"""A thread that paints, so that whoever gives the orders stays free."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from .files import InputError
from .settings import LIMITS, Settings
from .transfer import Step, StyleTransfer

KEPT = 200  # pictures on the time line; when there are more, every second one goes


class Painter(threading.Thread):
    """Paint in a thread of its own, obeying orders between two steps.

    Every order returns at once. Of several of one kind left during one step, the last
    one counts.

    Args:
        changed: called by this thread when there is something new to show.

    Attributes:
        steps: of the run so far; thinned when there are many.
        bends: iterations before which the run was bent.
        newest: the last step, also of a larger picture on its way; None before any.
        left: iterations that it has still to do.
        ordered: iterations of the present order.
        status: one line: what it does, or why it rests.
        trouble: the error that ended the last order, in one line; or None.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__(name="painter", daemon=True)
        self.steps: list[Step] = []
        self.bends: list[int] = []
        self.newest: Step | None = None
        self.left = self.ordered = 0
        self.status = "Press Start."
        self.trouble: str | None = None
        self._changed = changed
        self._post = threading.Condition()  # guards the next three
        self._mail, self._busy, self._closed = {}, False, False
        self._transfer: StyleTransfer | None = None
        self._settings = Settings()
        self._large: int | None = None  # size of a larger picture on its way
        # Seconds and evaluations at the last ten steps of one size.
        self._recent: list[tuple[float, int]] = []
        self.start()

    def begin(
        self, photo: Tensor, paintings: Sequence[Tensor], settings: Settings
    ) -> None:
        """Order a new run; the network is loaded at once, so that go is quick.

        Args:
            photo: (1, 3, H, W) in [0, 1].
            paintings: one or two of (1, 3, H, W) in [0, 1].
            settings: every other choice; steps are a matter of go.
        """
        self._leave(run=(photo, paintings), bend={"settings": settings})

    def bend(self, **aims: Any) -> None:
        """Order other aims from the next step on.

        Args:
            aims: `settings`, `painting` or `image`, as StyleTransfer takes them.
        """
        with self._post:
            self._leave(bend=self._mail.get("bend", {}) | aims)

    def go(self, steps: int, large: int | None = None) -> None:
        """Order so many steps from now on.

        Args:
            steps: iterations.
            large: size to paint them at, instead of that of the settings; only the last
                of these pictures is kept.
        """
        self._leave(go=(steps, large, "Painting."))

    def rest(self, status: str = "Resting.") -> None:
        """Order to rest after the present step.

        Args:
            status: what to say then.
        """
        self._leave(go=(0, None, status))

    def close(self) -> None:
        """Order the thread to end after the present step."""
        self._leave(close=True)

    def wait(self) -> None:
        """Wait until it has done what was ordered."""
        with self._post:
            self._post.wait_for(lambda: not self._busy)

    def pace(self) -> tuple[float, float]:
        """Tell seconds a step and evaluations a second, over the last few steps.

        Returns:
            Both 0 as long as there are too few steps.
        """
        recent = self._recent
        if len(recent) < 2:
            return 0.0, 0.0
        (began, few), (ended, many) = recent[0], recent[-1]
        seconds, evaluations = ended - began, many - few
        return seconds / (len(recent) - 1), evaluations / seconds

    def _leave(self, **orders: Any) -> None:
        """Leave orders for the thread."""
        with self._post:
            self._mail |= orders
            self._busy = not self._closed
            self._post.notify_all()

    def run(self) -> None:
        """Obey orders until closed."""
        while True:
            with self._post:
                if not self._mail and not self.left:
                    self._busy = False
                    self._post.notify_all()
                    self._post.wait_for(lambda: self._mail)
                mail, self._mail = self._mail, {}
            if "close" in mail:
                break
            try:
                self._obey(**mail)
                if mail and self._large:  # the next picture will take its time
                    self._changed()
                if self.left:
                    self.left -= 1
                    self._keep(next(self._transfer))
            except StopIteration:
                self._rest(f"At rest: {self._transfer.reason}.")
            except Exception as error:
                self._fail(error)
            try:
                self._changed()
            except Exception as error:
                self._fail(error)
        # Let go of pictures and network: the page may hold on to this painter.
        self.steps, self.newest, self.left, self._transfer = [], None, 0, None
        self.status = "Closed. Run the studio's cell again."
        self._changed()
        with self._post:
            self._closed, self._busy = True, False
            self._post.notify_all()

    def _fail(self, error: Exception) -> None:
        """Rest after an error, and keep its line."""
        kind = "" if isinstance(error, InputError) else type(error).__name__
        self.trouble = " ".join(f"{kind} {error}".split())
        self._rest("At rest.")

    def _obey(
        self,
        run: tuple[Tensor, Sequence[Tensor]] | None = None,
        bend: dict[str, Any] | None = None,
        go: tuple[int, int | None, str] | None = None,
    ) -> None:
        """Do what the mail says."""
        bend = bend or {}
        self._settings = bend.get("settings", self._settings)
        # How long it paints, and when it grows, is a matter of orders.
        settings = replace(self._settings, steps=LIMITS["steps"][1], scales=1)
        if run:
            self.left = 0 if self._large else self.left
            self.steps, self.bends, self.newest, self._recent = [], [], None, []
            self.trouble = self._transfer = self._large = None
            self._transfer = StyleTransfer(*run, settings)
            self._keep(next(self._transfer))  # iteration 0, the start itself
            self.status = "Press Start."
        if self._transfer is None:  # it could not begin: the trouble stands
            self.left, self._large = 0, None
            return
        if go:
            self.ordered, large, status = go
            self._rest(status)
            self.left, self._large = self.ordered, large
        self.trouble = None
        if "painting" in bend:
            self._transfer.painting = bend["painting"]
        if self._large:
            settings = replace(settings, size=self._large)
        self._transfer.settings = settings
        if "image" in bend:
            self._transfer.image = bend["image"]

    def _keep(self, step: Step) -> None:
        """Take a step over to the time line."""
        # Lists are made anew, not changed: whoever reads the old one has it whole.
        same = self.newest and self.newest.image.shape == step.image.shape
        earlier = self._recent[-9:] if same else []
        self._recent = [*earlier, (step.seconds, step.evaluations)]
        self.newest, self.status = step, "Painting."
        if step.restarted:
            self.bends = [*self.bends, step.iteration]
        if not self._large:
            old = self.steps[::2] if len(self.steps) >= KEPT else self.steps
            self.steps = [*old, step]
        if not self.left:
            self._rest("Resting.")

    def _rest(self, status: str) -> None:
        """Stop painting, saying why."""
        if self._large and self.steps and self.newest is not self.steps[-1]:
            self.steps = [*self.steps, self.newest]
        self.left, self._large, self.status = 0, None, status
