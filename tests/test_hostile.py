"""Hostile command lines, made up: options × places × files × what goes wrong."""

import dataclasses
import os
import re
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import without_rights
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nst_helpers import Settings, load_image, save_image
from nst_helpers.__main__ import main
from nst_helpers.checkpoint import save_checkpoint

EXAMPLES = settings.default.max_examples  # of Hypothesis's profile
EXAMPLES = 50 if EXAMPLES == 100 else EXAMPLES
NOBODY = 65534


class Painted:
    """Stand in for StyleTransfer: paint at once, each step one grey all over.

    Args:
        photo, painting, settings: as those of StyleTransfer.
    """

    happen = staticmethod(lambda iteration: None)  # before each step
    last = done = None  # the latest of them, and the last step that any has done

    def __init__(self, photo, painting, settings=None, *_):
        self.photo, self.painting = photo, list(painting)
        self.settings = settings or Settings()
        self.image, self.iteration, self.precision = photo, -1, "float32"
        Painted.last = self

    def __iter__(self):
        self.reason = None
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
    "frames/00002.png": "../wave.png",
}


def furnish():
    """Fill the current folder with files, folders and links of all kinds."""
    for folder in ("folder", "folder.png", "frames", "closed", "read_only", "home"):
        Path(folder).mkdir()
    for name, content in TEMPLATES.items():
        Path(name).write_bytes(content)
    for name, target in LINKS.items():
        Path(name).symlink_to(target)
    Path("read_only").chmod(0o555)
    Path("closed").chmod(0)


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


GOOD = ["cat.png", "wave.png", "./cat.png", "to_cat.png", "thin.png", "~/old.png"]
NEW = ["new.png", "NEW.PNG", "new.jpg", "to_new.png", "folder/new.webp", "~/new.png"]
NEW += ["to_folder/new.png", "../box/new.bmp", "new\nline.png", "\udcff.png", "ü.tif"]
NEW += ["frames/00004.png", "--new.png"]
THERE = ["old.png", "to_old.png", "frames/mine.png", "frames/00007.png", "run", *GOOD]
HOSTILE = ["", " ", ".", "..", "/", "~", "nowhere/x.png", "cat.png/x.png", "loop.png"]
HOSTILE += ["loop/x.png", "nul\0.png", "\ud800.png", "x" * 300 + ".png", "folder.png"]
HOSTILE += ["folder", "closed/x.png", "read_only/x.png", "read_only/old.png", "x.psd"]
HOSTILE += ["empty.png", "not.png", "notes.txt", "notes.txt/", "/dev/null", "x.gif"]
HOSTILE += ["-", "~nobody_here/x.png", "read_only/r.json", "x", "x.png/", "*?.png"]


def place(*usual):
    """Draw the name of a file, mostly a usual one."""
    usual = st.sampled_from(usual)
    others = st.sampled_from([*NEW, *THERE, *HOSTILE])
    return st.one_of(usual, usual, usual, others)


NUMBERS = st.sampled_from(["nan", "inf", "-1", "0", "1", "1e309", "", "9" * 5000, "½"])
EXTRAS = {
    "--triptych": place("t.png", "t.webp"),
    "--gif": place("a.gif", "A.GIF", "folder/a.gif"),
    "--frames": place("frames", "films", "to_folder", "folder"),
    "--recipe": place("r.json", "new.json", "read_only/r.json"),
    "--checkpoint": place("run", "new", "folder/run"),
    "--every": st.sampled_from(["0", "0", "0", "30", "nan", "-1", "inf"]),
    "--weights": place("bundled", "random"),
    "--scales": st.sampled_from(["1", "2", "2"]) | NUMBERS,
    "--style-weight": st.sampled_from(["1", "50"]) | NUMBERS,
    "--seed": NUMBERS,
    "--steps": st.sampled_from(["1", "2"]) | NUMBERS,
    "--size": st.sampled_from(["16", "40"]) | NUMBERS,
    "--start": st.sampled_from(["content", "noise", "style", "", "cat.png"]),
    "--device": st.sampled_from(["cpu", "cuda:01", ""]),
    "--no-such": NUMBERS,
}
# What happens before some step, or while the picture is written.
EVENTS = ["nothing"] * 4 + ["ctrl-c", "sigterm", "memory", "taken", "again"]


@st.composite
def command_lines(draw):
    """Draw a command line, and how it is disturbed when."""
    line = [draw(place("cat.png")), draw(place("wave.png")), *SIZE]
    line += [f"--out={draw(place('new.png', 'new.jpg', 'old.png', 'to_new.png'))}"]
    for option in draw(st.lists(st.sampled_from(list(EXTRAS)), max_size=4)):
        line.append(f"{option}={draw(EXTRAS[option])}")
    line += draw(st.sampled_from([["--yes"], ["--yes"], []]))
    return line, draw(st.sampled_from(EVENTS)), draw(st.integers(0, 4))


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """Make a folder for all examples, and Painted the painter."""
    box = tmp_path_factory.mktemp("hostile") / "box"
    box.mkdir()
    make_templates(box)
    with pytest.MonkeyPatch.context() as patch:
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
        assert main(["cat.png", "wave.png", *SIZE, "-o", "new.tif", *extras]) == 0
        yield box


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

    def save(image, path):
        if again and path == out:
            raise again.pop()
        save_image(image, path)

    Painted.happen = staticmethod(happen)
    return save


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(command_lines())
def test_no_command_line_ends_badly(record_property, monkeypatch, capsys, box, drawn):
    record_property("example", 1)
    line, event, moment = drawn
    for folder in filter(Path.is_dir, box.iterdir()):
        folder.chmod(0o755)
    shutil.rmtree(box)
    box.mkdir()
    os.chdir(box)
    furnish()
    if os.geteuid() == 0:
        for path in [".", *everything()]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    before = everything()
    given = dict(option[2:].split("=", 1) for option in line if "=" in option)
    out = os.path.expanduser(given["out"])
    save = disturb(event, moment, out)
    monkeypatch.setattr("nst_helpers.cli.places.save_image", save)
    Painted.last = Painted.done = None
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
    # What is painted is there, and the line says where.
    escaped = out.encode("ascii", "backslashreplace").decode()
    where = out if said.out in (f"{out}\n", f"{escaped}\n") else said.out[:-1]
    assert where == out or status == 2
    assert (load_image(where) - 0.1 * Painted.done).abs().max() < 0.01


def named(file, given, before):
    """Say whether the command line has named a file of this folder for writing."""
    file = Path(file)
    if file.name.startswith("painted-") and file not in before:
        return True
    places = {
        option: Path(os.path.realpath(os.path.expanduser(place)))
        for option, place in given.items()
        if option in ("out", "triptych", "gif", "frames", "recipe", "checkpoint")
    }
    frames = places.pop("frames", None)
    if frames and frames in (file.absolute(), file.absolute().parent):
        return file.absolute() == frames or re.fullmatch(r"\d{5}[.]png", file.name)
    if "recipe" in places and os.fspath(file) in before:
        del places["recipe"]  # it is only read
    return file.absolute() in places.values()
