"""How large the picture may be for this computer to follow a hand."""

from itertools import pairwise
from statistics import median

SIZES = (96, 128, 192, 256, 384, 512, 768, 1024)  # of the picture's long side
FASTEST, SLOWEST = 0.16, 0.25  # seconds a picture, to grow and to stay as it is
ANSWER = 0.05  # the same to answer a hand: the first picture takes three times that
QUIET = 1.5  # seconds without a hand's move, until the picture grows
PATIENCE = 10.0  # seconds, until a size that was too slow is tried again
FEW, MANY = 4, 8  # pictures, before a pace is known, and before it is called slow


class Pace:
    """Choose a size by the seconds that pictures take.

    Attributes:
        seconds: that each of the last pictures took, at this size; 0 if not known yet.
        moved: when a hand moved something.
    """

    def __init__(self) -> None:
        self.seconds, self.moved = 0.0, 0.0
        self._size, self._times = 0, []  # of the last pictures
        self._known = 0.0  # seconds for a pixel of the long side, squared
        self._too_slow: dict[int, float] = {}  # size: when it was found so

    def note(self, now: float, size: int) -> None:
        """Take down that a picture of a size was there."""
        if size != self._size:
            self._size, self._times = size, []
        self._times = [*self._times[-MANY:], now]
        gaps = [after - before for before, after in pairwise(self._times)]
        self.seconds = median(gaps) if len(gaps) >= FEW else 0.0
        self._known = self.seconds / size**2 or self._known

    def rest(self) -> None:
        """Forget the last pictures: time that passes now is not spent painting."""
        self._times, self.seconds = [], 0.0

    def next_size(self, now: float) -> int:
        """Choose the size of the next picture, in pixels, while nobody moves a thing.

        Args:
            now: seconds, on the clock of note.

        Returns:
            The present size, the next larger or the next smaller.
        """
        size = self._size
        smaller, larger = (
            [s for s in SIZES if s < size],
            [s for s in SIZES if s > size],
        )
        if self.seconds > SLOWEST and len(self._times) > MANY and smaller:
            self._too_slow[size] = now
            return smaller[-1]
        if not self.seconds or not larger or now - self.moved < QUIET:
            return size
        tried = self._too_slow.get(larger[0])
        if tried is not None and now - tried < PATIENCE:
            return size
        return larger[0] if self.would_take(larger[0]) <= FASTEST else size

    def quick_size(self, size: int) -> int:
        """Choose a size, no larger than this, that answers within half a second."""
        quick = [s for s in SIZES if self.would_take(s) <= ANSWER]
        return min(size, max(quick, default=SIZES[0]))

    def would_take(self, size: int) -> float:
        """Estimate the seconds of a picture of a size; 0 if no pace is known yet."""
        return self._known * size**2
