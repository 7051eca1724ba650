import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import IMAGES, TINY

from nst_helpers import InputError, Settings, load_image, stylize
from nst_helpers.__main__ import main
from nst_helpers.cli.process import report
from nst_helpers.cli.sheets import paint_sheet
from nst_helpers.pixels import to_bytes
from nst_helpers.sheet import contact_sheet, process_pool, show_sheet

PHOTOS = [IMAGES / "content" / f"{name}.jpg" for name in ("cat", "lake", "spices")]
PAINTINGS = [
    IMAGES / "style" / f"{name}.jpg"
    for name in ("hokusai_great_wave", "kandinsky_composition_viii")
]
RECIPES = [
    replace(TINY, style_weight=weight, content_layers={layer: 1.0})
    for weight in (10.0, 1000.0)
    for layer in ("conv1_1", "conv2_2")
]
SHEET = PHOTOS, PAINTINGS, RECIPES  # 24 pictures
LONGER = PHOTOS, PAINTINGS, [replace(r, size=64, steps=12) for r in RECIPES]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pool():
    with process_pool(2, threads=1) as pool:
        yield pool


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("dask.distributed")
    plain = {"dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(2, threads_per_worker=1, **plain) as cluster:
        yield cluster


def by_place(cells):
    return sorted(cells, key=lambda cell: cell.place)


def assert_same(some, others):
    for a, b in zip(by_place(some), by_place(others), strict=True):
        names = a.photo, a.painting, a.recipe, a.settings, a.error
        assert names == (b.photo, b.painting, b.recipe, b.settings, b.error)
        assert a.losses == b.losses and torch.equal(a.image, b.image)


@pytest.fixture(scope="module")
def painted():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield list(contact_sheet(*SHEET))
    torch.set_num_threads(threads)


def test_a_sheet_holds_what_stylize_paints(painted):
    assert [cell.place for cell in painted] == list(range(24))
    assert len({cell.image.numpy().tobytes() for cell in painted}) == 24
    for cell in painted[3], painted[16]:
        photo = to_bytes(load_image(IMAGES / "content" / f"{cell.photo}.jpg", 32))
        painting = to_bytes(load_image(IMAGES / "style" / f"{cell.painting}.jpg", 32))
        image = stylize(photo, painting, cell.settings)
        np.testing.assert_array_equal(to_bytes(image), to_bytes(cell.image))
        total = {"content": 1.0, "style": cell.settings.style_weight, "tv": 0.3}
        sum_ = sum(total[name] * cell.losses[name] for name in total)
        assert cell.losses["total"] == pytest.approx(sum_, rel=0.01)
        assert cell.seconds > 0


def test_two_processes_paint_the_same(painted, pool):
    assert_same(contact_sheet(*SHEET, pool), painted)
    assert pool.submit(torch.get_num_threads).result() == 1
    assert pool.submit(os.getenv, "OMP_WAIT_POLICY").result() == "PASSIVE"


def test_dask_paints_the_same(painted, cluster):
    with cluster.get_client() as client:
        assert_same(contact_sheet(*SHEET, client.get_executor()), painted)


def test_a_killed_dask_worker_costs_one_job(painted, cluster, tmp_path):
    from distributed.diagnostics.plugin import SchedulerPlugin

    class Count(SchedulerPlugin):
        done = []

        def transition(self, key, start, finish, *_, **__):
            if (start, finish) == ("processing", "memory"):
                self.done.append(key)

    with cluster.get_client() as client:
        cluster.scheduler.add_plugin(Count())
        cells = contact_sheet(*SHEET, client.get_executor(), tmp_path)
        first = [next(cells) for _ in range(3)]
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        assert_same([*first, *cells], painted)
    assert len(set(Count.done)) == 24 and len(Count.done) <= 25


def test_a_scheduler_that_is_gone_is_one_line(painted, cluster, tmp_path):
    with cluster.get_client() as client:
        cells = contact_sheet(*SHEET, client.get_executor(), tmp_path)
        next(cells)
        cluster.close()
        with pytest.raises(InputError, match="the workers are gone .* in ") as refused:
            list(cells)
    assert "\n" not in str(refused.value)
    kept = len(list(tmp_path.glob("*.png")))
    again = list(contact_sheet(*SHEET, None, tmp_path))
    assert sum(cell.kept for cell in again) == kept >= 1
    assert_same(again, painted)


def test_a_broken_pool_is_one_line(painted, pool, tmp_path):
    cells = contact_sheet(*SHEET, pool, tmp_path)
    next(cells)
    os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
    with pytest.raises(InputError, match="the workers are gone .* in "):
        list(cells)
    with pytest.raises(InputError, match="the workers are gone .* in "):
        list(contact_sheet(*SHEET, pool, tmp_path))
    kept = len(list(tmp_path.glob("*.png")))
    again = list(contact_sheet(*SHEET, None, tmp_path))
    assert sum(cell.kept for cell in again) == kept >= 1
    assert_same(again, painted)
