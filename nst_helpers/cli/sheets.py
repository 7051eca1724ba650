"""The command line where it paints many pictures: several photos, a contact sheet."""

import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..files import InputError, look
from ..images import FORMATS, check_ending, load_with_alpha, save_image
from ..pixels import fit_mask
from ..settings import Settings
from ..sheet import Cell, contact_sheet, process_pool, show_sheet
from .options import LARGE, MORE, Parser, add_settings, change, choose_settings
from .paint import draw, paint, save_recipe, shrink
from .places import expand, try_to_write

ALONE = "triptych", "frames", "gif", "checkpoint", "picture"  # options of one photo
PIXELS = 50e6  # of a whole sheet, at most


def paint_photos(options: argparse.Namespace) -> int | None:
    """Paint one photo, or several into a folder, by their names; 1 if some failed."""
    if len(options.photos) == 1:
        return paint(options)
    for name in filter(vars(options).get, ALONE):
        option = "start" if name == "picture" else name
        raise InputError(f"--{option} is for one photo; leave it out")
    settings = choose_settings(options)
    folder, photos = Path(expand("out", options.out)), {}
    paintings = [Path(name).expanduser() for name in options.paintings]
    folder.mkdir(exist_ok=True)
    try_to_write(folder)
    for photo in (Path(name).expanduser() for name in options.photos):
        name = photo.name if photo.suffix.lower() in FORMATS else f"{photo.name}.png"
        if name in photos:
            raise InputError(f"{photo}: another one has this name; choose one of them")
        photos[name] = photo
    there = {name for name in photos if look(folder / name)}
    for name, other in product(there, [*photos.values(), *paintings]):
        if look(other) and os.path.samefile(folder / name, other):
            raise InputError(f"{folder}: {other} lies there; name another folder")
    if there and not options.yes:
        line = f"{len(there)} of {len(photos)} there already; --yes paints them anew"
        print(f"{folder}: {line}", file=sys.stderr)
        photos = {name: photos[name] for name in photos if name not in there}
    cells, failed = contact_sheet(photos, {"": paintings}, [settings]), False
    for cell in _watch(cells, len(photos)):
        if cell.error:
            failed = True
            continue
        try:
            _, alpha = load_with_alpha(photos[cell.photo], settings.size)
            alpha = None if alpha is None else fit_mask(alpha, cell.image)
            save_image(cell.image, folder / cell.photo, alpha)
        except InputError as error:  # the others may be painted yet
            failed = True
            tqdm.write(f"nst_helpers: {error}", file=sys.stderr)
    if options.recipe:
        save_recipe(settings, options)
    print(folder)
    return int(failed)


def paint_sheet(arguments: list[str] | None = None) -> int:
    """Paint and draw a contact sheet; 1 if some of its pictures failed."""
    parser = Parser(prog="python -m nst_helpers.sheet", description=__doc__)
    add = parser.add_argument
    add("photos", metavar="PHOTO", nargs="+", help="give the content")
    what = "give the style; recipes that mix take all of them at once"
    add("--paintings", metavar="PAINTING", nargs="+", required=True, help=what)
    what = "files of settings, each a picture; instead of the defaults"
    add("--recipes", metavar="FILE", nargs="+", default=[], help=what)
    what = "a picture for each; may be repeated. Layers: conv1_1+conv2_1"
    add("--vary", metavar="SETTING=A,B,...", action="append", default=[], help=what)
    add("-o", "--out", metavar="SHEET", required=True, help="the picture to write")
    what = "keeps what is finished, to go on from. Default: SHEET without its ending"
    add("--into", metavar="DIR", help=what)
    add("--workers", metavar="N", type=int, default=1, help="processes. Default: 1")
    add("--dask", metavar="tcp://HOST:PORT", help="a Dask scheduler, instead")
    add("--yes", action="store_true", help="overwrite SHEET")
    add_settings(parser)
    options = parser.parse_args(arguments)
    check_ending(options.out)
    if look(options.out) and not options.yes:
        raise InputError(f"{options.out}: there already; name another, or add --yes")
    into = Path(options.into or Path(options.out).with_suffix(""))
    bases = {Path(name).stem: Settings.load(name) for name in options.recipes}
    varied, recipes = [_read_values(text) for text in options.vary], {}
    for (name, base), *values in product((bases or {"": LARGE}).items(), *varied):
        words = [name, *(f"{key} {value}" for key, value in values)]
        try:
            recipes[", ".join(words)] = change(base, options, **dict(values))
        except InputError as error:
            raise InputError(f"{name}: {error}" if name else str(error)) from None
    keys = {values[0][0] for values in varied}
    if len(bases) < len(options.recipes) or len(keys) < len(varied):
        raise InputError("two recipes have one name, or a setting is varied twice")
    paintings = options.paintings
    if any(settings.mix for settings in recipes.values()):
        paintings = {"": paintings}
    count = len(options.photos) * len(paintings) * len(recipes)
    recipes = recipes if bases else list(recipes.values())
    into.mkdir(parents=True, exist_ok=True)
    try_to_write(into)
    try_to_write(options.out)
    side, cells = (PIXELS / count) ** 0.5, []
    with _workers(options) as executor:
        sheet = contact_sheet(options.photos, paintings, recipes, executor, into)
        for cell in _watch(sheet, count):
            image = None if cell.image is None else shrink(cell.image, side)
            cells.append(dataclasses.replace(cell, image=image))
    painted = [cell.image.shape[3] for cell in cells if cell.image is not None]
    if not painted:
        line = f"{options.out}: not drawn; all {count} pictures failed, as said above"
        print(f"nst_helpers: {line}", file=sys.stderr)
        return 1
    figure = show_sheet(cells)
    width, height = figure.get_size_inches()
    widest = max(painted) * figure.axes[0].get_gridspec().ncols
    dpi = min(max(100, widest / width), (PIXELS / width / height) ** 0.5)
    draw(figure, options.out, dpi)
    print(options.out)
    return int(len(painted) < count)


def _read_values(text: str) -> list[tuple[str, Any]]:
    """Read --vary: (setting, value) for each value."""
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if not values or name not in vars(LARGE):
        raise InputError(f"--vary {text}: say SETTING=A,B,... with a setting's name")
    values = values.split(",")
    if name.endswith("_layers"):
        return [(name, dict.fromkeys(value.split("+"), 1.0)) for value in values]
    read = MORE.get(name, {}).get("type", type(getattr(LARGE, name)))
    try:
        return [(name, read(value)) for value in values]
    except ValueError as error:
        raise InputError(f"--vary {text}: {error}") from None


@contextmanager
def _workers(options: argparse.Namespace) -> Iterator[Executor | None]:
    """Have what does the jobs, as long as it takes."""
    if options.dask and options.workers != 1:
        raise InputError("--workers does nothing beside --dask; leave it out")
    if options.dask:
        try:
            from dask.distributed import Client

            client = Client(options.dask, timeout=10)
        except ImportError:
            line = "--dask needs Dask: pip install 'nst_helpers[cluster]'"
            raise InputError(line) from None
        except (OSError, ValueError) as error:
            line = f"{options.dask}: no scheduler answers ({error}); is it running?"
            raise InputError(line) from None
        with client:
            # Of what goes wrong there, a line of ours will tell.
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
            cores = sum(client.nthreads().values())
            line = f"no worker yet; start some: dask worker {options.dask}"
            line = f"{cores} pictures at a time" if cores else line
            print(f"{options.dask}: {line}", file=sys.stderr)
            yield client.get_executor()
    elif options.workers != 1:
        with process_pool(options.workers) as pool:
            yield pool
    else:
        yield None


def _watch(cells: Iterator[Cell], count: int) -> Iterator[Cell]:
    """Show how far all are, and the time left; tell what fails, each line once."""
    said = {""}
    with tqdm(total=count, unit="picture", smoothing=0) as bar:
        for cell in cells:
            bar.initial += cell.kept or not cell.seconds  # no time of the others'
            bar.update()
            if cell.error not in said:
                bar.write(f"nst_helpers: {cell.error}", file=sys.stderr)
            said.add(cell.error)
            yield cell
