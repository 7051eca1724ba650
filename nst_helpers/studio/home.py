"""What is taken home: a picture, the film of its making, and the recipe, as files."""

import glob
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files import InputError, write_file
from ..images import encode
from ..pixels import resize
from ..plots import FRAMES, encode_gif
from .moment import Moment
from .scene import write_recipe, write_region

FILM_SIZE = 256  # pixels, at most
ENDING = re.compile(r"\.\w{1,5}$")


def pack(
    moment: Moment, film: Sequence[Moment], brought: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Make the files of a moment.

    Args:
        moment: whose picture it is.
        film: the moments before it.
        brought: {"photo-" or "painting-" and the file's name: content} of pictures
            that no other studio has.

    Returns:
        {name: content}; all names have the same beginning.
    """
    scene = moment.scene
    titles = scene.photo.name, scene.paintings[0].name
    plain = [re.sub(r"[^\w-]+", "_", ENDING.sub("", title))[:30] for title in titles]
    stem = "-".join([*plain, time.strftime("%m%d-%H%M%S")])
    every = math.ceil((len(film) + 1) / FRAMES)
    frames = [resize(shown.image, FILM_SIZE) for shown in film[::every]]
    frames.append(resize(moment.image, FILM_SIZE))
    files = {
        f"{stem}.png": encode(moment.image, "PNG"),
        f"{stem}.gif": encode_gif(frames),
        f"{stem}.json": write_recipe(moment.moves, moment.iteration),
    }
    if scene.region is not None:
        files[f"{stem}-region.png"] = write_region(scene.region)
    return files | {f"{stem}-{what}": content for what, content in brought.items()}


def home_folder() -> str:
    """Name the folder for results: here, or at home where nothing may be written."""
    return "results" if os.access(".", os.W_OK) else "~/results"


def write_files(folder: str, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder, which is made if it is not there.

    Args:
        folder: its path.
        files: {name: content}.

    Returns:
        The folder.

    Raises:
        InputError: it cannot be made, or a file cannot be written.
    """
    place = Path(os.path.expanduser(folder or "."))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{place}: {why}; choose another folder") from error
    for name, content in files.items():
        write_file(place / name, content)
    return place


def read_brought(recipe: Path) -> dict[str, bytes]:
    """Read the pictures that were packed beside a recipe.

    Args:
        recipe: its file.

    Returns:
        {"photo…" or "painting…": content}, by the name of each file.

    Raises:
        InputError: one cannot be read.
    """
    found = {}
    for kind in ("photo", "painting"):
        for path in sorted(recipe.parent.glob(f"{glob.escape(recipe.stem)}-{kind}*")):
            try:
                found[path.name.removeprefix(f"{recipe.stem}-")] = path.read_bytes()
            except OSError as error:
                line = f"{path}: cannot be read: {error.strerror}"
                raise InputError(line) from error
    return found
