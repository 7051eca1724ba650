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
from itertools import product, takewhile
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..cli.process import undisturbed
from ..device import Network, load_network, pick_device
from ..files import InputError, check_number, write_file
from ..images import Picture, encode, load_image, load_with_alpha
from ..limits import keep_freed_memory
from ..pixels import to_bytes
from ..settings import Settings
from ..transfer import StyleTransfer
from .show import Cell
from .show import show_sheet as show_sheet

Pictures = Sequence[Picture] | Mapping[str, Picture | Sequence[Picture]]
AHEAD = 256  # jobs handed over before they are done: more would only fill the memory
GONE = futures.BrokenExecutor, futures.CancelledError
KEPT = threading.local()  # networks compute for one thread at a time; _Pool.is_left


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
        InputError: the workers are gone, the folder cannot be written, or a name in
            only is unknown.
    """
    photos, paintings = _name(photos, "photo"), _name(paintings, "painting")
    is_named = isinstance(recipes, Mapping)
    recipes = recipes if is_named else {str(n): x for n, x in enumerate(recipes)}

    @lru_cache(maxsize=64)  # mostly the next job has the same ones
    def read(what: str, name: str, size: int) -> tuple[np.ndarray, ...]:
        found = photos[name] if what == "photo" else paintings[name]
        found = found if isinstance(found, list | tuple) else [found]
        more = f"the {what}", what == "photo"  # a painting is never enlarged
        return tuple(to_bytes(load_with_alpha(x, size, *more)[0]) for x in found)

    def prepare() -> Iterator[tuple[Cell, Path | None, tuple[Any, ...]]]:
        """Make the jobs; a cell without one is done."""
        names = product(photos, paintings, recipes) if only is None else only
        for place, (photo, painting, recipe) in enumerate(names):
            if not (photo in photos and painting in paintings and recipe in recipes):
                line = "name a photo, a painting and a recipe that are given"
                raise InputError(f"only {photo}, {painting}, {recipe}: {line}")
            settings = recipes[recipe]
            cell = Cell(place, photo, painting, recipe if is_named else "", settings)
            largest = round(settings.size * max(1, settings.style_scale))
            try:
                pictures = read("photo", photo, settings.size)
                pictures += read("painting", painting, largest)
            except InputError as error:
                line = " ".join(str(error).split())
                yield replace(cell, error=line), None, ()
                continue
            job = settings.to_json(), *pictures
            all_of_it = [job[0], *((x.shape, x.tobytes()) for x in pictures)]
            key = hashlib.sha256(repr(all_of_it).encode()).hexdigest()[:32]
            file = None if into is None else Path(into, key)
            found = file and _find(cell, file)
            yield (found, None, ()) if found else (cell, file, job)

    submit, ahead = (executor.submit, AHEAD) if executor else (_do, 1)
    todo, running = prepare(), {}
    try:
        while True:
            for cell, file, job in todo:
                if job:
                    running[submit(_paint, *job)] = cell, file
                else:
                    yield cell
                if len(running) >= ahead:
                    break
            if not running:
                return
            for future in futures.wait(running, None, futures.FIRST_COMPLETED).done:
                yield _finish(future, *running.pop(future))
    except GONE as error:
        line = f"the workers are gone, or their scheduler ({type(error).__name__}); "
        line += "say the same again"
        line += f": what is finished is in {into}" if into else ""
        raise InputError(line) from None
    finally:
        for future in running:
            future.cancel()
        vars(KEPT).clear()  # of this thread


class _Pool(futures.ProcessPoolExecutor):
    """Let a picture that is being painted be the last when it is left."""

    def __init__(self, workers: int, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # OpenMP does not survive a fork
        self.is_left = context.Event()
        super().__init__(workers, context, _set_up, (threads, self.is_left))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        self.is_left.set()
        super().shutdown(wait, cancel_futures=cancel_futures)


def process_pool(workers: int, threads: int | None = None) -> futures.Executor:
    """Make an executor of processes, for contact_sheet.

    A script that does so at its top level needs `if __name__ == "__main__":` before.

    Args:
        workers: processes, 1 to 1024; each holds about a gigabyte at 512 pixels.
        threads: that each computes with; its share of this process's if left out.

    Returns:
        The executor; leave it by `with`, or shut it down: what is not finished then is
        given up.

    Raises:
        InputError: a number out of its range.
    """
    workers = check_number("workers", workers, 1, 1024)
    share = max(1, torch.get_num_threads() // workers) if threads is None else threads
    share = check_number("threads", share, 1, 1024)
    pool = _Pool(workers, share)
    with undisturbed():  # Ctrl-C is for this process; they do not hear it, from birth
        for _ in range(workers):
            pool.submit(os.getpid)
    return pool


def _do(act: Callable[..., Any], *given: Any) -> futures.Future:
    """Do a job here and now, as an executor would."""
    future = futures.Future()
    try:
        future.set_result(act(*given))
    except Exception as error:
        future.set_exception(error)
    return future


def _set_up(threads: int, is_left: Event) -> None:
    """Prepare a process of the pool, which shall end with the one that made it."""
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    KEPT.is_left = is_left
    made_by = multiprocessing.parent_process()
    follow = threading.Thread(target=lambda: (made_by.join(), os._exit(1)), daemon=True)
    follow.start()


def _paint(
    recipe: str, photo: np.ndarray, *paintings: np.ndarray
) -> tuple[np.ndarray, dict[str, float], float]:
    """Do a job, wherever that is; return picture, (H, W, 3), its losses and seconds."""
    began = time.perf_counter()
    keep_freed_memory()
    settings = Settings.from_json(recipe.encode())
    network = _network(settings)
    run = StyleTransfer(photo, list(paintings), settings, network=network)
    steps = takewhile(lambda _: not _is_left(), run)
    # Coarse to fine: a larger picture counts more than a lower loss.
    best = max(steps, key=lambda s: (s.image.numel(), -s.losses["total"]), default=None)
    if _is_left():
        raise futures.CancelledError
    if best is None:
        raise InputError("the loss is no number from the start; try other weights")
    return to_bytes(best.image), best.losses, time.perf_counter() - began


def _is_left() -> bool:
    """Tell whether nobody waits any more for what this process paints."""
    return "is_left" in vars(KEPT) and KEPT.is_left.is_set()


def _network(settings: Settings) -> Network:
    """Make the network of a run, unless that of the thread's last run fits."""
    names = "weights", "pooling", "padding", "seed", "device", "precision"
    kind = [getattr(settings, name) for name in names]
    if vars(KEPT).get("kind") != kind:
        network = load_network(settings, pick_device(settings.device))
        vars(KEPT).update(network=network, kind=kind)
    return KEPT.network


def _finish(future: futures.Future, cell: Cell, file: Path | None) -> Cell:
    """Put into a cell what its job has brought, and keep it; or why it has failed."""
    error = future.exception()
    if isinstance(error, GONE):
        raise error
    if error:
        line = " ".join(str(error).split()) or type(error).__name__
        if type(error).__name__ == "KilledWorker":  # Dask's, which may not be here
            line = "its workers died, as for want of memory: give them fewer threads "
            line += "(--nthreads 1), or choose a smaller size"
        return replace(cell, error=line)
    pixels, losses, seconds = future.result()
    told = {"losses": losses, "seconds": seconds}
    cell = replace(cell, image=load_image(pixels), **told)
    if file:
        told |= {"photo": cell.photo, "painting": cell.painting}
        told["recipe"] = json.loads(cell.settings.to_json())
        write_file(file.with_suffix(".png"), encode(cell.image, "PNG"))
        write_file(file.with_suffix(".json"), json.dumps(told, indent=1).encode())
    return cell


def _find(cell: Cell, file: Path) -> Cell | None:
    """Read what was kept, if it is there and whole."""
    try:
        told = json.loads(file.with_suffix(".json").read_bytes())
        image = load_image(file.with_suffix(".png"))
        known = {name: told[name] for name in ("losses", "seconds")}
        return replace(cell, image=image, kept=True, **known)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # paint it (again)


def _name(pictures: Pictures, kind: str) -> dict[str, Picture | Sequence[Picture]]:
    """Name pictures: files as they are, with a number if that is not the only one."""
    if isinstance(pictures, Mapping):
        return dict(pictures)
    file = str | os.PathLike
    names = [Path(x).stem if isinstance(x, file) else kind for x in pictures]
    numbered = enumerate(zip(names, pictures, strict=True), 1)
    named = {n if names.count(n) == 1 else f"{n} {k}": x for k, (n, x) in numbered}
    if len(named) < len(names):
        raise InputError(f"two {kind}s have one name; rename one")
    return named
