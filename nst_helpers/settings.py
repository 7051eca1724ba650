"""Every choice of a run in one place, checked, and as a recipe in a file."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .files import InputError, check_number, tell, write_file
from .layers import CONTENT_LAYERS, STYLE_LAYERS, LayerWeights

TERMS = ("content", "style", "tv")  # each has a weight
COARSE_STEPS = 40  # at most, at each size but the last; more gain nothing there
RECIPE_VERSION = 1
RECIPE_BYTES = 20_000_000  # what is longer is a film, say, and no recipe
CHOICES = {
    "start": ("content", "noise", "style"),
    "optimizer": ("lbfgs", "adam"),
    "pooling": ("avg", "max"),
    "padding": ("reflect", "replicate", "zeros"),
    "keep_colors": ("photo", "painting"),
    "precision": ("auto", "float32", "bfloat16"),
}
LIMITS = {  # field: smallest, largest; whole numbers where the limits are
    **{f"{term}_weight": (0.0, 1e6) for term in TERMS},
    "style_scale": (0.05, 20.0),
    "steps": (1, 100_000),
    "size": (16, 4096),
    "scales": (1, 8),
    "seed": (0, 2**32 - 1),
}
# What cannot change in mid-run.
FIXED = "start seed weights pooling padding device precision scales".split()


@dataclass(frozen=True)
class Settings:
    """Hold every choice of a run, so that it can be repeated or handed on.

    Args:
        content_weight: α, how much the photo's content counts, 0 to 1e6.
        style_weight: β, how much the painting's style counts, 0 to 1e6.
        tv_weight: γ, how much total variation counts, 0 to 1e6.
        mix: of several paintings, how much each counts, relative to the others: as many
            numbers, 0 to 1e6; none: all alike. Each has a style loss with its share of
            β.
        style_scale: long side of the paintings in long sides of the photo, 0.05 to 20:
            less makes their strokes finer in the picture, more makes them larger.
        content_layers: {layer: weight}; weights, 0 to 1e6 and one above 0, count
            relative to each other.
        style_layers: {layer: weight}, likewise; the early layers carry ink and palette,
            the late ones larger shapes.
        keep_colors: None, "photo" (its colours under the painted brightness: Step.image
            has them, the losses do not count them) or "painting" (its palette: the
            photo is given it before all else).
        steps: iterations of the optimiser, 1 to 100,000.
        size: long side of the result in pixels, 16 to 4096.
        scales: 1 to 8 sizes to paint at, no more than steps, one after the other, each
            double the one before and the last one `size`, in equal shares of the steps,
            but 40 at most for each of the small ones. Strokes begun small end large.
        start: "content" (the photo), "noise" or "style" (the painting).
        optimizer: "lbfgs" or "adam".
        seed: chooses the noise and the random weights, 0 to 2³² − 1.
        weights: of the network: "bundled" (in the box), "imagenet" (VGG-19 itself, to
            be downloaded once), "random" (untrained) or the path of a file.
        pooling: "avg" or "max" (as the network was trained).
        padding: what the network sees beyond the border: "reflect" (what is within it,
            mirrored), "replicate" (its pixels again) or "zeros" (as it was trained,
            which leaves a pale frame).
        device: "auto" (the best there is), "cpu", "cuda", "cuda:1" or "mps".
        precision: of the network's numbers: "float32", "bfloat16" (half the bits), or
            "auto": bfloat16 on processors made for it, until its rounding stands in the
            way. Fix it to repeat a picture exactly on another computer. On a CUDA card
            float32 is what torch makes of it: convolutions may round to TF32.

    Raises:
        InputError: a value out of its range; the line names it.

    Source: Gatys et al. 2016, equation 7, with relative losses and total variation. The
    defaults of layers and border, chosen blind (tests/bench/looks), are not theirs:
    gatys() has these.
    """

    content_weight: float = 1.0
    style_weight: float = 100.0
    tv_weight: float = 0.3
    mix: tuple[float, ...] = ()
    style_scale: float = 1.0
    content_layers: Mapping[str, float] = field(default_factory=lambda: CONTENT_LAYERS)
    style_layers: Mapping[str, float] = field(default_factory=lambda: STYLE_LAYERS)
    keep_colors: str | None = None
    steps: int = 80
    size: int = 256
    scales: int = 1
    start: str = "content"
    optimizer: str = "lbfgs"
    seed: int = 0
    weights: str = "bundled"
    pooling: str = "avg"
    padding: str = "reflect"
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            number = check_number(name, getattr(self, name), low, high)
            object.__setattr__(self, name, number)
        if self.content_weight == self.style_weight == self.tv_weight == 0:
            raise InputError("content, style and tv weight are all 0; raise one")
        if not isinstance(self.mix, list | tuple):
            raise InputError(f"mix is a number for each painting, not {tell(self.mix)}")
        mix = tuple(check_number("mix", share, 0.0, 1e6) for share in self.mix)
        if mix and not any(mix):
            raise InputError("mix needs a number above 0")
        object.__setattr__(self, "mix", mix)
        if self.scales > self.steps:
            line = f"{self.scales} scales need as many steps, not {self.steps}"
            raise InputError(line)
        for name in ("content_layers", "style_layers"):
            layers = LayerWeights(getattr(self, name), name)
            object.__setattr__(self, name, layers)
        for name, choices in CHOICES.items():
            if name == "keep_colors" and self.keep_colors is None:
                continue
            self._check_text(name, "|".join(choices), " or ".join(choices))
        devices = "auto, cpu, cuda, cuda:1 or mps"
        self._check_text("device", "auto|cpu|cuda(:[1-9]?[0-9])?|mps", devices)
        self._check_text("weights", "(?s).*", "a name or a path (a text)")

    def _check_text(self, name: str, pattern: str, choices: str) -> None:
        """Refuse what is no text of a pattern."""
        value = getattr(self, name)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise InputError(f"{name} is {choices}, not {tell(value)}")

    @classmethod
    def gatys(cls, **changes: Any) -> "Settings":
        """Make the settings of the paper, as far as relative losses allow.

        Layers of equal weight, no total variation, zeros beyond the border, and from
        noise.

        Args:
            changes: settings that shall be others.

        Returns:
            The settings.

        Raises:
            InputError: a value out of its range.

        Source: Gatys et al. 2016, sections 2.3 and 3.
        """
        equal = dict.fromkeys(STYLE_LAYERS, 1.0)
        paper = {"style_layers": equal, "tv_weight": 0.0, "start": "noise"}
        return cls(**{**paper, "padding": "zeros", **changes})

    def check_change(self, others: "Settings") -> None:
        """Refuse others that a run with these cannot go on with."""
        for name in FIXED:
            if getattr(self, name) != getattr(others, name):
                raise InputError(f"{name} cannot change in mid-run; start a new one")

    def halvings_at(self, iteration: int) -> int:
        """Tell how often the size is halved, from coarse to fine, after an iteration.

        Each size has an equal share of the steps, 40 at most.
        """
        share = min(self.steps // self.scales, COARSE_STEPS)
        return max(0, self.scales - 1 - max(0, iteration) // share)

    def save(self, path: str | os.PathLike) -> None:
        """Write the settings as a recipe in JSON.

        Args:
            path: the file to write.

        Raises:
            InputError: it cannot be written.
        """
        write_file(path, self.to_json().encode())

    def to_json(self) -> str:
        """Write the settings as the text of a recipe."""
        recipe = {"version": RECIPE_VERSION, **dataclasses.asdict(self)}
        return json.dumps(recipe, indent=2) + "\n"

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Settings":
        """Read a recipe that save wrote.

        Args:
            path: the file to read.

        Returns:
            Settings; what the recipe leaves out has its default.

        Raises:
            InputError: no such file, no recipe, or a value that is refused.
        """
        try:
            with open(path, "rb") as file:
                return cls.from_json(file.read(RECIPE_BYTES), str(path))
        except InputError:
            raise
        except (OSError, ValueError) as error:  # the latter of NUL in a name
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: cannot be read: {why}") from error

    @classmethod
    def from_json(cls, content: bytes, name: str = "the recipe") -> "Settings":
        """Read a recipe, in UTF-8; the name is for the errors, as in load."""
        try:
            text = content.decode("utf-8-sig")
            recipe = json.loads(text, object_pairs_hook=_no_twins)
        except (ValueError, RecursionError) as error:
            # Where it is JSON by hand, almost, what is wrong with it helps.
            why = f" ({error})" if content.lstrip().startswith(b"{") else ""
            line = f"{name}: not a recipe in JSON{why}; choose one that was saved by "
            raise InputError(line + "the studio, --recipe or Settings.save") from error
        if not isinstance(recipe, dict):
            raise InputError(f"{name}: not a recipe: it holds no {{name: value}}")
        recipe.pop("studio", None)  # its record of moves, for itself alone
        version = recipe.pop("version", RECIPE_VERSION)
        if type(version) is not int or version != RECIPE_VERSION:
            raise InputError(
                f"{name}: a recipe of version {tell(version)}; this program reads "
                f"version {RECIPE_VERSION}: update nst_helpers, or make the recipe anew"
            )
        if type(share := recipe.get("mix")) in (int, float):  # the second's, once
            recipe["mix"] = (1 - share, share)
        unknown = recipe.keys() - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise InputError(f"{name}: no such setting: {tell(sorted(unknown))}")
        try:
            return cls(**recipe)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what names a thing twice: one of its values would be lost."""
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name stands there twice; keep one")
    return names
