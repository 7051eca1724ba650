"""Every choice of a run in one place, checked, and as a recipe in a file."""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import Any

from .files import InputError, write_file
from .vgg import check_layers

TERMS = ("content", "style", "tv")  # each has a weight
RECIPE_VERSION = 1
RECIPE_BYTES = 100_000  # what is longer is a film, say, and no recipe
CHOICES = {
    "start": ("content", "noise", "style"),
    "optimizer": ("lbfgs", "adam"),
    "pooling": ("avg", "max"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "precision": ("auto", "float32", "bfloat16"),
}
LIMITS = {  # field: smallest, largest; whole numbers where the limits are
    "content_weight": (0.0, 1e6),
    "style_weight": (0.0, 1e6),
    "tv_weight": (0.0, 1e6),
    "mix": (0.0, 1.0),
    "steps": (1, 100_000),
    "size": (16, 4096),
    "scales": (1, 8),
    "seed": (0, 2**32 - 1),
}


@dataclass(frozen=True)
class Settings:
    """Hold every choice of a run, so that it can be repeated or handed on.

    Args:
        content_weight: α, how much the photo's content counts, 0 to 1e6.
        style_weight: β, how much the painting's style counts, 0 to 1e6.
        tv_weight: γ, how much smoothness counts, 0 to 1e6.
        mix: of two paintings: 0 is the first, 1 the second, between them the Gram
            matrices are mixed.
        content_layers: {layer: weight}; weights, 0 to 1e6 and one above 0, count
            relative to each other.
        style_layers: {layer: weight}, likewise; the early layers carry ink and palette,
            the late ones larger shapes.
        steps: iterations of the optimiser, 1 to 100,000.
        size: long side of the result in pixels, 16 to 4096.
        scales: 1 to 8 sizes to paint at, no more than steps, one after the other, each
            double the one before and the last one `size`, in equal shares of the steps,
            but 40 at most for each of the small ones. Strokes begun small are large in
            the end.
        start: "content" (the photo), "noise" or "style" (the painting).
        optimizer: "lbfgs" or "adam".
        seed: chooses the noise and the random weights, 0 to 2³² − 1.
        weights: of the network: "bundled" (in the box), "imagenet" (VGG-19 itself, to
            be downloaded once), "random" (untrained) or the path of a file.
        pooling: "avg" or "max" (as the network was trained).
        device: "auto" (the best there is), "cpu", "cuda" or "mps".
        precision: of the network's numbers: "float32", "bfloat16" (half the bits), or
            "auto": bfloat16 where it is faster, until its rounding stands in the way.
            Fix it to repeat a picture exactly on another computer.

    Raises:
        InputError: a value out of its range; the line names it.

    Source: Gatys et al. 2016, equation 7, with relative losses and a smoothness term.
    """

    content_weight: float = 1.0
    style_weight: float = 100.0
    tv_weight: float = 0.3
    mix: float = 0.0
    content_layers: dict[str, float] = field(default_factory=lambda: {"conv4_2": 1.0})
    style_layers: dict[str, float] = field(
        default_factory=lambda: {
            "conv1_1": 16.0,
            "conv2_1": 8.0,
            "conv3_1": 4.0,
            "conv4_1": 2.0,
            "conv5_1": 1.0,
        }
    )
    steps: int = 80
    size: int = 256
    scales: int = 1
    start: str = "content"
    optimizer: str = "lbfgs"
    seed: int = 0
    weights: str = "bundled"
    pooling: str = "avg"
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            _check_number(name, getattr(self, name), low, high)
        if self.content_weight == self.style_weight == self.tv_weight == 0:
            raise InputError("content, style and tv weight are all 0; raise one")
        if self.scales > self.steps:
            raise InputError(
                f"{self.scales} scales need as many steps, not {self.steps}"
            )
        for name in ("content_layers", "style_layers"):
            layers = getattr(self, name)
            if not isinstance(layers, dict):
                raise InputError(f"{name} is {{layer: weight}}, not {_tell(layers)}")
            # A copy of our own: whoever changes theirs does not change a run.
            object.__setattr__(self, name, dict(layers))
            check_layers(layers)
            for layer, weight in layers.items():
                _check_number(f"{name}[{layer!r}]", weight, 0.0, 1e6)
            if not any(layers.values()):
                raise InputError(f"{name} needs a layer with a weight above 0")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in choices:
                raise InputError(
                    f"{name} is {' or '.join(choices)}, not {_tell(value)}"
                )
        if not isinstance(self.weights, str):
            raise InputError(
                f"weights is a name or a path (a text), not {_tell(self.weights)}"
            )

    def save(self, path: str | os.PathLike) -> None:
        """Write the settings as a recipe in JSON.

        Args:
            path: the file to write.

        Raises:
            InputError: it cannot be written.
        """
        write_file(path, self.to_json().encode())

    def to_json(self) -> str:
        """Write the settings as the text of a recipe.

        Returns:
            JSON, with a version number.
        """
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
                content = file.read(RECIPE_BYTES)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        return cls.from_json(content, path)

    @classmethod
    def from_json(
        cls, content: bytes, name: str | os.PathLike = "the recipe"
    ) -> "Settings":
        """Read the content of a recipe.

        Args:
            content: what to_json wrote, in UTF-8.
            name: of the recipe, for the errors.

        Returns:
            Settings; what the recipe leaves out has its default.

        Raises:
            InputError: no recipe, or a value that is refused.
        """
        try:
            text = content.decode("utf-8-sig")
            recipe = json.loads(text, object_pairs_hook=_no_twins)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}: not a recipe in JSON: {error}") from error
        if not isinstance(recipe, dict):
            raise InputError(f"{name}: not a recipe: it holds no {{name: value}}")
        version = recipe.pop("version", RECIPE_VERSION)
        if type(version) is not int or version != RECIPE_VERSION:
            raise InputError(
                f"{name}: a recipe of version {_tell(version)}; this program reads "
                f"version {RECIPE_VERSION}: update nst_helpers, or make the recipe anew"
            )
        unknown = recipe.keys() - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise InputError(f"{name}: no such setting: {_tell(sorted(unknown))}")
        try:
            return cls(**recipe)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def _check_number(name: str, value: float, low: float, high: float) -> None:
    """Refuse what is no number of the limits' kind between them."""
    kind = int if isinstance(low, int) else int | float
    if (
        isinstance(value, bool)
        or not isinstance(value, kind)
        or not low <= value <= high
    ):
        kind = "a whole number" if isinstance(low, int) else "a number"
        raise InputError(
            f"{name} is {kind} from {low:,} to {high:,}, not {_tell(value)}"
        )


def _tell(value: Any) -> str:
    """Write a value for an error: on one line, and not at length."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # over 4300 digits, or nested too deeply
        text = f"this {type(value).__name__}"
    return text if len(text) <= 60 else text[:60] + " ..."


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what names a thing twice: one of its values would be lost."""
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name stands there twice; keep one")
    return names
