"""What the studio paints: all that a hand can change, and when it was changed."""

import base64
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from PIL import Image
from torch import Tensor

from ..device import check_memory
from ..files import InputError, check_number, tell
from ..images import load_image
from ..losses import Loss, StyleLoss
from ..pixels import resize, to_bytes
from ..settings import LIMITS, Settings
from ..terms import OF_LOSSES, choose_losses


@dataclass(frozen=True, eq=False)
class Named:
    """Hold a picture, (1, 3, H, W) in [0, 1], and what it is called."""

    name: str
    image: Tensor

    @property
    def mark(self) -> dict[str, str]:
        """Tell the picture from all others: its name and a number of its pixels."""
        pixels = hashlib.sha256(to_bytes(self.image).tobytes()).hexdigest()[:16]
        return {"name": self.name, "pixels": pixels}


@dataclass(frozen=True, eq=False)
class Scene:
    """Hold all that a hand can change.

    Args:
        photo: is painted.
        paintings: two; settings.mix says how much each counts.
        settings: every other choice; steps are a matter of the worker.
        region: (H, W) in [0, 1], where the photo takes after the second painting alone,
            and after the first alone elsewhere; None: nowhere, they are mixed.
        extra: {name: weight} of losses of one's own.
    """

    photo: Named
    paintings: tuple[Named, Named]
    settings: Settings
    region: Tensor | None = None
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def images(self) -> list[Tensor]:
        """The paintings' pixels, each (1, 3, H, W)."""
        return [painting.image for painting in self.paintings]

    def at(self, size: int) -> "Scene":
        """Return the same in another size."""
        return replace(self, settings=replace(self.settings, size=size))

    def check(self) -> None:
        """Refuse what a picture gets too small for, or too large (InputError)."""
        settings = self.settings
        check_mix(settings)
        resize(self.photo.image, settings.size, "the photo")
        for image in self.images:
            resize(image, settings.size, "the painting", settings.style_scale)
        check_memory(self.photo.image, choose_losses(self.images, settings), settings)

    def losses(self, extra: Sequence[Loss] = ()) -> tuple[Loss, ...]:
        """Make the losses; those of one's own get their weights."""
        for loss in extra:
            loss.weight = self.extra.get(loss.name, loss.weight)
        if self.region is None:
            return *choose_losses(self.images, self.settings), *extra
        # Each painting counts as much as it has of the picture.
        share = self.region.mean().item()
        shares = replace(self.settings, mix=(1 - share, share))
        losses = choose_losses(self.images, shares)
        styles = [loss for loss in losses if isinstance(loss, StyleLoss)]
        for style, mask in zip(styles, (1 - self.region, self.region), strict=True):
            style.mask = mask
        return *losses, *extra

    @property
    def bare(self) -> Settings:
        """What the settings say of all but losses and steps."""
        plain = {name: getattr(Settings(), name) for name in OF_LOSSES}
        return replace(self.settings, steps=LIMITS["steps"][1], scales=1, **plain)

    def aims_as(self, other: "Scene") -> bool:
        """Tell whether another's losses have the same aims, whatever they weigh."""
        names = "content_layers", "style_layers", "style_scale"
        same = (getattr(self.settings, n) == getattr(other.settings, n) for n in names)
        return (
            all(same)
            and write_region(self.region) == write_region(other.region)
            and all(a is b for a, b in zip(self.images, other.images, strict=True))
        )


def check_mix(settings: Settings) -> None:
    """Refuse settings that mix more than two paintings (InputError)."""
    if len(settings.mix) > 2:
        count = len(settings.mix)
        raise InputError(f"the studio mixes two paintings, not {count}")


@dataclass(frozen=True, eq=False)
class Move:
    """Say that from an iteration on, a scene was painted.

    Args:
        iteration: of the last picture before.
        scene: painted from there on.
        again: the optimiser began anew from that picture, as it was shown.
    """

    iteration: int
    scene: Scene
    again: bool = False

    def on(self, machine: Mapping[str, str]) -> "Move":
        """Return the same with other {setting: value} for another computer."""
        settings = replace(self.scene.settings, **machine)
        return replace(self, scene=replace(self.scene, settings=settings))


def write_recipe(moves: Sequence[Move], steps: int) -> bytes:
    """Write down how a picture was made.

    What the last scene's settings say stands on top, so the command line paints by it;
    "studio" has all moves, each with what it changed.

    Args:
        moves: of the run, in order, the first at iteration 0.
        steps: iterations of the picture.

    Returns:
        JSON in UTF-8.
    """
    first, last = moves[0].scene, moves[-1].scene
    told, before = [], {}
    for move in moves:
        said = _describe(move.scene)
        changed = {
            key: value for key, value in said.items() if before.get(key) != value
        }
        if "settings" in changed and before:
            old = before["settings"]
            new = {k: v for k, v in said["settings"].items() if old[k] != v}
            changed["settings"] = new
        told.append({"iteration": move.iteration, "again": move.again, **changed})
        before = said
    recipe = json.loads(replace(last.settings, steps=max(1, steps)).to_json())
    recipe["studio"] = {"photo": first.photo.mark, "steps": steps, "moves": told}
    return (json.dumps(recipe, indent=1, ensure_ascii=False) + "\n").encode()


def read_recipe(
    content: bytes, name: str, find: Callable[[str, dict[str, str]], Named]
) -> tuple[Settings, list[Move], int]:
    """Read what write_recipe wrote, or a recipe that only has settings.

    Args:
        content: of the file.
        name: of the file, for the errors.
        find: called with "photo" or "painting" and a picture's mark; returns the
            picture, or raises an InputError.

    Returns:
        Settings, the moves (none if the file only has settings), and the iterations.

    Raises:
        InputError: no recipe, or one of pictures that are not here.
    """
    settings = Settings.from_json(content, name)
    studio = json.loads(content.decode("utf-8-sig")).get("studio")
    if studio is None:
        return settings, [], settings.steps
    moves, said, pictures, region = [], {}, (), None
    most = LIMITS["steps"][1]
    try:
        photo = find("photo", studio["photo"])
        for told in studio["moves"]:
            old = said.get("settings", {})
            said = said | told | {"settings": old | told.get("settings", {})}
            if "paintings" in told:
                pictures = tuple(find("painting", x) for x in told["paintings"])
            if "region" in told:
                region = read_region(base64.b64decode(told["region"] or ""))
            text = json.dumps(said["settings"]).encode()
            extra = {
                str(key): check_number(key, weight, 0.0, 1e6)
                for key, weight in said["extra"].items()
            }
            scene = Scene(photo, pictures, Settings.from_json(text), region, extra)
            at = check_number("iteration", told["iteration"], 0, most)
            moves.append(Move(at, scene, bool(told["again"])))
        steps = check_number("steps", studio["steps"], 0, most)
        if not moves or any(len(move.scene.paintings) != 2 for move in moves):
            raise InputError("the studio needs two paintings and a start")
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{name}: the studio's part of it is broken: {tell(str(error))}"
        raise InputError(f"{why}; take it home anew") from None
    return settings, moves, steps


def write_region(region: Tensor | None) -> bytes:
    """Write a region, (H, W) in [0, 1], as a grey PNG; nothing for None."""
    if region is None:
        return b""
    file = io.BytesIO()
    Image.fromarray((region.numpy() * 255).round().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def read_region(content: bytes) -> Tensor | None:
    """Read a region, (H, W) in [0, 1], from a picture's lightness; None of black."""
    if not content:
        return None
    grey = load_image(content, name="the region")[0].mean(0)
    return (grey * 255).round() / 255 if grey.any() else None


def _describe(scene: Scene) -> dict:
    """Write a scene down, but for its photo."""
    return {
        "settings": asdict(scene.settings),
        "paintings": [painting.mark for painting in scene.paintings],
        "region": base64.b64encode(write_region(scene.region)).decode() or None,
        "extra": dict(scene.extra),
    }
