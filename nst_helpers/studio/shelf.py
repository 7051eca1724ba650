"""A shelf: moments that are kept, to go back to and to compare with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ipywidgets as widgets

from .moment import Moment
from .thumbnails import Thumbnails, jpeg_url, shrink

FILM = 24  # moments before it that are kept with one, at most


@dataclass(frozen=True, eq=False)
class Kept:
    """Hold a moment that was kept, and the moments before it."""

    moment: Moment
    film: Sequence[Moment]


class Shelf(widgets.VBox):
    """Show the moments kept as thumbnails; a click goes back to one.

    Args:
        on_choose: called with the one chosen.

    Attributes:
        kept: {name: what is kept}.
    """

    def __init__(self, on_choose: Callable[[Kept], None]) -> None:
        self.kept: dict[str, Kept] = {}
        self._urls: dict[str, str] = {}
        self._thumbs = Thumbnails(lambda name: on_choose(self.kept[name]), "nst-shelf")
        super().__init__([self._thumbs])

    def keep(self, moment: Moment, film: Sequence[Moment]) -> None:
        """Keep a moment, unless it is kept already.

        Args:
            moment: to keep.
            film: the moments before it.
        """
        if any(kept.moment is moment for kept in self.kept.values()):
            return
        losses = (f"{n} {x:.2g}" for n, x in moment.losses.items() if n != "range")
        name = (
            f"{len(self.kept) + 1}: iteration {moment.iteration}, {', '.join(losses)}"
        )
        self.kept[name] = Kept(moment, film[:: 1 + len(film) // FILM])
        self._urls[name] = jpeg_url(shrink(moment.image, 192))
        self.release()

    def release(self) -> None:
        """Choose none, so that each can be clicked."""
        self._thumbs.offer(self._urls, None)
