import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import dask
import distributed
import numpy as np
import pytest
import torch
from conftest import IMAGES, TINY
from matplotlib.text import Text

from nst_helpers import (
    InputError,
    Settings,
    StyleTransfer,
    load_image,
    save_image,
    stylize,
)
from nst_helpers.__main__ import main
from nst_helpers.cli.process import report
from nst_helpers.cli.sheets import paint_sheet
from nst_helpers.optimizers import OPTIMIZERS
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
GONE = "the workers are gone, or their scheduler .*; say the same again: .* is in "


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each worker has
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def painted(one_thread):
    return list(contact_sheet(*SHEET))


@pytest.fixture(scope="module")
def pool():
    with process_pool(2, threads=1) as pool:
        yield pool


@pytest.fixture(scope="module")
def cluster():
    before = dict(os.environ)  # Dask leaves there what its workers shall find
    quiet = {"dashboard_address": None, "host": "127.0.0.1"}
    with dask.config.set({"distributed.comm.timeouts.connect": "3s"}):
        with distributed.LocalCluster(2, threads_per_worker=1, **quiet) as made:
            for nanny in made.workers.values():
                nanny.auto_restart = False  # the worker that is killed stays away
            yield made
    os.environ.clear()
    os.environ.update(before)


def assert_same(cells, others):
    cells = sorted(cells, key=lambda cell: cell.place)
    for a, b in zip(cells, others, strict=True):
        same = replace(a, image=None, seconds=0, kept=False)
        assert vars(same) == vars(replace(b, image=None, seconds=0, kept=False))
        assert torch.equal(a.image, b.image)


def test_a_sheet_holds_what_stylize_paints(painted):
    assert [cell.place for cell in painted] == list(range(24))
    assert len({cell.image.numpy().tobytes() for cell in painted}) == 24
    for cell in painted[3], painted[16]:
        photo = to_bytes(load_image(IMAGES / "content" / f"{cell.photo}.jpg", 32))
        painting = to_bytes(load_image(IMAGES / "style" / f"{cell.painting}.jpg", 32))
        image = stylize(photo, painting, cell.settings)
        np.testing.assert_array_equal(to_bytes(image), to_bytes(cell.image))
        weights = {"content": 1.0, "style": cell.settings.style_weight, "tv": 0.3}
        total = sum(weights[name] * cell.losses[name] for name in weights)
        assert cell.losses["total"] == pytest.approx(total, rel=0.02)
        assert cell.seconds > 0


@pytest.mark.long
def test_two_processes_paint_the_same(painted, pool):
    assert_same(contact_sheet(*SHEET, pool), painted)
    assert pool.submit(torch.get_num_threads).result() == 1
    assert pool.submit(os.getenv, "OMP_WAIT_POLICY").result() == "PASSIVE"


@pytest.mark.long
def test_dask_paints_the_same_and_a_killed_worker_costs_one_job(painted, cluster):
    from distributed.diagnostics.plugin import SchedulerPlugin

    class Count(SchedulerPlugin):
        done = []

        def transition(self, key, start, finish, *_, **__):
            if (start, finish) == ("processing", "memory"):
                self.done.append(key)

    with cluster.get_client() as client:
        cluster.scheduler.add_plugin(Count())
        cells = contact_sheet(*SHEET, client.get_executor())
        first = [next(cells) for _ in range(3)]
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        assert_same([*first, *cells], painted)
    assert len(set(Count.done)) == 24 and len(Count.done) <= 25


@pytest.mark.long
def test_a_scheduler_that_is_gone_is_one_line(painted, cluster, tmp_path):
    with cluster.get_client() as client:
        cells = contact_sheet(*SHEET, client.get_executor(), tmp_path)
        next(cells)
        cluster.close()
        with pytest.raises(InputError, match=GONE):
            list(cells)
    assert 1 <= len(list(tmp_path.glob("*.json"))) < 24


@pytest.mark.long
def test_a_broken_pool_is_one_line_and_the_sheet_goes_on(painted, pool, tmp_path):
    cells = contact_sheet(*SHEET, pool, tmp_path)
    next(cells)
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    for rest in cells, contact_sheet(*SHEET, pool, tmp_path):
        with pytest.raises(InputError, match=GONE):  # the pool stays broken
            list(rest)
    kept = len(list(tmp_path.glob("*.json")))
    again = list(contact_sheet(*SHEET, None, tmp_path))
    assert sum(cell.kept for cell in again) == kept >= 1
    assert_same(again, painted)


def test_a_sheet_broken_off_goes_on(plain, tmp_path):
    sheet = PHOTOS[:1], PAINTINGS, RECIPES[:2], None, tmp_path
    cells = contact_sheet(*sheet)
    first = [next(cells), next(cells)]
    cells.close()
    second = list(contact_sheet(*sheet))
    assert [cell.kept for cell in second] == [True, True, False, False]
    assert_same(second[:2], first)
    one, two, *_ = sorted(tmp_path.glob("*.json"))
    one.write_text("{")  # cut off
    two.with_suffix(".png").unlink()
    third = list(contact_sheet(*sheet))
    assert sum(cell.kept for cell in third) == 2
    assert_same(third, second)
    assert not any(c.kept for c in contact_sheet(PHOTOS[1:2], *sheet[1:]))
    others = [replace(recipe, steps=3) for recipe in RECIPES[:2]]
    assert not any(c.kept for c in contact_sheet(*sheet[:2], others, *sheet[3:]))


def test_what_fails_is_a_grey_field_with_its_line(plain):
    bad = {"good": PHOTOS[0], "none": "none.jpg", "noise": b"noise"}
    tiny = replace(TINY, scales=2)  # refused by the run itself
    cells = list(contact_sheet(bad, PAINTINGS[:1], [TINY, tiny]))
    assert [cell.image is None for cell in cells] == [False] + 5 * [True]
    assert "scales begin at" in cells[1].error and "none.jpg" in cells[2].error
    assert "not an image" in cells[4].error or "no image" in cells[4].error
    figure = show_sheet(cells)
    texts = [t.get_text().replace("\n", " ") for a in figure.axes for t in a.texts]
    assert any("no such file" in text for text in texts)
    grey = figure.axes[5].images[0].get_array()
    assert np.ptp(grey) == 0


def test_only_what_is_named_is_painted(plain):
    names = [("cat", "kandinsky_composition_viii", "1"), ("lake", "a mix", "0")]
    paintings = dict(zip((p.stem for p in PAINTINGS), PAINTINGS, strict=True))
    paintings["a mix"] = PAINTINGS
    cells = list(contact_sheet(PHOTOS, paintings, RECIPES[:2], only=names))
    assert [(c.photo, c.painting) for c in cells] == [name[:2] for name in names]
    assert [c.settings for c in cells] == [RECIPES[1], RECIPES[0]]
    assert "style 2" in cells[1].losses
    for k in range(3):
        wrong = [*names[0][:k], "none", *names[0][k + 1 :]]
        with pytest.raises(InputError, match="only .*none.*: name a photo"):
            next(contact_sheet(PHOTOS, paintings, RECIPES[:2], only=[wrong]))


def test_recipes_of_other_networks_and_scales_are_those_of_stylize(plain):
    recipes = [TINY, replace(TINY, pooling="max"), replace(TINY, style_scale=2.0)]
    for cell in contact_sheet(PHOTOS[:1], PAINTINGS[:1], recipes):
        side = round(32 * cell.settings.style_scale)
        painting = to_bytes(load_image(PAINTINGS[0], side))
        image = stylize(to_bytes(load_image(PHOTOS[0], 32)), painting, cell.settings)
        np.testing.assert_array_equal(to_bytes(image), to_bytes(cell.image))


def test_a_cell_is_the_best_picture_of_the_last_size(plain, monkeypatch):
    wild = functools.partial(torch.optim.Adam, lr=0.5)
    monkeypatch.setitem(OPTIMIZERS, "adam", wild)
    recipes = [replace(TINY, optimizer="adam", steps=8)]
    recipes += [replace(recipes[0], size=64, scales=2)]
    for cell in contact_sheet(PHOTOS[:1], PAINTINGS[:1], recipes):
        photo, painting = (
            to_bytes(load_image(x[0], cell.settings.size)) for x in (PHOTOS, PAINTINGS)
        )
        steps = list(StyleTransfer(photo, painting, cell.settings))
        last = [s for s in steps if s.image.shape == steps[-1].image.shape]
        best = min(last, key=lambda step: step.losses["total"])
        assert cell.losses == best.losses
        np.testing.assert_array_equal(to_bytes(best.image), to_bytes(cell.image))


def test_arrays_are_told_apart_by_a_number(plain):
    arrays = [to_bytes(load_image(photo, 32)) for photo in PHOTOS[:2]]
    cells = list(contact_sheet(arrays, PAINTINGS[:1], [TINY]))
    assert [cell.photo for cell in cells] == ["photo 1", "photo 2"]


def drawn(cells):
    """Return titles and labels at the left, of the fields with a picture."""
    axes = [axis for axis in show_sheet(cells).axes if axis.images]
    titles = [axis.get_title().replace("\n", " ") for axis in axes]
    labels = [axis.texts[-1].get_text().replace("\n", " ") for axis in axes]
    return titles, labels


def test_rows_and_columns_are_named_by_what_differs(painted):
    shuffled = painted[::-1]
    titles, labels = drawn(shuffled)
    assert titles[1] == "style weight 10, content layers conv2_2"
    assert titles[4:] == [""] * 20
    assert labels[0] == "cat, hokusai great wave" and labels[4].startswith("cat, kan")
    titles, labels = drawn([c for c in painted[:4]])
    assert titles == ["content layers conv1_1", "content layers conv2_2", "", ""]
    assert labels[0] == "style weight 10" and labels[2] == "style weight 1000"
    titles, _ = drawn(painted[:3])  # no table
    assert titles[2] == "style weight 1000, content layers conv1_1"
    named = [replace(cell, recipe=f"pupil {cell.place}") for cell in painted[:8]]
    assert drawn(named)[0][5] == "kandinsky composition viii, pupil 5"
    with pytest.raises(InputError, match="no pictures"):
        show_sheet([])


def test_names_are_no_formulas_and_two_are_two(plain, tmp_path):
    named = {"$x^$ and $y_$": PHOTOS[0], "bad\udcff": tmp_path / "p$^_$q.jpg"}
    cells = list(contact_sheet(named, PAINTINGS[:1], RECIPES[:2]))
    figure = show_sheet(cells)
    figure.savefig(tmp_path / "sheet.png")
    texts = " ".join(text.get_text() for text in figure.findobj(Text))
    assert r"\$x^\$" in texts and "bad?" in texts
    twins = ["x.jpg", "x.png", "x 2.jpg"]
    with pytest.raises(InputError, match="two photos have one name"):
        list(contact_sheet(twins, PAINTINGS))


def test_wrong_numbers_of_workers_are_refused():
    for given in ({"workers": 0}, {"workers": 2, "threads": 0}):
        with pytest.raises(InputError, match="from 1 to"):
            process_pool(**given)


SMALL = ["--size", "32", "--steps", "2", "--precision", "float32"]


def test_the_command_line_paints_a_sheet(plain, empty_folder, capsys):
    photos = [str(PHOTOS[0]), "none.jpg"]
    line = [*photos, "--paintings", *map(str, PAINTINGS), *SMALL, "-o", "sheet.png"]
    line += ["--vary", "style_weight=10,100", "--vary", "content-layers=conv2_2"]
    assert report(lambda: paint_sheet(line)) == 1
    said = capsys.readouterr()
    assert said.out == "sheet.png\n" and said.err.count("none.jpg") == 1
    assert "8/8" in said.err and len(os.listdir("sheet")) == 8
    before = load_image("sheet.png")
    assert report(lambda: paint_sheet(line)) == 2
    assert "there already" in capsys.readouterr().err
    assert report(lambda: paint_sheet([*line, "--yes"])) == 1
    assert torch.equal(load_image("sheet.png"), before)
    assert len(os.listdir("sheet")) == 8  # nothing painted anew


def failures(capsys):
    """Return lines on stderr, apart from the bar."""
    err = capsys.readouterr().err.replace("\r", "\n").splitlines()
    return [line for line in err if line.startswith("nst_helpers: ")]


def test_a_sheet_of_which_nothing_could_be_painted_says_so(
    plain, empty_folder, capsys, monkeypatch
):
    photo, painting = str(PHOTOS[0]), str(PAINTINGS[0])
    line = [photo, "--paintings", painting, *SMALL, "-o", "sheet.png"]
    line += ["--vary", "style_weight=10,100"]
    last = "nst_helpers: sheet.png: not drawn; all 2 pictures failed, as said above"
    assert report(lambda: paint_sheet(["none.jpg", *line[1:]])) == 1
    said = failures(capsys)
    assert len(said) == 2 and "none.jpg: no such file" in said[0] and said[1] == last
    monkeypatch.setattr("nst_helpers.device.free_memory", lambda: 1e8)
    assert report(lambda: paint_sheet(line)) == 1
    said = failures(capsys)
    assert len(said) == 2 and "0.1 GB are free" in said[0] and said[1] == last
    assert os.listdir() == ["sheet"] and not os.listdir("sheet")


def test_workers_that_die_at_their_start_are_one_line(
    empty_folder, capsys, monkeypatch
):
    monkeypatch.setattr("nst_helpers.sheet._set_up", os._exit)
    line = [str(PHOTOS[0]), "--paintings", str(PAINTINGS[0]), *SMALL, "-o", "sheet.png"]
    assert report(lambda: paint_sheet([*line, "--workers", "2"])) == 2
    (said,) = failures(capsys)
    assert "the workers are gone, or their scheduler (BrokenProcessPool); say" in said


def test_recipes_of_the_wall_become_a_poster(plain, empty_folder, capsys):
    for name, share in (("ann", 0.0), ("bob", 0.5)):
        Settings(mix=(1 - share, share), size=48, steps=2).save(f"{name}.json")
    line = [str(PHOTOS[0]), "--paintings", *map(str, PAINTINGS), "-o", "poster.jpg"]
    line += ["--recipes", "ann.json", "bob.json", "--size", "32", "--into", "kept"]
    assert report(lambda: paint_sheet(line)) == 0
    assert len(os.listdir("kept")) == 4 and load_image("poster.jpg").shape[3] > 64
    Settings(size=48, steps=2).save("cem.json")  # mixes nothing: all alike
    line += ["--yes", "cem.json"]
    line.insert(line.index("ann.json"), line.pop())
    assert report(lambda: paint_sheet(line)) == 0
    assert len(os.listdir("kept")) == 6
    os.mkdir("b")
    Settings(steps=1).save("b/ann.json")
    for more, said in ((["--scales", "3"], "cem: 3 scales"), (["b/ann.json"], "two")):
        where = line.index("ann.json") if more[0] == "b/ann.json" else len(line)
        capsys.readouterr()
        wrong = [*line[:where], *more, *line[where:]]
        assert report(lambda wrong=wrong: paint_sheet(wrong)) == 2
        assert said in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="signals of a terminal")
@pytest.mark.parametrize("begun", [False, True])
def test_ctrl_c_ends_two_processes_in_mid_picture(empty_folder, begun):
    line = [sys.executable, "-m", "nst_helpers.sheet", *map(str, PHOTOS), "--size=256"]
    line += [
        "--paintings",
        str(PAINTINGS[0]),
        "--vary=style_weight=1,10",
        "-o",
        "x.png",
    ]
    told = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    run = subprocess.Popen([*line, "--workers=2"], **told)
    time.sleep(5)  # the two are starting
    end = time.monotonic() + 120
    while begun and not list(Path("x").glob("*.json")):
        assert time.monotonic() < end
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130 and "Traceback" not in err, err


@pytest.mark.parametrize(
    "wrong, said",
    [
        ("--vary nothing=1,2", "--vary nothing=1,2: say SETTING=A,B"),
        ("--vary steps", "--vary steps: say SETTING=A,B"),
        ("--vary steps=1,x", "--vary steps=1,x: "),
        ("--vary steps=0", "steps is a whole number"),
        ("--vary content_layers=conv9_9", "conv9_9"),
        ("--size photo", "--size photo is for one photo"),
        ("--recipes none.json", "none.json"),
        ("--workers 0", "workers"),
        ("--workers 2 --dask tcp://127.0.0.1:9", "--workers does nothing beside"),
        ("--vary steps=1,2 --vary steps=3", "a setting is varied twice"),
        ("-o sheet.psd", "sheet.psd"),
    ],
)
def test_a_wrong_sheet_is_one_line(empty_folder, capsys, wrong, said):
    line = [str(PHOTOS[0]), "--paintings", str(PAINTINGS[0]), "-o", "sheet.png"]
    assert report(lambda: paint_sheet([*line, *wrong.split()])) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1


@pytest.mark.long
def test_no_scheduler_is_one_line(empty_folder, capsys):
    test_a_wrong_sheet_is_one_line(
        None, capsys, "--dask tcp://127.0.0.1:9", ":9: no scheduler answers"
    )


def test_several_photos_keep_their_names(plain, empty_folder, capsys):
    save_image(load_image(PHOTOS[1]), "a.b.webp")
    photos = [str(PHOTOS[0]), "none.jpg", "a.b.webp"]
    line = [*photos, str(PAINTINGS[0]), *SMALL, "-o", "out"]
    assert main(line) == 1
    said = capsys.readouterr()
    assert said.out == "out\n" and said.err.count("none.jpg") == 1 and "3/3" in said.err
    assert sorted(os.listdir("out")) == ["a.b.webp", "cat.jpg"]
    assert load_image("out/cat.jpg").shape[3] == 32
    os.remove("out/cat.jpg")
    os.mkdir("out/cat.jpg")  # no file can take its place; the rest goes on
    os.remove("out/a.b.webp")
    assert main([photos[0], *line[2:], "--yes"]) == 1
    assert sorted(os.listdir("out")) == ["a.b.webp", "cat.jpg"]
    assert "out/cat.jpg: cannot be written" in capsys.readouterr().err
    os.rmdir("out/cat.jpg")
    assert main([photos[0], *line[2:]]) == 0
    said = capsys.readouterr().err
    assert "1 of 2 there already" in said and "1/1" in said
    assert sorted(os.listdir("out")) == ["a.b.webp", "cat.jpg"]


@pytest.mark.parametrize(
    "more, said",
    [
        ("--gif a.gif -o out", "--gif is for one photo"),
        (f"--start {PAINTINGS[0]} -o out", "--start is for one photo"),
        ("--size photo -o out", "--size photo is for one photo"),
        (f"{PHOTOS[0]} -o out", "another one has this name"),
        (f"-o {PHOTOS[0].parent}", "name another folder"),
        (f"-o {PHOTOS[0]}", "cat.jpg"),
    ],
)
def test_several_photos_are_refused_in_one_line(empty_folder, capsys, more, said):
    first, *rest = more.split()
    photos = [str(x) for x in PHOTOS[:2]]
    extra = [first] if not first.startswith("-") else []
    line = [*photos, *extra, str(PAINTINGS[0]), *(rest if extra else [first, *rest])]
    assert main(line) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert load_image(PHOTOS[0]).shape[2] > 100
