import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import IMAGES
from PIL import Image

from nst_helpers import InputError, Settings, StyleTransfer, load_image
from nst_helpers import __main__ as command_line
from nst_helpers.__main__ import main

PAIR = [
    str(IMAGES / "content" / "cat.jpg"),
    str(IMAGES / "style" / "hokusai_great_wave.jpg"),
]
SMALL = [*PAIR, "--size", "64", "--steps", "3"]
pytestmark = pytest.mark.usefixtures("empty_folder")


def refused(capsys, *arguments):
    """Run what must be refused and return the one line it says."""
    there = os.listdir()
    try:
        status = main([str(a) for a in arguments])
    except SystemExit as leaving:
        status = leaving.code
    said = capsys.readouterr()
    assert status == 2 and said.out == "" and os.listdir() == there
    assert said.err.startswith("nst_helpers: ") and len(said.err.splitlines()) == 1
    return said.err


def test_a_photo_becomes_a_painting(capsys):
    assert main([*SMALL, "-o", "out.png"]) == 0
    said = capsys.readouterr()
    assert said.out == "out.png\n" and "steps done" in said.err
    assert all(word in said.err for word in ("content=", "style=", "tv=", "3/3"))
    assert max(load_image("out.png").shape) == 64
    assert os.listdir() == ["out.png"]


def test_everything_it_can_write(monkeypatch):
    monkeypatch.setattr("nst_helpers.__main__.GIF_SIDE", 32)
    extras = ["--triptych", "t.png", "--frames", "f", "--gif", "a.gif"]
    assert main([*SMALL, "-o", "out.jpg", *extras, "--recipe", "r.json"]) == 0
    assert sorted(os.listdir("f")) == [f"{i:05d}.png" for i in range(4)]
    assert load_image("t.png").shape[3] > 3 * 64
    with Image.open("a.gif") as gif:
        assert gif.n_frames >= 4 and max(gif.size) == 32
    assert Settings.load("r.json") == Settings(size=64, steps=3)


def test_a_recipe_gives_the_same_picture_and_options_overrule_it():
    options = ["--style-weight", "5", "--start", "noise", "--seed", "4"]
    assert main([*SMALL, *options, "-o", "a.png", "--recipe", "r.json"]) == 0
    before = open("r.json").read()
    assert main([*PAIR, "-o", "b.png", "--recipe", "r.json"]) == 0
    np.testing.assert_array_equal(load_image("a.png"), load_image("b.png"))
    assert (
        main([*PAIR, "-o", "c.png", "--recipe", "r.json", "--steps", "1", "--yes"]) == 0
    )
    assert not np.array_equal(load_image("a.png"), load_image("c.png"))
    assert open("r.json").read() == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([*PAIR], "-o"),
        ([PAIR[0], "nothing.jpg", "-o", "x.png"], "nothing.jpg: no such file"),
        ([*PAIR, "-o", "x.psd"], "x.psd"),
        ([*PAIR, "-o", "x.png", "--triptych", "t.txt"], "t.txt"),
        ([*PAIR, "-o", "nowhere/x.png"], "no folder nowhere"),
        ([*PAIR, "-o", "x.png", "--size", "7"], "size"),
        ([*PAIR, "-o", "x.png", "--size", "big"], "--size"),
        ([*PAIR, "-o", "x.png", "--steps", "-1"], "steps"),
        ([*PAIR, "-o", "x.png", "--style-weight", "nan"], "style_weight"),
        ([*PAIR, "-o", "x.png", "--start", "painting"], "--start"),
        ([*PAIR, "-o", "x.png", "--weights", "none.pth"], "none.pth"),
        ([*PAIR, "-o", "x.png", "--sise", "7"], "--sise"),
        ([*PAIR, "-o", "x.png", "--frames", __file__], "not a folder"),
        ([*PAIR, "-o", "x.png", "--recipe", __file__], "not a recipe"),
        ([*PAIR, "-o", "x.png", "--triptych", "x.png"], "named twice"),
        ([*PAIR, "-o", PAIR[0], "--yes"], "named twice"),
        ([*PAIR, "-o", "x.png", "--gif", "x.mp4"], ".gif"),
        ([*PAIR, "-o", "x" * 300 + ".png"], "too long"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(capsys, arguments, complaint):
    assert complaint in refused(capsys, *arguments)
    assert os.listdir() == []


def test_a_folder_in_the_way_is_seen_before_any_work(capsys, tmp_path):
    (tmp_path / "out.png").mkdir()
    assert "folder" in refused(capsys, *SMALL, "-o", "out.png", "--yes")


def test_a_frame_that_cannot_be_written_loses_no_picture(monkeypatch, capsys):
    real = command_line.save_image

    def save(image, path):
        if "00002" in str(path):
            raise InputError(f"{path}: cannot be written: No space left on device")
        real(image, path)

    monkeypatch.setattr(command_line, "save_image", save)
    assert main([*SMALL, "-o", "out.png", "--frames", "f"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert max(load_image("out.png").shape) == 64


def test_nothing_is_overwritten_unasked(capsys, tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "mine.png").write_bytes(b"mine")
    for name in ("out.png", "t.png", "a.gif"):
        (tmp_path / name).write_bytes(b"mine")
    for option in ("--triptych t.png", "--gif a.gif", "--frames frames", ""):
        out = "new.png" if option else "out.png"
        assert "--yes" in refused(capsys, *SMALL, "-o", out, *option.split())
    assert (tmp_path / "out.png").read_bytes() == b"mine"
    assert main([*SMALL, "-o", "out.png", "--yes"]) == 0
    assert max(load_image("out.png").shape) == 64


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 2), ("", 2)])
def test_it_asks_before_overwriting(monkeypatch, tmp_path, answer, status):
    (tmp_path / "out.png").write_bytes(b"mine")
    keyboard = io.StringIO(answer)
    keyboard.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", keyboard)
    assert main([*SMALL, "-o", "out.png"]) == status
    assert ((tmp_path / "out.png").read_bytes() == b"mine") == (status == 2)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child")
def test_ctrl_c_saves_the_best_so_far(tmp_path):
    run = subprocess.Popen(
        [sys.executable, "-m", "nst_helpers", *PAIR, "--size", "64"]
        + ["--steps", "5000", "-o", "out.png", "--frames", "frames"],
        stderr=subprocess.PIPE,
    )
    limit = time.monotonic() + 60
    while not (tmp_path / "frames" / "00040.png").exists():
        assert time.monotonic() < limit and run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=30)[1].decode()
    assert run.returncode == 130
    assert "Traceback" not in said and "interrupted" in said
    # Ctrl-C may have come before the last picture's frame was written, or within.
    last = sorted(os.listdir("frames"))[-1]
    frame, best = load_image(f"frames/{last}"), load_image("out.png")
    start = load_image("frames/00000.png")
    assert (best - frame).abs().mean() < (best - start).abs().mean() / 10


def test_two_paintings_are_mixed():
    second = str(IMAGES / "style" / "cassatt_summertime.jpg")
    for mix in ("0", "1"):
        mixed = [*SMALL, "--second", second, "--mix", mix, "-o", f"{mix}.png"]
        assert main(mixed) == 0
    assert main([*SMALL, "-o", "first.png"]) == 0
    assert main([PAIR[0], second, *SMALL[2:], "-o", "second.png"]) == 0
    zero, one, first, other = (
        load_image(f"{name}.png") for name in ("0", "1", "first", "second")
    )
    assert (zero - first).abs().max() == 0 and (one - other).abs().max() == 0
    assert (zero - one).abs().max() > 2 / 255


def test_help_says_what_every_setting_means(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "α, how much the photo's content counts, 0 to 1e6. Default: 1.0." in said
    assert "None Default" not in said


def test_a_mix_without_a_second_painting(capsys):
    assert "second painting" in refused(capsys, *SMALL, "--mix", "0.5", "-o", "x.png")


# Fixed, for two processes might measure differently which is faster.
EXACT = ["--precision", "float32"]
LONG = [
    *PAIR,
    "--size",
    "64",
    "--steps",
    "60",
    *EXACT,
    "--checkpoint",
    "run",
    "--every",
    "0.1",
]


def killed_after(seconds, signal_number):
    """Start a run and end it some seconds after its first checkpoint."""
    run = subprocess.Popen(
        [sys.executable, "-m", "nst_helpers", *LONG, "-o", "out.png", "--yes"],
        stderr=subprocess.PIPE,
    )
    while not os.path.exists("run"):
        assert run.poll() is None, "it ended before its first checkpoint"
        time.sleep(0.01)
    time.sleep(seconds)
    run.send_signal(signal_number)
    said = run.communicate(timeout=30)[1].decode()
    assert run.returncode in (130, -signal.SIGKILL)
    return said


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_a_killed_run_ends_bit_for_bit_as_if_it_had_not_been(seconds, capsys):
    assert main([*LONG[:-4], "-o", "whole.png"]) == 0
    killed_after(seconds, signal.SIGKILL)
    assert not os.path.exists("out.png")
    capsys.readouterr()
    assert main([*LONG, "-o", "out.png"]) == 0
    assert "run: going on at" in capsys.readouterr().err
    assert open("out.png", "rb").read() == open("whole.png", "rb").read()
    assert not os.path.exists("run")  # the work is done


def test_ctrl_c_leaves_a_checkpoint_of_the_last_step(capsys):
    assert main([*LONG[:-4], "-o", "whole.png"]) == 0
    said = killed_after(0.2, signal.SIGINT)
    assert "interrupted" in said and os.path.exists("out.png")
    assert main([*LONG, "-o", "out.png", "--yes"]) == 0
    # Ctrl-C within a step makes L-BFGS forget: as good a picture, not the same bits
    whole, out = load_image("whole.png"), load_image("out.png")
    assert (whole - out).abs().mean() < 0.05


def test_a_checkpoint_of_another_run_is_not_gone_on_from(capsys):
    killed_after(0.0, signal.SIGKILL)
    before = open("run", "rb").read()
    other = [*LONG[:2], *LONG[2:], "--style-weight", "7", "-o", "out.png"]
    assert "other pictures or settings" in refused(capsys, *other)
    swapped = [LONG[1], LONG[0], *LONG[2:], "-o", "out.png"]
    assert "other pictures or settings" in refused(capsys, *swapped)
    assert open("run", "rb").read() == before


def test_a_checkpoint_with_another_painting_more_is_not_gone_on_from(capsys):
    photo, painting = (load_image(path, 64) for path in PAIR)
    settings = Settings(size=64, steps=60, precision="float32")
    StyleTransfer(photo, [painting, photo], settings).save("run")
    complaint = refused(capsys, *LONG, "-o", "out.png")
    assert "other pictures or settings" in complaint


def full_card(*_):
    raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 9 GB")


@pytest.mark.parametrize(
    "fill_up",
    [full_card, lambda *_: torch.empty(2**55), lambda *_: bytearray(2**55)],
)
def test_too_little_memory_is_one_line(capsys, monkeypatch, fill_up):
    monkeypatch.setattr("nst_helpers.__main__.StyleTransfer", fill_up)
    assert "choose a smaller --size" in refused(capsys, *SMALL, "-o", "out.png")


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(
        "nst_helpers.__main__.StyleTransfer", lambda *_: torch.ones(2) @ torch.ones(3)
    )
    with pytest.raises(RuntimeError):
        main([*SMALL, "-o", "out.png"])


def test_help_on_a_screen_without_greek_letters():
    run = subprocess.run(
        [sys.executable, "-m", "nst_helpers", "--help"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert run.returncode == 0 and b"--content-weight" in run.stdout


def test_a_broken_checkpoint_is_refused_in_one_line(capsys):
    open("run", "wb").write(b"<html>")
    assert "run: no checkpoint, or cut off" in refused(capsys, *LONG, "-o", "out.png")
