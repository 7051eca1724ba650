"""A ranking: two pictures without their names, the better one is clicked, again."""

import html
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import ipywidgets as widgets

from ..files import InputError, look, tell
from ..images import Picture, as_image
from .home import write_files
from .judgements import Answer, bradley_terry, count_wins, pair_up, read_file
from .layout import style
from .thumbnails import Thumbnails, jpeg_url, shrink

LARGE = 640  # pixels: what a page has room for
SIDES = {"the left one": "left", "the right one": "right"}


class Ranking(widgets.VBox):
    """Judge pictures blind: all pairs, each twice, once either way round.

    The names are told at the end, with the scores. There is no "cannot tell": who
    cannot tell guesses, and guesses cancel. Each answer is saved at once; the same call
    again goes on where the file ends.

    Args:
        pictures: {name: picture}, two or more.
        file: to save the answers in, ranking-NAME.json for read_answers to find; its
            folder is made.
        question: that the answers are to.
        seed: of the order; left out, the file's name makes one, so that each judge has
            another.

    Attributes:
        answers: so far.

    Raises:
        InputError: fewer than two pictures, or a file that is of another ranking.
    """

    def __init__(
        self,
        pictures: Mapping[str, Picture],
        file: str | os.PathLike = "results/ranking-me.json",
        question: str = "Which one would you hang on your wall?",
        seed: int | None = None,
    ) -> None:
        if len(pictures) < 2:
            raise InputError("one picture cannot be compared; give two, or more")
        self._file, self._question = Path(os.path.expanduser(file)), question
        small = {n: shrink(as_image(p, n), LARGE) for n, p in pictures.items()}
        self._urls = {name: jpeg_url(image) for name, image in small.items()}
        seed = zlib.crc32(self._file.name.encode()) if seed is None else seed
        self._pairs = pair_up(list(pictures), seed)
        self.answers: list[Answer] = self._resume()
        asked = f"<b>{html.escape(question)}</b> Click it, or press Tab and Enter."
        self._asked = widgets.HTML(asked)
        self._thumbs = Thumbnails(self._answer, "nst-duel")
        self._count, self._alert, self._told = (widgets.HTML() for _ in range(3))
        self._back = widgets.Button(description="Take back", icon="undo")
        self._back.on_click(lambda _: self.take_back())
        row = widgets.HBox([self._back, self._count]).add_class("nst-row")
        parts = [style(), self._asked, self._thumbs, row, self._alert, self._told]
        super().__init__(parts)
        self.add_class("nst-studio")
        self._show()

    def choose(self, side: str) -> None:
        """Answer that the picture on one side, "left" or "right", is the better one."""
        if side not in SIDES.values():
            raise InputError(f"a side is left or right, not {tell(side)}")
        if len(self.answers) == len(self._pairs):
            raise InputError("all pairs are judged")
        pair = self._pairs[len(self.answers)]
        shown = dict(zip(SIDES.values(), pair, strict=True))
        self.answers.append(shown | {"chosen": shown[side]})
        self._save()

    def take_back(self) -> None:
        """Forget the last answer, and ask again."""
        if self.answers:
            self.answers.pop()
            self._save()

    def _answer(self, name: str) -> None:
        """Hand a click on."""
        self.choose(SIDES[name])

    def _resume(self) -> list[Answer]:
        """Read what was answered before."""
        if not look(self._file):
            return []
        question, answers = read_file(self._file, list(self._urls))
        shown = [(answer["left"], answer["right"]) for answer in answers]
        if question != self._question or shown != self._pairs[: len(shown)]:
            line = "it is of another ranking; choose another file"
            raise InputError(f"{self._file}: {line}")
        return answers

    def _save(self) -> None:
        """Write all answers, and show what comes next."""
        kept = {"question": self._question, "answers": self.answers}
        content = json.dumps(kept, indent=1).encode()
        self._alert.value = ""
        try:
            write_files(str(self._file.parent), {self._file.name: content})
        except InputError as error:  # the next answer saves this one, too
            line = html.escape(str(error))
            self._alert.value = f'<div class="nst-alert" role="alert">{line}</div>'
        self._show()

    def _show(self) -> None:
        """Show the next pair, or who is who."""
        done, count = len(self.answers), len(self._pairs)
        self._back.disabled = not done
        if done < count:
            urls = (self._urls[name] for name in self._pairs[done])
            self._thumbs.offer(dict(zip(SIDES, urls, strict=True)), None)
        file = html.escape(str(self._file))
        self._count.value = f"{done} of {count} answered, {count - done} to go. {file}"
        self._told.value = self._tell() if done == count else ""
        shown = "none" if done == count else ""
        self._thumbs.layout.display = self._asked.layout.display = shown

    def _tell(self) -> str:
        """Tell names and scores, best first, and how steady the judge was."""
        names = list(self._urls)
        wins = count_wins(self.answers, names)
        shares = [s / (1 + s) for s in bradley_terry(wins)]  # against an average one
        rows = []
        for i in shares[0].argsort(descending=True).tolist():
            best, low, high = (f"{100 * share[i]:.0f}" for share in shares)
            won, of = int(wins[i].sum()), int(wins[i].sum() + wins[:, i].sum())
            line = f"{html.escape(names[i])}: won {won} of {of}; against an average "
            line += f"one {best} % ({low} to {high} %)"
            rows.append(f'<li><img src="{self._urls[names[i]]}" alt="">{line}</li>')
        left = sum(answer["chosen"] == answer["left"] for answer in self.answers)
        alike, pairs = int((wins == 2).sum()), len(self.answers) // 2
        steady = f"You chose the left one {left} times of {len(self.answers)}; of "
        steady += f"{pairs} pairs, {alike} were answered alike twice."
        return f'<ol class="nst-ranks">{"".join(rows)}</ol><p>{steady}</p>'
