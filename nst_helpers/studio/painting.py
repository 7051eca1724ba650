"""A run that a hand bends: its pictures, its size, and the record of its moves."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..files import InputError
from ..losses import Loss
from ..pixels import MIN_SIDE, to_bytes
from ..step import Step
from ..transfer import StyleTransfer
from .moment import Moment
from .pace import Pace
from .pull import find_pull
from .scene import Move, Scene

KEPT = 200  # pictures on the time line; when there are more, every second one goes


class Painting:
    """Paint one iteration after the other, and bend to what a hand changes.

    Args:
        extra: losses of one's own, added to the others.

    Attributes:
        moments: of the run so far; thinned when there are many.
        restarts: iterations at which the optimiser began its history anew.
        newest: the last moment; None before any.
        pull: (H, W), how hard the loss watched pulls at each pixel; or None.
        pace: tells seconds a picture.
        reason: why a run ended, as StyleTransfer tells it.
    """

    def __init__(self, extra: Sequence[Loss] = ()) -> None:
        self.pace, self._extra = Pace(), extra
        self._grows = False  # the size is chosen here
        self._watched = ""  # name of the loss whose pull is shown
        self.forget()

    def forget(self) -> None:
        """End the run and its pictures."""
        self.moments: list[Moment] = []
        self.restarts: list[int] = []
        self.newest: Moment | None = None
        self.pull: Tensor | None = None
        self._scene: Scene | None = None
        self._moves: tuple[Move, ...] = ()
        self._due: list[Move] = []  # moves of a recipe still to come
        self.drop()

    def drop(self) -> None:
        """Free the memory; the next step goes on from the newest picture."""
        self._transfer: StyleTransfer | None = None
        self.pace.rest()

    @property
    def reason(self) -> str | None:
        """Why the run ended."""
        return self._transfer and self._transfer.reason

    def begin(self, scene: Scene, grows: bool) -> None:
        """Begin a new run: load the network, and show the start.

        Args:
            scene: to paint.
            grows: the picture begins in the size that the settings say, and grows as
                far as this computer paints several a second; else it stays.
        """
        self.forget()
        self._scene, self._grows = self._wide_enough(scene, grows), grows
        self._prepare()
        self._find_pull()

    def change(self, scene: Scene, grows: bool, stays: bool) -> None:
        """Go on with another scene, of the same photo.

        Args:
            scene: to paint.
            grows: as in begin; the picture then first shrinks to answer quickly.
            stays: the size is left as it is.
        """
        self._due, self._grows, self.pace.moved = [], grows, time.monotonic()
        if stays:
            self._grows, scene = False, scene.at(self.newest.size)
        elif grows and self.newest:
            scene = scene.at(self.pace.quick_size(self.newest.size))
        scene = self._wide_enough(scene, self._grows)
        try:
            self._adopt(scene)
        except InputError:
            self._scene = scene  # what the sliders say: Start refuses it again
            raise
        self._find_pull()

    def hold(self, size: int) -> None:
        """Go on in a size, in pixels, and stay in it until something is changed."""
        self._due, self._grows = [], False
        self._adopt(self._scene.at(size))

    def resume(self, moment: Moment, film: Sequence[Moment]) -> None:
        """Go back to a moment.

        Args:
            moment: of this run, or of one before.
            film: the moments before it.
        """
        self.forget()
        self._scene, self._moves = moment.scene, moment.moves
        self.moments, self.newest = [*film, moment], moment
        self.restarts = sorted({move.iteration + 1 for move in moment.moves[1:]})
        self.watch(self._watched)

    def play(self, moves: Sequence[Move], steps: int) -> None:
        """Begin a recipe's run; its steps then make its moves.

        Args:
            moves: of the recipe.
            steps: iterations of its picture; the moves after it are left out.
        """
        self.begin(moves[0].scene, False)
        self._due = [move for move in moves[1:] if move.iteration <= steps]
        self._make_due_moves()

    def watch(self, loss: str) -> None:
        """Find out, from now on, how hard a loss pulls; "" watches none."""
        self._watched = loss
        if loss and self.newest and not self._transfer:
            self._prepare()
        self._find_pull()

    def step(self) -> None:
        """Paint one iteration; StopIteration says that there is no way on."""
        if not self._transfer:
            self._prepare()
        self._keep(next(self._transfer))
        size, now = self.newest.size, time.monotonic()
        self.pace.note(now, size)
        if self._grows:
            better = self._wide_enough(self._scene.at(self.pace.next_size(now)), True)
            if better.settings.size != size:
                self._adopt(better)
        self._make_due_moves()
        self._find_pull()

    def _make_due_moves(self) -> None:
        """Make the moves of a recipe that come after the newest picture."""
        while self._due and self._due[0].iteration <= self.newest.iteration:
            move = self._due.pop(0)
            if move.again:
                self._scene = move.scene
                self._prepare()
            else:
                self._adopt(move.scene)

    def _wide_enough(self, scene: Scene, grows: bool) -> Scene:
        """Return the scene in a size in which no side falls under 16 pixels."""
        if not grows:
            return scene
        longer = [
            MIN_SIDE * max(x.shape[2:]) / min(x.shape[2:]) / scale
            for images, scale in (
                ([scene.photo.image], 1.0),
                (scene.images, scene.settings.style_scale),
            )
            for x in images
        ]
        return scene.at(max(scene.settings.size, math.ceil(max(longer))))

    def _prepare(self) -> None:
        """Make the transfer, and bring it to the newest picture."""
        scene = self._scene
        given = scene.photo.image, scene.images, scene.bare, scene.losses(self._extra)
        self._transfer = StyleTransfer(*given)
        if self.newest:
            self._transfer.image = self.newest.image
            self._transfer.iteration = self.newest.iteration
            self._note(Move(self.newest.iteration, scene, again=True))
        else:
            self._moves = (Move(0, scene),)
            self._keep(next(self._transfer))  # iteration 0, the start itself

    def _adopt(self, scene: Scene) -> None:
        """Bend the run to another scene."""
        before, transfer = self._scene, self._transfer
        if transfer:
            losses = scene.losses(self._extra)
            pairs = list(zip(transfer.losses, losses, strict=True))
            # One of weight 0 has prepared nothing to aim at.
            same = all(bool(old.weight) == bool(new.weight) for old, new in pairs)
            # Each move makes the optimiser begin anew, also one there and back again:
            # so it does when a recipe is played, which has the last of them only.
            if scene.bare == transfer.settings or not (same and scene.aims_as(before)):
                transfer.losses = losses
            for old, new in pairs:
                old.weight = new.weight
            if scene.bare != transfer.settings:
                transfer.settings = scene.bare
        self._scene = scene
        if not self.newest:
            self._prepare()  # it could not begin before
        elif transfer:
            self._note(Move(self.newest.iteration, scene))
            if scene.settings.keep_colors != before.settings.keep_colors:
                same = {"scene": scene, "moves": self._moves}
                pixels = _pixels(transfer.image)
                self._show(replace(self.newest, pixels=pixels, **same))

    def _note(self, move: Move) -> None:
        """Take a move down; of several at one picture, the last one counts."""
        *_, last = self._moves
        sizes = {m.scene.settings.size for m in (*self._moves[-2:], move)}
        same = last.iteration == move.iteration and len(sizes) == 1
        if same and len(self._moves) > 1 and not (last.again or move.again):
            self._moves = self._moves[:-1]
        self._moves = *self._moves, move

    def _keep(self, step: Step) -> None:
        """Take a step over to the time line."""
        if step.restarted:
            self.restarts = [*self.restarts, step.iteration]
        done = step.iteration, _pixels(step.image), step.losses, step.weights
        self.newest = Moment(*done, self._scene, self._moves)
        # Lists are made anew, not changed: whoever reads the old one has it whole.
        old = self.moments[::2] if len(self.moments) >= KEPT else self.moments
        self.moments = [*old, self.newest]

    def _show(self, moment: Moment) -> None:
        """Show another picture in the place of the newest."""
        self.newest, self.moments = moment, [*self.moments[:-1], moment]

    def _find_pull(self) -> None:
        """Compute how hard the loss watched pulls."""
        watched = self._watched and self._transfer
        self.pull = find_pull(self._transfer, self._watched) if watched else None


def _pixels(image: Tensor) -> Tensor:
    """Turn an image tensor into bytes, which take a quarter of the memory."""
    return torch.from_numpy(to_bytes(image))
