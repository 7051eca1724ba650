"""Many pictures at once: each photo after each painting by each recipe, on one sheet.

The runs are independent, so whatever has the interface of concurrent.futures.Executor
does them: processes on the cores of this computer, or Dask on those of many.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..files import InputError, check_number, write_file
from ..images import Picture, encode, load_image, load_with_alpha
from ..pixels import to_bytes
from ..run import KEPT, OneOfMany
from ..settings import Settings
from .show import Cell
from .show import show_sheet as show_sheet

Pictures = Sequence[Picture] | Mapping[str, Picture | Sequence[Picture]]
AHEAD = 256  # jobs handed over before they are done: more would only fill the memory
GONE = futures.BrokenExecutor, futures.CancelledError


def contact_sheet(
    photos: Pictures,
    paintings: Pictures,
    recipes: Sequence[Settings] | Mapping[str, Settings] = (Settings(),),
    executor: futures.Executor | None = None,
    into: str | os.PathLike | None = None,
    only: Iterable[tuple[str, str, str]] | None = None,
) -> Iterator[Cell]:
    """Paint every photo after every painting by every recipe.

    Args:
        photos: pictures that load_image takes, or {name: picture}.
        paintings: likewise; a list in the place of a picture is mixed.
        recipes: settings, or {name: settings}.
        executor: None: paint here, one after the other; process_pool(): on the cores;
            dask.distributed.Client(...).get_executor(): on a cluster.
        into: a folder that keeps what is finished, each picture with a JSON beside it,
            named by a hash of recipe and pictures: what lies there is not painted anew.
        only: (photo, painting, recipe) by their names, if not every combination;
            recipes without a name are "0", "1", ...

    Yields:
        Each Cell when it is done. What cannot be painted says why, the rest goes on.

    Raises:
        InputError: the workers are gone, or the folder cannot be written.
    """
    photos, paintings = _name(photos, "photo"), _name(paintings, "painting")
    numbered = {str(n): settings for n, settings in enumerate(recipes)}
    recipes = recipes if isinstance(recipes, Mapping) else numbered

    @lru_cache(maxsize=64)  # mostly the next job has the same ones
    def read(what: str, name: str, size: int) -> tuple[np.ndarray, ...]:
        found = photos[name] if what == "photo" else paintings[name]
        found = found if isinstance(found, list | tuple) else [found]
        more = f"the {what}", what == "photo"  # a painting is never enlarged
        return tuple(to_bytes(load_with_alpha(x, size, *more)[0]) for x in found)

    def prepare() -> Iterator[tuple[Cell, str, tuple[Any, ...]]]:
        names = product(photos, paintings, recipes) if only is None else only
        for place, (photo, painting, recipe) in enumerate(names):
            settings = recipes[recipe]
            named = "" if recipes is numbered else recipe
            cell = Cell(place, photo, painting, named, settings)
            largest = round(settings.size * max(1, settings.style_scale))
            try:
                (content,) = read("photo", photo, settings.size)
                job = settings.to_json(), content, *read("painting", painting, largest)
            except InputError as error:
                yield replace(cell, error=str(error)), "", ()
                continue
            key = hashlib.sha256(job[0].encode())
            for pixels in job[1:]:
                key.update(repr(pixels.shape).encode() + pixels.tobytes())
            found = into is not None and _find(cell, Path(into, key.hexdigest()[:32]))
            yield (found, "", ()) if found else (cell, key.hexdigest()[:32], job)

    submit, ahead = (executor.submit, AHEAD) if executor else (_do, 1)
    todo, running = prepare(), {}
    try:
        while True:
            for cell, key, job in todo:
                if job:
                    running[submit(_paint, *job)] = cell, key
                else:
                    yield cell
                if len(running) >= ahead:
                    break
            if not running:
                return
            for future in futures.wait(running, None, futures.FIRST_COMPLETED).done:
                cell, key = running.pop(future)
                cell = _finish(cell, future)
                if into is not None and cell.image is not None:
                    _keep(cell, Path(into, key))
                yield cell
    except GONE as error:
        again = "start them anew and say the same again"
        again += "" if into is None else f": what is finished is in {into}"
        line = f"the workers are gone ({type(error).__name__}); {again}"
        raise InputError(line) from None
    finally:
        for future in running:
            future.cancel()
        vars(KEPT).clear()  # of this thread


def process_pool(workers: int, threads: int | None = None) -> futures.Executor:
    """Make an executor of processes, for contact_sheet.

    A script that does so at its top level needs `if __name__ == "__main__":` before.

    Args:
        workers: processes, 1 to 1024; each holds about a gigabyte at 512 pixels.
        threads: that each computes with; its share of this process's if left out.

    Returns:
        The executor; leave it by `with`, or shut it down.

    Raises:
        InputError: a number out of its range.
    """
    workers = check_number("workers", workers, 1, 1024)
    share = max(1, torch.get_num_threads() // workers) if threads is None else threads
    share = check_number("threads", share, 1, 1024)
    # The children inherit it: threads that wait in a loop would take others' cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context = multiprocessing.get_context("spawn")  # OpenMP does not survive a fork
    return futures.ProcessPoolExecutor(workers, context, _set_up, (share,))


def _do(act: Callable[..., Any], *given: Any) -> futures.Future:
    """Do a job here and now, as an executor would."""
    future = futures.Future()
    try:
        future.set_result(act(*given))
    except Exception as error:
        future.set_exception(error)
    return future


def _set_up(threads: int) -> None:
    """Prepare a process of the pool, which shall end with the one that made it."""
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that made it
    made_by = multiprocessing.parent_process()
    follow = threading.Thread(target=lambda: (made_by.join(), os._exit(1)), daemon=True)
    follow.start()


def _paint(
    recipe: str, photo: np.ndarray, *paintings: np.ndarray
) -> tuple[np.ndarray, dict[str, float], float]:
    """Do a job, wherever that is; return picture, (H, W, 3), its losses and seconds."""
    began, best = time.perf_counter(), None
    settings = Settings.from_json(recipe.encode())
    for step in OneOfMany(photo, list(paintings), settings):
        grown = best is None or step.image.shape != best.image.shape
        if grown or step.losses["total"] <= best.losses["total"]:
            best = step
    if best is None:
        raise InputError("the loss is no number from the start; try other weights")
    return to_bytes(best.image), best.losses, time.perf_counter() - began


def _finish(cell: Cell, future: futures.Future) -> Cell:
    """Put into a cell what its job has brought, or why it has failed."""
    try:
        pixels, losses, seconds = future.result()
    except GONE:
        raise
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        return replace(cell, error=line)
    image = load_image(pixels)
    return replace(cell, image=image, losses=losses, seconds=seconds)


def _keep(cell: Cell, place: Path) -> None:
    """Write a picture, and then all else about it."""
    told = {"photo": cell.photo, "painting": cell.painting, "seconds": cell.seconds}
    told |= {"losses": dict(cell.losses), "recipe": json.loads(cell.settings.to_json())}
    write_file(place.with_suffix(".png"), encode(cell.image, "PNG"))
    write_file(place.with_suffix(".json"), json.dumps(told, indent=1).encode())


def _find(cell: Cell, place: Path) -> Cell | None:
    """Read what was kept, if it is there and whole."""
    try:
        told = json.loads(place.with_suffix(".json").read_bytes())
        image = load_image(place.with_suffix(".png"))
        known = {"losses": told["losses"], "seconds": told["seconds"]}
        return replace(cell, image=image, kept=True, **known)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # paint it (again)


def _name(pictures: Pictures, kind: str) -> dict[str, Picture | Sequence[Picture]]:
    """Name pictures: files as they are, with a number if that is not the only one."""
    if isinstance(pictures, Mapping):
        return dict(pictures)
    names = [
        Path(x).stem if isinstance(x, str | os.PathLike) else kind for x in pictures
    ]
    numbered = enumerate(zip(names, pictures, strict=True), 1)
    return {n if names.count(n) == 1 else f"{n} {k}": x for k, (n, x) in numbered}
