import io
import os
import re
import runpy
import signal
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import IMAGES
from PIL import Image

from nst_helpers import InputError, Settings, StyleTransfer, load_image, save_image
from nst_helpers.__main__ import main
from nst_helpers.checkpoint import save_checkpoint
from nst_helpers.cli import paint as command_line
from nst_helpers.run import forecast, stylize

PAIR = [
    str(IMAGES / "content" / "cat.jpg"),
    str(IMAGES / "style" / "hokusai_great_wave.jpg"),
]
SMALL = [*PAIR, "--size", "32", "--steps", "3"]
pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture(autouse=True)
def no_trial(monkeypatch):
    """Take no time to try how long a run will take."""
    monkeypatch.setattr(command_line, "forecast", lambda *_: (20.0, 1.2))


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
    assert max(load_image("out.png").shape) == 32
    assert os.listdir() == ["out.png"]


def test_it_says_first_what_a_run_takes_here(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "forecast", forecast)
    assert main([*SMALL, "-o", "out.png", "--precision", "float32"]) == 0
    said = capsys.readouterr().err.splitlines()[0]
    assert re.fullmatch(r"float32, 32 pixels: about \d s, [01]\.\d GB of memory", said)


def test_time_is_said_coarsely(monkeypatch, capsys):
    class Nothing(list):
        precision, reason, iteration = "float32", "steps done", 0
        image = torch.zeros(1, 3, 16, 16)

    monkeypatch.setattr(command_line, "StyleTransfer", lambda *_: Nothing())
    times = {3.4: "3 s", 89: "89 s", 91: "2 minutes", 432: "7 minutes"}
    for seconds, said in times.items():
        monkeypatch.setattr(command_line, "forecast", lambda *_, s=seconds: (s, 1.234))
        assert main([*SMALL, "-o", "out.png", "--yes"]) == 0
        line = capsys.readouterr().err.splitlines()[0]
        assert line == f"float32, 32 pixels: about {said}, 1.2 GB of memory"


def test_everything_it_can_write(monkeypatch):
    monkeypatch.setattr(command_line, "GIF_SIDE", 16)
    extras = ["--triptych", "t.png", "--frames", "f", "--gif", "a.gif"]
    assert main([*SMALL, "-o", "out.jpg", *extras, "--recipe", "r.json"]) == 0
    assert sorted(os.listdir("f")) == [f"{i:05d}.png" for i in range(4)]
    assert load_image("t.png").shape[3] > 3 * 64
    with Image.open("a.gif") as gif:
        assert gif.n_frames >= 4 and max(gif.size) == 16
    assert Settings.load("r.json") == Settings(size=32, steps=3)


def test_a_recipe_gives_the_same_picture_and_options_overrule_it():
    options = ["--style-weight", "5", "--start", "noise", "--seed", "4"]
    assert main([*SMALL, *options, "-o", "a.png", "--recipe", "r.json"]) == 0
    before = open("r.json").read()
    assert main([*PAIR, "-o", "b.png", "--recipe", "r.json"]) == 0
    np.testing.assert_array_equal(load_image("a.png"), load_image("b.png"))
    assert main([*PAIR, "-o", "c.png", "--recipe", "r.json", "--steps", "1"]) == 0
    assert not np.array_equal(load_image("a.png"), load_image("c.png"))
    assert open("r.json").read() == before


def test_wrong_input_is_one_line_and_status_2(capsys):
    cases = {
        "": "-o",
        "-o x.psd": "x.psd",
        "-o x.png --triptych t.txt": "t.txt",
        "-o nowhere/x.png": "no folder nowhere",
        "-o x.png --size 7": "size",
        "-o x.png --size big": "--size",
        "-o x.png --steps -1": "steps",
        "-o x.png --style-weight nan": "style_weight",
        "-o x.png --start painting": "--start",
        "-o x.png --device cuda:01": "device",
        "-o x.png --padding mirror": "--padding",
        "-o x.png --weights none.pth": "none.pth",
        "-o x.png --sise 7": "--sise",
        f"-o x.png --frames {__file__}": "not a folder",
        f"-o x.png --recipe {__file__}": "not a recipe",
        "-o x.png --triptych x.png": "named twice",
        f"-o {PAIR[0]} --yes": "named twice",
        "-o x.png --gif x.mp4": ".gif",
        f"-o {'x' * 300}.png": "too long",
        "-o x.png --mix 0.5": "--mix",
        "-o x.png --also none.png:2": "none.png",
        f"-o x.png --also {PAIR[1]}:-1": "the weight in --also",
        f"-o x.png --also {PAIR[1]}:0": "the weight in --also",
        f"-o x.png --also {PAIR[1]} --style-weight 0": "--also does nothing",
        "-o x.png --style-scale 2 --style-weight 0": "--style-scale does nothing",
        "-o x.png --every 3": "--every does nothing without --checkpoint",
        "-o x.png --every-frame 3": "--every-frame does nothing without --frames",
        "-o x.png --frames f --every-frame 0": "--every-frame",
        "-o x.png --seed 3": "--seed does nothing without --start noise",
        "-o x.png --style-scale 0.01": "style_scale",
    }
    for arguments, complaint in cases.items():
        assert complaint in refused(capsys, *PAIR, *arguments.split())
    gone = refused(capsys, PAIR[0], "nothing.jpg", "-o", "x.png")
    assert "nothing.jpg: no such file" in gone
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
    assert max(load_image("out.png").shape) == 32


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
    assert max(load_image("out.png").shape) == 32


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 2), ("", 2)])
def test_it_asks_before_overwriting(monkeypatch, tmp_path, answer, status):
    (tmp_path / "out.png").write_bytes(b"mine")
    keyboard = io.StringIO(answer)
    keyboard.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", keyboard)
    assert main([*SMALL, "-o", "out.png"]) == status
    assert ((tmp_path / "out.png").read_bytes() == b"mine") == (status == 2)


@pytest.mark.long
def test_paintings_are_mixed():
    second = str(IMAGES / "style" / "cassatt_summertime.jpg")
    third = str(IMAGES / "style" / "hokusai_poppies.jpg")
    photo, *paintings = (load_image(path, 32) for path in (*PAIR, second, third))
    wanted = {
        f"--also {second}": (paintings[:2], ()),
        f"--also {second}:2.5": (paintings[:2], (1, 2.5)),
        f"--also {second} --also {third}:0.5": (paintings, (1, 1, 0.5)),
        f"--also {second} --recipe r": (paintings[:2], (1, 3)),
        f"--also {second}:1 --recipe r": (paintings[:2], (1, 1)),
    }
    Settings(mix=(1, 3)).save("r")
    for options, (used, mix) in wanted.items():
        assert main([*SMALL, *options.split(), "-o", "out.png", "--yes"]) == 0
        picture = stylize(photo, used, Settings(size=32, steps=3, mix=mix))
        off = (load_image("out.png") - picture).abs().max()
        assert off <= 0.51 / 255, options


def test_a_run_starts_from_any_picture():
    strokes = str(IMAGES / "style" / "kandinsky_composition_viii.jpg")
    assert main([*SMALL, "--start", strokes, "--frames", "f", "-o", "out.png"]) == 0
    first, photo = load_image("f/00000.png"), load_image(PAIR[0], 32)
    assert first.shape == photo.shape
    height, width = load_image(strokes, 32).shape[2:]
    inside = min(photo.shape[2] / height, photo.shape[3] / width)
    middle = load_image(strokes, round(inside * 32))
    left = (first.shape[3] - middle.shape[3]) // 2
    off = first[..., left : left + middle.shape[3]] - middle
    assert off.abs().max() <= 0.51 / 255


def test_every_nth_frame():
    assert main([*SMALL, "--frames", "f", "--every-frame", "2", "-o", "out.png"]) == 0
    assert sorted(os.listdir("f")) == ["00000.png", "00002.png"]


def test_as_large_as_the_photo():
    save_image(load_image(PAIR[0], 45), "small.png")
    given = ["small.png", PAIR[1], "--size", "photo", "--steps", "1"]
    assert main([*given, "-o", "out.png", "--recipe", "r.json"]) == 0
    assert load_image("out.png").shape == load_image("small.png").shape
    assert Settings.load("r.json").size == 45


@pytest.mark.long
def test_large_pictures_are_painted_from_coarse_to_fine():
    """As long as the first of the sizes has 256 pixels or more."""
    cheap = ["--content-weight", "0", "--style-weight", "0"]  # no network runs
    wanted = {"512": 2, "511": 1, "1100": 3, "1100 --steps 2": 2, "512 --scales 1": 1}
    for options, scales in wanted.items():
        given = [*PAIR, "--steps", "3", "--size", *options.split(), *cheap]
        assert main([*given, "-o", "out.png", "--recipe", "r.json", "--yes"]) == 0
        assert Settings.load("r.json").scales == scales, options
        os.remove("r.json")
    Settings(size=600, steps=1).save("r.json")  # a recipe is kept to
    given = [*PAIR, *cheap, "--recipe", "r.json", "-o", "out.png", "--yes"]
    assert main(given) == 0
    assert max(load_image("out.png").shape) == 600


def test_help_says_what_every_setting_means(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "α, how much the photo's content counts, 0 to 1e6. Default: 1.0." in said
    assert "None Default" not in said and "--mix" not in said
    assert "16 to 4096. Or photo, as it is. Default: 768." in said
    assert "--style-scale" in said and "--also PAINTING[:WEIGHT]" in said


# Fixed, for two processes might measure differently which is faster.
LONG = [*PAIR, "--size", "32", "--steps", "30", "--precision", "float32"]
KEEPING = ["--checkpoint", "run", "--every", "0.05"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Paint the picture of a run that nothing disturbs."""
    path = tmp_path_factory.mktemp("whole") / "whole.png"
    assert main([*LONG, "-o", str(path)]) == 0
    return path


@pytest.mark.long
def test_a_run_broken_off_ends_bit_for_bit_as_if_it_had_not_been(
    whole, monkeypatch, capsys
):
    def break_off(image, path):
        if path == "frames/00009.png":
            raise KeyboardInterrupt
        save_image(image, path)

    with monkeypatch.context() as patched:
        patched.setattr(command_line, "save_image", break_off)
        begun = [*LONG, "--checkpoint", "run", "-o", "out.png", "--frames", "frames"]
        assert main(begun) == 130
    assert "interrupted, the best so far: 9 iterations" in capsys.readouterr().err
    assert main([*LONG, *KEEPING, "-o", "out.png", "--yes"]) == 0
    assert "run: going on at 9" in capsys.readouterr().err
    assert open("out.png", "rb").read() == whole.read_bytes()
    # And more steps of the same run.
    longer = [x if x != "30" else "32" for x in LONG]
    assert main([*longer, *KEEPING, "-o", "more.png"]) == 0
    assert "run: going on at 30" in capsys.readouterr().err
    assert main([*longer, "-o", "at_once.png"]) == 0
    assert open("more.png", "rb").read() == open("at_once.png", "rb").read()


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child")
def test_ctrl_c_saves_the_best_so_far_and_a_checkpoint_of_the_last_step(whole):
    given = [*LONG, *KEEPING, "-o", "out.png", "--frames", "frames"]
    command = [sys.executable, "-m", "nst_helpers", *given]
    run = subprocess.Popen(command, stderr=subprocess.PIPE)
    limit = time.monotonic() + 60
    while not os.path.exists("frames/00005.png") or not os.path.exists("run"):
        assert time.monotonic() < limit and run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=60)[1].decode()
    assert run.returncode == 130 and os.path.exists("run")
    assert "Traceback" not in said and "interrupted" in said
    # Ctrl-C may have come before the last picture's frame was written, or within.
    last = sorted(os.listdir("frames"))[-1]
    frame, best = load_image(f"frames/{last}"), load_image("out.png")
    start = load_image("frames/00000.png")
    assert (best - frame).abs().mean() < (best - start).abs().mean() / 3
    assert main([*LONG, *KEEPING, "-o", "out.png", "--yes"]) == 0
    # Ctrl-C within a step makes L-BFGS forget: as good a picture, not the same bits.
    assert (load_image(whole) - load_image("out.png")).abs().mean() < 0.05


def test_a_checkpoint_of_another_run_is_not_gone_on_from(capsys):
    photo, painting = (load_image(path, 32) for path in PAIR)
    settings = Settings(size=32, steps=30, precision="float32")
    here = [*LONG, *KEEPING, "-o", "out.png"]
    swapped, heavier = [PAIR[1], PAIR[0], *here[2:]], [*here, "--style-weight", "7"]
    for paintings, others in {
        (painting,): (swapped, heavier),
        (painting, photo): (here,),
    }.items():
        save_checkpoint(StyleTransfer(photo, paintings, settings), "run")
        before = open("run", "rb").read()
        for other in others:
            assert "other pictures or settings" in refused(capsys, *other)
        assert open("run", "rb").read() == before


def full_card(*_):
    raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 9 GB")


def test_too_little_memory_is_one_line(capsys, monkeypatch):
    too_much = lambda *_: torch.empty(2**55), lambda *_: bytearray(2**55)
    for fill_up in (full_card, *too_much):
        monkeypatch.setattr(command_line, "StyleTransfer", fill_up)
        assert "choose a smaller --size" in refused(capsys, *SMALL, "-o", "out.png")


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    fault = lambda *_: torch.ones(2) @ torch.ones(3)  # noqa: E731
    monkeypatch.setattr(command_line, "StyleTransfer", fault)
    with pytest.raises(RuntimeError):
        main([*SMALL, "-o", "out.png"])


def test_help_on_a_screen_without_greek_letters(monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("sys.argv", ["nst_helpers", "--help"])
    with pytest.raises(SystemExit) as leaving, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is loaded already
        runpy.run_module("nst_helpers", run_name="__main__")
    screen.flush()
    said = screen.buffer.getvalue()
    assert leaving.value.code == 0 and b"--content-weight" in said
    assert rb"\u03b1, how much the photo's content counts" in b" ".join(said.split())


def test_run_by_a_notebook(monkeypatch):
    """As by %run -m nst_helpers: its streams are its own, its figures go on."""
    said = []
    stream = SimpleNamespace(write=said.append, flush=lambda: None)
    monkeypatch.setattr(
        "sys.argv", ["nst_helpers", *SMALL, "-o=o.png", "--triptych=t.png"]
    )
    before, figures = matplotlib.get_backend(), plt.get_fignums()
    matplotlib.use("svg")
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    with pytest.raises(SystemExit) as leaving, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is loaded already
        runpy.run_module("nst_helpers", run_name="__main__")
    assert leaving.value.code == 0 and "o.png" in said
    assert sys.stdout is sys.stderr is stream
    assert matplotlib.get_backend() == "svg" and plt.get_fignums() == figures
    matplotlib.use(before)


def test_a_broken_checkpoint_is_refused_in_one_line(capsys):
    open("run", "wb").write(b"<html>")
    complaint = refused(capsys, *LONG, *KEEPING, "-o", "out.png")
    assert "run: no checkpoint, or cut off" in complaint


def test_a_photos_transparency_is_kept_where_the_file_can_hold_it():
    photo = Image.open(PAIR[0]).resize((90, 60)).convert("RGBA")
    alpha = Image.linear_gradient("L").resize(photo.size)
    photo.putalpha(alpha)
    photo.save("photo.png")
    for name in ("out.png", "out.webp", "out.jpg"):
        assert main(["photo.png", PAIR[1], *SMALL[2:], "-o", name]) == 0
        with Image.open(name) as picture:
            assert picture.mode == ("RGB" if name == "out.jpg" else "RGBA")
            if picture.mode == "RGBA":
                kept = np.asarray(picture.getchannel("A"), np.float32)
                wanted = np.asarray(alpha.resize(picture.size, Image.Resampling.BOX))
                assert abs(kept - wanted).max() < 6


def test_a_larger_style_scale_sees_the_painting_as_it_is():
    given = [*SMALL, "--style-scale", "2", "--precision", "float32"]
    assert main([*given, "-o", "out.png"]) == 0
    settings = Settings(size=32, steps=3, style_scale=2.0, precision="float32")
    off = load_image("out.png") - stylize(*PAIR, settings)
    assert off.abs().max() < 0.02  # the photo was shrunk in another way


def test_a_recipes_colours_are_overruled():
    Settings(size=32, steps=1, keep_colors="photo").save("r.json")
    given = [*PAIR, "--recipe", "r.json", "-o", "out.png", "--yes"]
    assert main([*given, "--keep-colors", "none"]) == 0
    plain = load_image("out.png")
    assert main([*PAIR, "--size", "32", "--steps", "1", "-o", "plain.png"]) == 0
    assert torch.equal(plain, load_image("plain.png"))
    assert main(given) == 0 and not torch.equal(plain, load_image("out.png"))


@pytest.mark.long
def test_python_without_docstrings_knows_the_options():
    command = [sys.executable, "-OO", "-m", "nst_helpers", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "--style-weight" in done.stdout
