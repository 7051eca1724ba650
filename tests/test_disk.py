"""Disks that fill up, and processes stopped while they read or write a file."""

import gc
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import full_disk, without_rights
from safetensors.torch import save_file
from test_command_line import SMALL

from nst_helpers import InputError, Settings, StyleTransfer, load_image, save_image
from nst_helpers.__main__ import main
from nst_helpers.checkpoint import load_checkpoint, save_checkpoint
from nst_helpers.files import STRAY, write_file
from nst_helpers.pixels import resize
from nst_helpers.pretrained import read_parameters
from nst_helpers.studio.home import home_folder

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture(autouse=True)
def no_trial(monkeypatch):
    """Take no time to try how long a run will take."""
    monkeypatch.setattr("nst_helpers.cli.paint.forecast", lambda *_: (20.0, 1.2))


def test_a_disk_too_full_for_checkpoints_does_not_end_a_run(capsys):
    assert main([*SMALL, "-o", "whole.png"]) == 0
    capsys.readouterr()
    size = Path("whole.png").stat().st_size
    with full_disk(size):  # a checkpoint is larger
        keeping = ["--checkpoint", "run", "--every", "0"]
        assert main([*SMALL, *keeping, "-o", "out.png"]) == 0
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    told = [line for line in lines if "File too large" in line]
    assert told == ["run: cannot be written: File too large: no checkpoint now"] * 4
    assert sorted(os.listdir()) == ["out.png", "whole.png"]
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


def test_a_disk_too_full_for_the_picture_costs_no_work(capsys, monkeypatch):
    def save_on_a_full_disk(image, path, alpha):
        with full_disk(1000):
            save_image(image, path, alpha)

    assert main([*SMALL, "-o", "whole.png"]) == 0
    keeping = [*SMALL, "--checkpoint", "run", "--every", "0", "-o", "out.png"]
    with monkeypatch.context() as patched:
        patched.setattr("nst_helpers.cli.places.save_image", save_on_a_full_disk)
        assert main(keeping) == 2
    assert "out.png: cannot be written: File too large" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["run", "whole.png"]
    assert main(keeping) == 0
    assert "run: going on at 3" in capsys.readouterr().err
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


def test_what_cannot_be_written_is_an_error_of_one_kind(tmp_path, monkeypatch):
    write_file("file", b"old")
    Path("loop").symlink_to("loop")
    Path("closed").mkdir(mode=0)
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, -1)  # it shall be nobody's own
    places = {
        "file/x": "Not a directory",
        "loop": "Too many levels of symbolic links",
        "loop/x": "Too many levels of symbolic links",
        "nowhere/x": "No such file or directory",
        "closed": "Is a directory",
        "closed/x": "Permission denied",
        "x" * 256: "File name too long",
        "nul\0": "null",
        "\ud800": "surrogates",
    }
    before = sorted(os.listdir())
    for place, reason in places.items():
        with without_rights(tmp_path), pytest.raises(InputError, match=reason):
            write_file(place, b"new")
        assert sorted(os.listdir()) == before, place
    assert Path("file").read_bytes() == b"old"
    Path("gone").mkdir()
    monkeypatch.chdir("gone")
    os.rmdir(tmp_path / "gone")
    with pytest.raises(InputError, match="No such file"):
        write_file("x", b"new")


def test_a_link_stays_a_link_and_its_file_is_written():
    Path("to_file").symlink_to("file")
    Path("to_it").symlink_to("to_file")
    for content in (b"old", b"new"):
        write_file("to_it", content)
        assert Path("file").read_bytes() == content
        assert os.readlink("to_it") == "to_file" and os.readlink("to_file") == "file"
        assert sorted(os.listdir()) == ["file", "to_file", "to_it"]


def test_a_full_disk_leaves_the_old_checkpoint_whole(photo, painting):
    small = resize(photo, 32), resize(painting, 32)
    transfer = StyleTransfer(*small, Settings(size=32, steps=3))
    next(transfer)
    save_checkpoint(transfer, "run")
    before = Path("run").read_bytes()
    next(transfer)
    for room in (0, 1000, 50_000):
        with full_disk(room), pytest.raises(InputError) as error:
            save_checkpoint(transfer, "run")
        assert str(error.value) == "run: cannot be written: File too large"
        assert os.listdir() == ["run"] and Path("run").read_bytes() == before
    assert load_checkpoint("run").iteration == 0
    save_checkpoint(transfer, "run")
    assert load_checkpoint("run").iteration == 1


def in_another_process(work):
    """Start some work in a copy of this process and return its number."""
    number = os.fork()
    if number == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return number


def end_of(number):
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def killed_in_mid_write():
    """Leave a stray, the half-written file of a killed process."""

    def work():
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        write_file("file", b"new")

    assert end_of(in_another_process(work)) == -signal.SIGKILL
    (stray,) = Path().glob(".*")
    return stray


def test_what_a_killed_process_left_is_removed_by_a_later_write():
    write_file("file", b"old")
    stray = killed_in_mid_write()
    assert Path("file").read_bytes() == b"old"
    write_file("other", b"")
    assert stray.exists()  # its process might have been alive
    mine = [".part", "mine.part", ".mine.part"]
    for name in (*mine, stray):
        Path(name).touch()
        os.utime(name, (0, time.time() - STRAY - 1))
    write_file("other", b"")
    assert sorted(os.listdir()) == sorted(["file", "other", *mine])


def test_a_stray_that_cannot_be_removed_hinders_nobody():
    Path(".nst-folder.part").mkdir()
    os.utime(".nst-folder.part", (0, 0))
    write_file("file", b"new")
    assert Path("file").read_bytes() == b"new"


def test_a_name_as_long_as_names_may_be():
    write_file("n" * 255, b"new")
    assert os.listdir() == ["n" * 255]


def test_processes_that_write_the_same_file_at_once():
    stray = killed_in_mid_write()
    os.utime(stray, (0, 0))
    contents = [bytes([k]) * 300_000 for k in range(4)]
    write_file("file", contents[0])

    def write(content):
        for _ in range(20):
            write_file("file", content)

    numbers = [in_another_process(lambda c=c: write(c)) for c in contents]
    for _ in range(100):
        assert Path("file").read_bytes() in contents
    assert [end_of(number) for number in numbers] == [0] * 4
    assert os.listdir() == ["file"] and Path("file").read_bytes() in contents


# Of a run, a checkpoint needs but these.
RUN = SimpleNamespace(
    photo=torch.ones(3),
    painting=[torch.zeros(3)],
    state_dict=lambda: {"settings": {}, "optimizer": {"state": {0: torch.ones(2)}}},
    load_state_dict=lambda state: None,
)
FILES = {  # name: how it is written, how it is read
    "run": (lambda: save_checkpoint(RUN, "run"), load_checkpoint),
    "recipe.json": (lambda: Settings().save("recipe.json"), Settings.load),
    "out.png": (lambda: save_image(torch.ones(1, 3, 16, 16), "out.png"), load_image),
}
LAYER = {
    "features.0.weight": torch.ones(64, 3, 3, 3),
    "features.0.bias": torch.ones(64),
}


def read_layer(path):
    """Read weights; all is well with them but that there is only one layer."""
    try:
        read_parameters(path)
    except InputError as error:
        assert "features.2.weight should have shape" in str(error)


WEIGHTS = {"w.safetensors": (lambda: save_file(LAYER, "w.safetensors"), read_layer)}


@pytest.fixture
def no_painting(monkeypatch):
    """Stop where what a checkpoint holds is made a run again."""
    monkeypatch.setattr("nst_helpers.checkpoint.StyleTransfer", lambda *_: RUN)


def interrupted(work):
    """Do work again and again, Ctrl-C each time one call or return later, to its end.

    Yields whenever it was broken off.
    """
    moment = calls = 0

    def press(*event):
        nonlocal calls
        calls += 1
        if calls == moment:
            sys.setprofile(None)
            raise KeyboardInterrupt

    while calls == moment:
        moment, calls = moment + 1, 0
        gc.disable()  # for code that it calls swallows a Ctrl-C
        try:
            sys.setprofile(press)
            work()
            sys.setprofile(None)
        except KeyboardInterrupt:
            yield
        else:
            assert calls < moment, "Ctrl-C was swallowed"
        finally:
            gc.enable()
    assert moment > 10


@pytest.mark.parametrize("path", FILES | WEIGHTS)
@pytest.mark.usefixtures("no_painting")
def test_ctrl_c_is_no_fault_of_the_file_that_is_read(path):
    write, read = (FILES | WEIGHTS)[path]
    write()
    for _ in interrupted(lambda: read(path)):
        pass


@pytest.mark.parametrize("path", FILES)
@pytest.mark.usefixtures("no_painting")
def test_ctrl_c_leaves_a_file_that_is_written_whole(path):
    write, read = FILES[path]
    write()
    for _ in interrupted(write):
        assert os.listdir() == [path]
        read(path)


def test_results_go_home_where_nothing_may_be_written(tmp_path):
    assert home_folder() == "results"
    tmp_path.chmod(0o555)
    with without_rights(tmp_path):
        assert home_folder() == "~/results"
