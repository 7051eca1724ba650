"""Hostile command lines, made up: options × places × files × what goes wrong."""

import dataclasses
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import without_rights
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_command_line import PAIR

from nst_helpers import InputError, Settings, load_image, save_image
from nst_helpers.__main__ import main
from nst_helpers.checkpoint import save_checkpoint
from nst_helpers.cli.places import WRITTEN

EXAMPLES = settings.default.max_examples  # of Hypothesis's profile
EXAMPLES = 50 if EXAMPLES == 100 else EXAMPLES
NOBODY = 65534


class Painted:
    """Stand in for StyleTransfer: paint at once, each step one grey all over.

    Args:
        photo, painting, settings: as those of StyleTransfer.
    """

    # Called before each step; the latest of them, and the last step done.
    happen = staticmethod(lambda iteration: None)
    last = done = None

    def __init__(self, photo, painting, settings=None, *_):
        self.photo, self.painting = photo, list(painting)
        self.settings = settings or Settings()
        self.image, self.iteration, self.precision = photo, -1, "float32"
        Painted.last = self

    def __iter__(self):
        self.reason, Painted.done = None, max(0, self.iteration)
        return self

    def __next__(self):
        if self.iteration >= self.settings.steps:
            self.reason = "steps done"
            raise StopIteration
        Painted.happen(self.iteration + 1)
        self.iteration += 1
        Painted.done = self.iteration
        small = self.settings.scales > 1 and self.iteration < 2
        height, width = self.photo.shape[2:]
        shape = 1, 3, height // (1 + small), width // (1 + small)
        self.image = torch.full(shape, 0.1 * self.iteration)
        losses = {"content": 0.5, "total": 1.0}
        return SimpleNamespace(
            iteration=self.iteration, image=self.image, losses=losses
        )

    def state_dict(self):
        settings = dataclasses.asdict(self.settings)
        return {"settings": settings, "optimizer": None, "iteration": self.iteration}

    def load_state_dict(self, state):
        self.settings = Settings(**state["settings"])
        self.iteration = state["iteration"]
        self.image = torch.full_like(self.photo, 0.1 * self.iteration)


PICTURES = {
    "cat.png": torch.linspace(0, 1, 3 * 32 * 24).view(1, 3, 24, 32),
    "wave.png": torch.linspace(1, 0, 3 * 32 * 24).view(1, 3, 24, 32),
    "old.png": torch.zeros(1, 3, 16, 16),
    "thin.png": torch.zeros(1, 3, 16, 320),
}
SIZE = ["--size", "32", "--steps", "3"]
LINKS = {  # each leads to
    "to_cat.png": "cat.png",
    "to_old.png": "old.png",
    "to_new.png": "new_by_link.png",
    "loop.png": "pool.png",
    "pool.png": "loop.png",
    "loop": "loop",
    "to_folder": "folder",
    "to_run": "run",
    "to_films": "films",
    "loop.gif": "loop.gif",
    "frames/00002.png": "../wave.png",
}


def remove(box):
    """Remove a folder with all that is in it, be it closed or read-only."""
    for folder in filter(Path.is_dir, box.iterdir()):
        folder.chmod(0o755)
    shutil.rmtree(box)


def furnish(box):
    """Be in a folder with files, folders and links of all kinds, and in no other."""
    remove(box)
    box.mkdir()
    os.chdir(box)
    for folder in ("folder", "folder.png", "frames", "closed", "read_only", "home"):
        Path(folder).mkdir()
    for name, content in TEMPLATES.items():
        Path(name).write_bytes(content)
    for name, target in LINKS.items():
        Path(name).symlink_to(target)
    Path("read_only").chmod(0o555)
    Path("closed").chmod(0)
    if os.geteuid() == 0:
        for path in [".", *everything()]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    Painted.happen = staticmethod(lambda iteration: None)
    Painted.last = Painted.done = None


TEMPLATES = {"empty.png": b"", "notes.txt": b"mine", "not.png": b"<html>"}


def make_templates(folder):
    """Write each kind of file once and remember its bytes."""
    for name, image in PICTURES.items():
        save_image(image, folder / name)
        TEMPLATES[name] = (folder / name).read_bytes()
    for place in ("frames/00000.png", "frames/00007.png", "frames/mine.png"):
        TEMPLATES[place] = TEMPLATES["old.png"]
    for place in ("read_only/old.png", "home/old.png", "folder/old.png"):
        TEMPLATES[place] = TEMPLATES["old.png"]
    recipe = Settings(size=32, steps=2).to_json().encode()
    TEMPLATES["r.json"] = TEMPLATES["read_only/r.json"] = recipe
    pair = (load_image(folder / name, 32) for name in ("cat.png", "wave.png"))
    photo, painting = pair
    begun = Painted(photo, [painting], Settings(size=32, steps=3))
    next(begun), next(begun)
    save_checkpoint(begun, folder / "run")
    TEMPLATES["run"] = (folder / "run").read_bytes()


def everything():
    """Return what every file here is, by its name: bytes, where it leads, or a folder.

    What lies in a folder that nobody may enter is left out.
    """
    found = {}
    for folder, folders, files in os.walk("."):
        for name in folders + files:
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            else:
                found[str(path)] = path.read_bytes() if path.is_file() else None
    return found


OLD = ["cat.png", "wave.png", "./cat.png", "to_cat.png", "thin.png", "~/old.png"]
OLD += ["old.png", "to_old.png", "frames/mine.png", "frames/00007.png", "run"]
NEW = ["new.png", "NEW.PNG", "new.jpg", "to_new.png", "folder/new.webp", "~/new.png"]
NEW += ["to_folder/new.png", "../box/new.bmp", "new\nline.png", "\udcff.png", "ü.tif"]
NEW += ["frames/00004.png", "--new.png", "*?.png", "\x1b[2J.png"]
BAD = ["", " ", ".", "..", "/", "~", "nowhere/x.png", "cat.png/x.png", "loop.png"]
BAD += ["loop/x.png", "nul\0.png", "\ud800.png", "x" * 300 + ".png", "folder.png"]
BAD += ["folder", "closed/x.png", "read_only/x.png", "read_only/old.png", "x.psd"]
BAD += ["empty.png", "not.png", "notes.txt", "notes.txt/", "/dev/null", "x.gif", "x"]
BAD += ["-", "~nobody_here/x.png", "read_only/r.json", "new", "to_run", "x.png/"]
NUMBERS = ["nan", "inf", "-1", "0", "1", "1e309", "", "9" * 5000, "½", "1\n2"]
OPTIONS = {  # usual values
    "out": ["new.png", "new.jpg", "old.png", "to_new.png", "to_old.png", "~/x.webp"],
    "triptych": ["t.png", "t.webp"],
    "gif": ["a.gif", "A.GIF", "folder/a.gif"],
    "frames": ["frames", "films", "to_folder"],
    "recipe": ["new.json", "new.json", "read_only/r.json"],
    "checkpoint": ["run", "to_run", "new", "folder/run"],
    "every": ["0", "0", "30"],
    "weights": ["bundled", "random"],
    "scales": ["1", "2", "2"],
    "steps": ["1", "2", "3"],
    "size": ["16", "32", "photo"],
    "style-weight": ["1", "50"],
    "seed": ["1"],
    "start": ["content", "noise", "style", "wave.png", "to_old.png"],
    "also": ["cat.png", "cat.png:2", "wave.png:0.5"],
    "style-scale": ["0.9", "1.5"],
    "every-frame": ["1", "2"],
    "keep-colors": ["photo", "painting"],
    "device": ["cpu"],
}
# What happens before some step, or while the picture is written.
EVENTS = ["nothing"] * 4 + ["ctrl-c", "sigterm", "memory", "taken", "again"]


@st.composite
def command_lines(draw):
    """Draw a command line with some hostile values, and what disturbs it when."""
    chosen = ["out", *draw(st.lists(st.sampled_from(list(OPTIONS)), max_size=5))]
    values = {name: draw(st.sampled_from(OPTIONS[name])) for name in chosen}
    values = {"photo": "cat.png", "painting": "wave.png"} | values
    for name in draw(st.lists(st.sampled_from(list(values)), max_size=2)):
        values[name] = draw(st.sampled_from([*OLD, *NEW, *BAD, *NUMBERS]))
    line = [values.pop("photo"), values.pop("painting"), *SIZE]
    line += [f"--{name}={value}" for name, value in values.items()]
    line += draw(st.sampled_from([["--yes"], ["--yes"], []]))
    return line, draw(st.sampled_from(EVENTS)), draw(st.integers(0, 4))


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """Make a folder for all examples, and Painted the painter."""
    tmp_path_factory.getbasetemp()  # before tempfile is told of another place
    # Not pytest's own, which every pytest that starts closes to nobody.
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        box = Path(os.path.realpath(folder), "box")
        box.mkdir()
        if os.geteuid() == 0:
            os.chown(box.parent, NOBODY, NOBODY)
        make_templates(box)
        patch.setattr("nst_helpers.cli.paint.StyleTransfer", Painted)
        patch.setattr("nst_helpers.checkpoint.StyleTransfer", Painted)
        patch.setattr("nst_helpers.cli.paint.forecast", lambda *_: (20.0, 1.2))
        patch.setattr("os.fsync", lambda _: None)
        patch.setattr(tempfile, "tempdir", str(box.parent))
        patch.setenv("HOME", str(box / "home"))
        patch.chdir(box)
        # Whatever is imported late, nobody might not be allowed to read.
        extras = ["--triptych", "t.webp", "--gif", "a.gif", "--recipe", "new.json"]
        extras += ["--checkpoint", "run", "--every", "0", "--frames", "films"]
        Image.init()
        for _ in range(2):  # the second reads the recipe
            line = ["cat.png", "wave.png", *SIZE, "-o", "new.tif", *extras, "--yes"]
            assert main(line) == 0
        yield box
        (box / "closed").chmod(0o755)  # or only root could remove it


def disturb(event, moment, out):
    """Let an event happen before the step of that number."""
    again = [KeyboardInterrupt] if event == "again" else []

    def happen(iteration):
        if iteration != moment:
            return
        if event == "ctrl-c":
            raise KeyboardInterrupt
        if event == "sigterm":
            os.kill(os.getpid(), 15)
        if event == "memory":
            raise RuntimeError("cannot allocate memory")
        if event == "taken" and not os.path.exists(out):
            os.mkdir(os.path.realpath(out))

    def save(image, path, alpha):
        if again and path == out:
            raise again.pop()
        save_image(image, path, alpha)

    Painted.happen = staticmethod(happen)
    return save


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(command_lines())
def test_no_command_line_ends_badly(record_property, monkeypatch, capsys, box, drawn):
    record_property("example", 1)
    line, event, moment = drawn
    furnish(box)
    before = everything()
    given = dict(option[2:].split("=", 1) for option in line if "=" in option)
    out = os.path.expanduser(given["out"])
    save = disturb(event, moment, out)
    monkeypatch.setattr("nst_helpers.cli.places.save_image", save)
    try:
        with without_rights(box):
            status = main(line)
    except SystemExit as leaving:  # argparse
        status = leaving.code
    said, after = capsys.readouterr(), everything()
    errors = [x for x in said.err.splitlines() if x.startswith("nst_helpers: ")]
    assert status in (0, 2, 130, 143) and len(errors) == (status == 2)
    changed = {x for x in before | after if before.get(x, 0) != after.get(x, 0)}
    unnamed = {x for x in changed if not named(x, given, before)}
    assert not unnamed
    if Painted.last is None:  # refused, and at once
        assert len(said.err.splitlines()) == 1
        assert (status, said.out, changed) == (2, "", set())
    if not Painted.done:
        assert status and said.out == ""
        return
    if event == "nothing":  # what could be refused was refused before painting
        assert status == 0, said
    # What is painted is there, and the line says where.
    escaped = out.encode("ascii", "backslashreplace").decode()
    where = out if said.out in (f"{out}\n", f"{escaped}\n") else said.out[:-1]
    assert where == out or (where and status == 2), said
    with Image.open(where) as picture:  # small at first, with --scales
        grey = np.asarray(picture) / 255
    assert abs(grey - 0.1 * Painted.done).max() < 0.01


def named(file, given, before):
    """Say whether the command line has named a file of this folder for writing."""
    path = Path(file).absolute()
    if path.name.startswith("painted-") and file not in before:
        return True
    places = {
        option: Path(os.path.realpath(os.path.expanduser(place)))
        for option, place in given.items()
        if option in WRITTEN and not (option == "recipe" and file in before)
    }
    is_frame = re.fullmatch(r"\d{5}[.]png", path.name)
    return path in places.values() or (is_frame and path.parent == places.get("frames"))


@pytest.fixture
def paint(box, capsys):
    """Return a function that paints, as nobody, and returns status, stdout, stderr."""

    def paint(*options, photo="cat.png", painting="wave.png"):
        with without_rights(box):
            status = main([photo, painting, *SIZE, *options])
        return status, *capsys.readouterr()

    furnish(box)
    return paint


def test_where_nothing_can_be_written_is_seen_before_painting(paint):
    places = {
        "cat.png/x": "Not a directory",
        "loop": "Too many levels of symbolic links",
        "loop/x": "Too many levels of symbolic links",
        "nul\0": "null",
        "\ud800": "surrogates",
        "x" * 300: "too long",
        "nowhere/x": "no folder nowhere",
        "read_only/x": "Permission denied",
        "closed/x": "Permission denied",
    }
    folders = {"new.png/": "this is a folder", "folder.png": "this is a folder"}
    for place, reason in folders.items():
        for option in ("out", "triptych", "recipe", "checkpoint"):
            if option != "recipe" or place == "new.png/":
                assert reason in paint("--out=new.png", f"--{option}={place}")[2]
    before = everything()
    for option in WRITTEN:
        ending = ".gif" if option == "gif" else ".png"
        for place, reason in ({"": "empty name"} | places).items():
            place += ending if place else ""
            status, said, complaint = paint("--out=new.png", f"--{option}={place}")
            assert (status, said) == (2, "") and reason in complaint, (option, place)
            assert len(complaint.splitlines()) == 1
            assert everything() == before and Painted.last is None


def test_where_nothing_can_be_read_is_one_line(paint):
    for place in ("", "loop.png", "loop/x.png", "nul\0.png", "cat.png/x", "closed/x"):
        for read in ({"photo": place}, {"painting": place}):
            status, said, complaint = paint("--out=new.png", **read)
            assert (status, said) == (2, "") and len(complaint.splitlines()) == 1


def test_one_file_by_two_names_is_not_written(paint, monkeypatch):
    os.link("wave.png", "hard.png")
    shutil.copy("cat.png", "home/cat.png")
    taken = [
        {"photo": "~/cat.png", "out": "home/cat.png"},
        {"photo": "home/cat.png", "out": "~/cat.png"},
        {"out": "to_cat.png"},
        {"photo": "to_cat.png", "out": "cat.png"},
        {"out": "hard.png"},
        {"out": "old.png", "triptych": "to_old.png"},
        {"out": "to_new.png", "triptych": "new_by_link.png"},
        {"out": "to_folder/new.png", "triptych": "folder/new.png"},
        {"painting": "frames/00007.png", "frames": "frames"},
        {"out": "frames/00004.png", "frames": "frames"},
        {"out": "old.png", "recipe": "old.png"},
        {"out": "new.png", "frames": "new.png"},
        {"checkpoint": "new", "frames": "folder/../new"},
        {"out": "old.png", "weights": "./old.png"},
    ]
    before = everything()
    for names in taken:
        read = {k: names.pop(k) for k in ("photo", "painting") if k in names}
        options = [f"--{k}={v}" for k, v in ({"out": "other.png"} | names).items()]
        status, _, complaint = paint(*options, "--yes", **read)
        assert status == 2 and "named twice" in complaint, options
        assert everything() == before


def test_names_that_differ_in_case(paint, monkeypatch):
    names = "--out=new.png", "--triptych=NEW.png"
    assert paint(*names)[0] == 0
    os.remove("new.png")
    os.remove("NEW.png")

    def exists(path):  # as a disk says that takes both for one
        return os.path.exists(path) or path.name.startswith(".NST-")

    monkeypatch.setattr(Path, "exists", exists)
    assert "named twice" in paint(*names)[2]


def test_a_recipe_is_read_where_nothing_can_be_written(paint):
    assert paint("--out=new.png", "--recipe=read_only/r.json")[0] == 0


def test_a_link_stays_and_what_it_leads_to_is_written(paint):
    options = "--out=to_old.png", "--checkpoint=to_run", "--every=0", "--yes"
    assert paint(*options)[:2] == (0, "to_old.png\n")
    assert os.readlink("to_old.png") == "old.png" and os.readlink("to_run") == "run"
    assert (load_image("old.png") - 0.3).abs().max() < 0.01
    assert os.path.exists("run")  # to go on from, with more steps
    assert paint("--out=to_new.png")[0] == 0
    assert os.path.islink("to_new.png") and os.path.isfile("new_by_link.png")
    assert paint("--out=new.png", "--frames=to_films")[0] == 0
    assert len(os.listdir("films")) == 4 and os.path.islink("to_films")


def test_frames_are_of_this_run_and_of_one_size(paint):
    before = everything()
    assert "--yes" in paint("--out=new.png", "--frames=frames")[2]
    assert everything() == before
    options = "--out=new.png", "--frames=frames", "--scales=2", "--yes"
    # What this run would not overwrite, or is only a link, is not ours.
    for stranger in ("00002.png", "00007.png"):
        assert f"frames/{stranger}: none of this run's" in paint(*options)[2]
        assert everything() == before
        os.remove(f"frames/{stranger}")
        del before[f"frames/{stranger}"]
    raise_before(0, KeyboardInterrupt())
    assert paint(*options)[0] == 130 and everything() == before  # nothing painted yet
    Path("frames/00003.png").write_bytes(TEMPLATES["old.png"])
    raise_before(3, KeyboardInterrupt())
    assert paint(*options)[0] == 130
    assert not os.path.exists("frames/00003.png")  # an older run's, to be overwritten
    raise_before(None, None)
    assert paint(*options)[0] == 0
    ours = [f"{i:05d}.png" for i in range(4)]
    assert sorted(os.listdir("frames")) == [*ours, "mine.png"]
    assert {load_image(f"frames/{x}").shape for x in ours} == {(1, 3, 24, 32)}
    assert Path("wave.png").read_bytes() == TEMPLATES["wave.png"]
    assert Path("frames/mine.png").read_bytes() == TEMPLATES["frames/mine.png"]


def test_a_run_taken_up_again_keeps_the_frames_it_has(paint):
    Path("frames/00001.png").write_bytes(TEMPLATES["old.png"])
    os.remove("frames/00002.png")
    os.remove("frames/00007.png")
    options = "--checkpoint=run", "--frames=frames", "--out=new.png", "--yes"
    assert "run: going on at 1" in paint(*options)[2]
    frames = ["00000.png", "00001.png", "00002.png", "00003.png", "mine.png"]
    assert sorted(os.listdir("frames")) == frames
    for kept in frames[:2]:
        assert Path("frames", kept).read_bytes() == TEMPLATES["old.png"]


def raise_before(step, error):
    def happen(iteration):
        if iteration == step:
            raise error

    Painted.happen = staticmethod(happen)


def test_where_nothing_is_painted_yet_nothing_is_overwritten(paint):
    keeping = "--checkpoint=new", "--every=0"
    for step in (0, 1):
        before = everything()
        raise_before(step, KeyboardInterrupt())
        status, said, complaint = paint("--out=old.png", "--yes", *keeping)
        assert (status, said) == (130, "") and "nothing painted" in complaint
        assert everything() == before


def test_whatever_breaks_a_run_off_what_is_painted_is_there(paint):
    for error, status in {
        KeyboardInterrupt(): 130,
        KeyboardInterrupt(143): 143,
        MemoryError(): 2,
        InputError("full"): 2,
        OSError("gone"): 2,
    }.items():
        raise_before(3, error)
        keeping = "--checkpoint=new", "--gif=a.gif"
        done, said, complaint = paint("--out=old.png", "--yes", *keeping)
        assert (done, said) == (status, "old.png\n")
        assert "the best so far: 2 iterations" in complaint
        assert (load_image("old.png") - 0.2).abs().max() < 0.01
        assert os.path.exists("a.gif") == (status > 2)
        raise_before(None, None)
        assert "new: going on at 2" in paint("--out=old.png", "--yes", *keeping)[2]
        os.remove("a.gif")
        os.remove("new")


def test_a_picture_that_cannot_be_written_after_all_is_elsewhere(paint, box):
    def take(iteration):
        if iteration == 2:
            shutil.rmtree(box / "folder")

    Painted.happen = staticmethod(take)
    options = "--out=folder/new.jpg", "--checkpoint=new"
    status, said, complaint = paint(*options)
    assert status == 2 and said.startswith(str(box / "painted-"))
    line = complaint.splitlines()[-1]
    assert "folder/new.jpg: cannot be written" in line and said.strip() in line
    assert (load_image(said.strip()) - 0.3).abs().max() < 0.01
    assert os.path.exists("new")  # to go on from
    # The current folder may be gone as well.
    furnish(box)

    def take_all(iteration):
        if iteration == 2:
            remove(box)

    Painted.happen = staticmethod(take_all)
    status, said, complaint = paint("--out=new.png", "--yes")
    assert status == 2 and said.startswith(str(box.parent / "painted-"))
    assert (load_image(said.strip()) - 0.3).abs().max() < 0.01
    box.mkdir()


def test_a_triptych_or_film_that_fails_leaves_the_picture_and_says_so(paint):
    def take(iteration):
        if iteration == 2:
            Path("late.gif").mkdir()
            Path("late.png").mkdir()

    Painted.happen = staticmethod(take)
    for extra in ("--gif=late.gif", "--triptych=late.png"):
        others = "--checkpoint=new", "--recipe=new.json"
        status, said, complaint = paint("--out=new.png", extra, *others, "--yes")
        assert (status, said) == (2, "new.png\n")
        assert f"{extra[-8:]}: cannot be written" in complaint.splitlines()[-1]
        # Nothing else is lost to it.
        assert os.path.exists("new") and os.path.exists("new.json")
        os.remove("new")
        os.remove("new.json")
        Path("late.gif").rmdir()
        Path("late.png").rmdir()


def test_a_triptych_too_wide_to_be_drawn_is_refused_at_once(paint):
    save_image(torch.zeros(1, 3, 16, 400), "wide.png")
    options = "--out=new.png", "--triptych=t.webp", "--size=400"
    status, said, complaint = paint(*options, photo="wide.png")
    assert (status, said) == (2, "") and "t.webp: too wide" in complaint
    assert Painted.last is None


def heard():
    """List the signals that end a program here: under nohup, not all."""
    both = signal.SIGTERM, signal.SIGHUP
    return [number for number in both if signal.getsignal(number) == signal.SIG_DFL]


def test_signals_end_a_run_like_ctrl_c(paint):
    def others():
        return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]

    before = others()
    for number in heard():

        def send(iteration, number=number):
            if iteration == 3:
                os.kill(os.getpid(), number)

        Painted.happen = staticmethod(send)
        status, said, complaint = paint("--out=new.png", "--checkpoint=new", "--yes")
        assert (status, said) == (128 + number, "new.png\n")
        assert "interrupted, the best so far: 2 iterations" in complaint
        assert os.path.exists("new") and others() == before
        os.remove("new")
    # What has been arranged already stays, as by nohup.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert paint("--out=new.png", "--yes")[0] == 0
    finally:
        signal.signal(signal.SIGHUP, before[1])


def test_any_thread_may_paint(paint):
    with ThreadPoolExecutor() as threads:
        assert threads.submit(paint, "--out=new.png").result()[0] == 0


class Broken:
    """Be a stream of the kinds that fail; a notebook's has no reconfigure either."""

    encoding = "ascii"

    def __init__(self, error):
        self.error, self.said = error, ""

    def write(self, text):
        text.encode("ascii")
        if self.error:
            raise self.error
        self.said += text

    def flush(self):
        pass


def test_streams_that_are_closed_full_or_broken_end_no_run(paint, monkeypatch):
    errors = BrokenPipeError(32, "Broken pipe"), OSError(28, "No space"), ValueError()
    for stream in (None, Broken(None), *map(Broken, errors)):
        for name in ("stdin", "stdout", "stderr"):
            with monkeypatch.context() as patched:
                patched.setattr(sys, name, stream)
                out = "\udcff ü.png"
                assert paint(f"--out={out}", "--yes")[0] == 0
                assert sys.stdin is stream or name != "stdin"
                assert paint("--out=new/x.png")[0] == 2
                if name == "stdin":
                    assert paint(f"--out={out}")[0] == 2  # it cannot ask
            assert os.path.exists(out)
            os.remove(out)
            if name == "stdout" and isinstance(stream, Broken) and not stream.error:
                assert stream.said == "\\udcff \\xfc.png\n"


COMMAND = [sys.executable, "-m", "nst_helpers", *PAIR, *SIZE, "--precision=float32"]


def in_a_shell(*redirections):
    """Paint by a real process whose streams a shell has arranged."""
    line = f"{shlex.join(COMMAND)} --out=new.png --yes {' '.join(redirections)}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True
    )
    assert max(load_image("new.png").shape) == 32
    assert done.returncode == 0 and "Error" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.long
@pytest.mark.usefixtures("empty_folder")
def test_a_process_without_streams_paints():
    in_a_shell(">&-", "2>&-", "<&-")


@pytest.mark.long
@pytest.mark.usefixtures("empty_folder")
def test_a_process_with_strange_streams_paints():
    for stream in (">&-", "2>&-", "<&-", ">/dev/full", "2>/dev/full", "2>&1 | true"):
        in_a_shell(stream)
        os.remove("new.png")


@pytest.mark.long
@pytest.mark.usefixtures("empty_folder")
def test_sigterm_to_a_process_saves_the_picture_and_a_checkpoint():
    options = ["--out=new.png", "--steps=100000", "--frames=films", "--checkpoint=run"]
    for number in heard():
        run = subprocess.Popen([*COMMAND, *options, "--yes"], stdout=subprocess.PIPE)
        limit = time.monotonic() + 60
        while not os.path.exists("films/00005.png"):
            assert time.monotonic() < limit and run.poll() is None
            time.sleep(0.01)
        run.send_signal(number)
        assert run.communicate(timeout=60)[0] == b"new.png\n"
        assert run.returncode == 128 + number and os.path.exists("run")
        assert max(load_image("new.png").shape) == 32
        shutil.rmtree("films")
        os.remove("run")


def test_what_somebody_writes_meanwhile_is_not_replaced(paint):
    def write(iteration):
        if iteration == 2:
            Path("new.png").write_bytes(b"theirs")

    Painted.happen = staticmethod(write)
    status, said, complaint = paint("--out=new.png")
    assert status == 2 and "somebody has just written it" in complaint
    assert Path("new.png").read_bytes() == b"theirs"
    assert (load_image(said.strip()) - 0.3).abs().max() < 0.01
    os.remove("new.png")
    assert paint("--out=new.png", "--yes")[:2] == (0, "new.png\n")  # asked for


def test_a_held_ctrl_c_loses_nothing(paint, monkeypatch):
    def save(image, path, alpha):
        for _ in range(8):
            os.kill(os.getpid(), signal.SIGINT)
        save_image(image, path, alpha)

    monkeypatch.setattr("nst_helpers.cli.places.save_image", save)
    raise_before(3, KeyboardInterrupt())
    status, said, _ = paint("--out=new.png", "--checkpoint=new", "--yes")
    assert (status, said) == (130, "new.png\n") and os.path.exists("new")
    assert (load_image("new.png") - 0.2).abs().max() < 0.01
    with pytest.raises(KeyboardInterrupt):  # it is heard again
        os.kill(os.getpid(), signal.SIGINT)


def test_a_recipe_and_a_checkpoint_say_what_they_do_not_hold(paint):
    begin = "--out=new.png", "--start=wave.png", "--yes"
    said = paint(*begin, "--recipe=new.json", "--checkpoint=new")[2]
    assert "new.json: say --start wave.png beside it" in said
    assert (
        "going on at 3; --start has no more effect"
        in paint(*begin, "--checkpoint=new")[2]
    )
