"""A thread that paints, so that whoever commands it stays free."""

import functools
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from torch import Tensor

from ..files import InputError
from ..settings import LIMITS, Settings
from ..step import Step
from ..transfer import StyleTransfer

KEPT = 200  # pictures on the time line; when there are more, every second one goes


def _command(method: Callable[..., None]) -> Callable[..., None]:
    """Make a method a command: whoever calls it goes on, the thread does it later."""

    @functools.wraps(method)
    def send(self: "Worker", *args: object) -> None:
        with self._sending:
            if self._open:
                self._open = method.__name__ != "close"  # nothing comes after it
                self._idle.clear()
                self._commands.put((method, args))

    return send


class Worker(threading.Thread):
    """Paint in a thread of its own, obeying commands between two steps.

    Every command returns at once. Of several of one kind left during one step, the last
    one counts.

    Args:
        on_change: called by this thread when there is something new to show.

    Attributes:
        photo: of the run, (1, 3, H, W) in [0, 1]; None before any.
        steps: of the run so far; thinned when there are many.
        restarts: iterations at which the optimiser began its history anew.
        newest: the last step, also of a larger picture on its way; None before any.
        left: iterations still to do.
        total: iterations of the last paint.
        pace: seconds a step and evaluations a second, over the last few steps; both 0
            as long as there are too few.
        status: one line: what it does, or why it rests.
        error: why the last command was broken off, in one line; or None.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        super().__init__(name="worker", daemon=True)
        self.photo: Tensor | None = None
        self.steps: list[Step] = []
        self.restarts: list[int] = []
        self.newest: Step | None = None
        self.left, self.total, self.pace = 0, 0, (0.0, 0.0)
        self.status = "Press Start."
        self.error: str | None = None
        self._on_change = on_change
        self._commands: queue.Queue[tuple] = queue.Queue()
        self._idle, self._sending = threading.Event(), threading.Lock()
        self._open, self._ended = True, False
        self._paintings, self._settings = (), Settings()
        self._larger: int | None = None  # size of a larger picture on its way
        # It holds much memory: it is dropped whenever it may not be needed again.
        self._transfer: StyleTransfer | None = None
        self._recent: list[tuple[float, int]] = []  # seconds, evaluations of 10 steps
        self.start()

    @_command
    def begin(
        self, photo: Tensor, paintings: Sequence[Tensor], settings: Settings
    ) -> None:
        """Begin a new run; the network is loaded at once, so that paint is quick.

        Args:
            photo: (1, 3, H, W) in [0, 1].
            paintings: one or two of (1, 3, H, W) in [0, 1].
            settings: every other choice; steps are a matter of paint.
        """
        if self._larger:  # only one of the usual size goes on painting
            self._rest("Press Start.")
        self.photo, self._paintings, self._settings = photo, paintings, settings
        self.steps, self.restarts, self.newest = [], [], None
        self._transfer = None  # before there is another
        self._prepare()

    @_command
    def change_settings(self, settings: Settings) -> None:
        """Go on with other settings.

        Args:
            settings: such as may change in mid-run; steps are a matter of paint.
        """
        recolour = settings.keep_colors != self._settings.keep_colors
        self._settings = settings
        if self._transfer:
            self._transfer.settings = self._run_settings()
            if recolour and not self.left:  # else the next step shows it
                self.newest = replace(self.newest, image=self._transfer.image)
                self.steps = [*self.steps[:-1], self.newest]
        elif self.photo is not None and not self.newest:  # it was too small to begin
            self._prepare()

    @_command
    def change_paintings(self, paintings: Sequence[Tensor]) -> None:
        """Go on with other paintings.

        Args:
            paintings: one or two of (1, 3, H, W) in [0, 1].
        """
        self._paintings = paintings
        if self._transfer:
            self._transfer.painting = paintings
        elif self.photo is not None and not self.newest:
            self._prepare()

    @_command
    def paint(
        self, steps: int, size: int | None = None, image: Tensor | None = None
    ) -> None:
        """Do so many steps from now on.

        Args:
            steps: iterations.
            size: paint them at this size instead of that of the settings; only the last
                of these pictures is kept.
            image: (1, 3, H, W) in [0, 1], to go on from instead of the newest.
        """
        self._rest("")
        if not self._transfer:
            self._prepare()
        self._larger = size
        self._transfer.settings = self._run_settings()
        if image is not None:
            self._transfer.image = image
        self.left, self.total, self.status = steps, steps, "Painting."

    @_command
    def rest(self) -> None:
        """Rest after the present step."""
        self._rest("Resting.")

    @_command
    def stop(self) -> None:
        """End the run after the present step; its pictures stay, its memory goes."""
        self._rest("Stopped: the picture is kept, Start begins a new one.")
        self._transfer = None

    @_command
    def close(self) -> None:
        """End the thread after the present step."""
        self._rest("Closed. Run the studio's cell again.")
        # The page may hold on to this thread, so the pictures go too.
        self.photo, self._paintings, self._transfer = None, (), None
        self.steps, self.restarts, self.newest, self._ended = [], [], None, True

    def wait(self) -> None:
        """Wait until all commands are done."""
        self._idle.wait()

    def run(self) -> None:
        """Obey commands, and paint between them, until closed."""
        while not self._ended:
            if commands := self._receive():
                self.error = None
                for method, args in commands.items():
                    self._try(method, self, *args)
                self._try(self._on_change)
            if self.left:
                self._try(self._step)
                self._try(self._on_change)
        self._idle.set()

    def _receive(self) -> dict[Callable[..., None], tuple]:
        """Take the commands out of the queue; wait for one if there is time."""
        with self._sending:
            if not self.left and self._commands.empty():
                self._idle.set()
        commands = {}
        with suppress(queue.Empty):
            while True:
                has_time = not self.left and not commands
                method, args = self._commands.get(block=has_time)
                commands.pop(method, None)  # the last of a kind counts
                commands[method] = args
        return commands

    def _try(self, act: Callable[..., None], *args: object) -> None:
        """Do something; after an error, rest and keep its line."""
        try:
            act(*args)
        except StopIteration:
            self._rest(f"At rest: {self._transfer.reason}.")
        except Exception as error:
            kind = "" if isinstance(error, InputError) else type(error).__name__
            self.error = " ".join(f"{kind} {error}".split())
            self._rest("At rest.")
            self._transfer = None  # another goes on from the newest picture

    def _run_settings(self) -> Settings:
        """Return the settings of the run: commands say how long and when to grow."""
        size = self._larger or self._settings.size
        return replace(self._settings, size=size, steps=LIMITS["steps"][1], scales=1)

    def _prepare(self) -> None:
        """Make the transfer, and bring it to the newest picture."""
        given = self.photo, self._paintings, self._run_settings()
        self._transfer, self._recent = StyleTransfer(*given), []
        if self.newest:
            self._transfer.image = self.newest.image
            self._transfer.iteration = self.newest.iteration
        else:
            self._keep(next(self._transfer))  # iteration 0, the start itself
            self.status = "Press Start."

    def _step(self) -> None:
        """Paint one iteration."""
        self.left -= 1
        self._keep(next(self._transfer))
        if not self.left:
            self._rest("Resting.")

    def _keep(self, step: Step) -> None:
        """Take a step over to the time line."""
        # Lists are made anew, not changed: whoever reads the old one has it whole.
        same = self.newest and self.newest.image.shape == step.image.shape
        earlier = self._recent[-9:] if same else []
        self._recent = [*earlier, (step.seconds, step.evaluations)]
        (began, few), (ended, many) = self._recent[0], self._recent[-1]
        count, seconds = len(self._recent) - 1, ended - began
        self.pace = (seconds / count, (many - few) / seconds) if count else (0.0, 0.0)
        self.newest, self.status = step, "Painting."
        if step.restarted:
            self.restarts = [*self.restarts, step.iteration]
        if not self._larger:
            old = self.steps[::2] if len(self.steps) >= KEPT else self.steps
            self.steps = [*old, step]

    def _rest(self, status: str) -> None:
        """Paint no more, saying why; of larger pictures, keep the last."""
        if self._larger:
            smaller = [step for step in self.steps if step is not self.newest]
            self.steps = [*smaller, self.newest]
            self._larger = self._transfer = None
        self.left, self.status = 0, status
