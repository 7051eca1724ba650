"""A thread that paints, so that whoever commands it stays free."""

import functools
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..files import InputError
from ..losses import Loss
from .moment import Moment
from .painting import Painting
from .scene import Move, Scene

LOADED = "A recipe is loaded: Start paints it again."


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
    one counts. begin, change, resume, play and watch do what Painting's do.

    Args:
        on_change: called by this thread when there is something new to show.
        extra: losses of one's own, added to the others.

    Attributes:
        painting: what is painted; only to be read.
        left: iterations still to do.
        total, done: iterations of the last paint, and how many of them are painted.
        status: a few words: what it does, or why it rests.
        error: why the last command was broken off, in one line; or None.
    """

    def __init__(
        self, on_change: Callable[[], None], extra: Sequence[Loss] = ()
    ) -> None:
        super().__init__(name="worker", daemon=True)
        self.painting = Painting(extra)
        self.left, self.total, self.done = 0, 0, 0
        self.status = "Press Start."
        self.error: str | None = None
        self._on_change = on_change
        self._commands: queue.Queue[tuple] = queue.Queue()
        self._idle, self._sending = threading.Event(), threading.Lock()
        self._open, self._ended = True, False
        self._finishing, self._end = False, "Resting."  # why it rests in the end
        self.start()

    @_command
    def begin(self, scene: Scene, grows: bool) -> None:
        """Begin a new run, and rest."""
        self._rest("Press Start.")
        self.total, self._end = 0, "Resting."
        self.painting.begin(scene, grows)

    @_command
    def change(self, scene: Scene, grows: bool) -> None:
        """Go on with another scene."""
        self.painting.change(scene, grows, stays=self.left > 0 and self._finishing)
        self._end = "Resting."
        if self.status == LOADED:
            self.status = "The recipe is changed: Start paints on."

    @_command
    def paint(self, steps: int, size: int | None = None) -> None:
        """Do so many steps from now on.

        Args:
            steps: iterations.
            size: to go on in, and to stay in until something is changed.
        """
        self._rest("")
        if size:
            self.painting.hold(size)
        self.left, self.total, self.done = steps, steps, 0
        self._finishing = bool(size)
        self.status = "Finishing." if size else "Painting."

    @_command
    def rest(self) -> None:
        """Rest after the present step."""
        self._rest("Resting.")

    @_command
    def give_way(self) -> None:
        """Rest, for another studio paints, and free the memory."""
        if self.left:
            self._rest("Resting: another studio paints.")
        self.painting.drop()

    @_command
    def resume(self, moment: Moment, film: Sequence[Moment]) -> None:
        """Go back to a moment, and rest there."""
        self._rest("Resting: Start goes on from here.")
        self.total = 0
        self.painting.resume(moment, film)

    @_command
    def play(self, moves: Sequence[Move], steps: int) -> None:
        """Begin a recipe's run, and rest."""
        self._rest(LOADED)
        self.total = 0
        self.painting.play(moves, steps)
        self._end = "The recipe is painted to its end."

    @_command
    def watch(self, loss: str) -> None:
        """Watch how hard a loss pulls."""
        self.painting.watch(loss)

    @_command
    def close(self) -> None:
        """End the thread after the present step."""
        self._rest("Closed. Run the studio's cell again.")
        # The page may hold on to this thread, so the pictures go too.
        self.painting.forget()
        self._ended = True

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
            self._rest(f"At rest: {self.painting.reason}.")
        except Exception as error:
            kind = "" if isinstance(error, InputError) else type(error).__name__
            self.error = " ".join(f"{kind} {error}".split())
            self._rest("At rest.")
            self.painting.drop()

    def _step(self) -> None:
        """Paint one iteration."""
        self.painting.step()
        self.left, self.done = self.left - 1, self.done + 1
        if not self.left:
            self._rest(self._end)

    def _rest(self, status: str) -> None:
        """Paint no more, saying why."""
        self.left, self.status = 0, status
        self.painting.pace.rest()
