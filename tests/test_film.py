import os
import subprocess
from functools import partial
from itertools import pairwise

import imageio_ffmpeg as ffmpeg
import numpy as np
import pytest
import torch
from conftest import IMAGES, TINY

from nst_helpers import (
    ContentLoss,
    InputError,
    Settings,
    StyleLoss,
    load_image,
    save_image,
    stylize,
)
from nst_helpers.cli.films import paint_frames as main
from nst_helpers.cli.process import report
from nst_helpers.film import paint_film
from nst_helpers.film.flow import TemporalLoss, follow, hold
from nst_helpers.pixels import to_array

WAVE = IMAGES / "style" / "hokusai_great_wave.jpg"


@pytest.fixture(scope="module")
def lake():
    return load_image(IMAGES / "content" / "lake.jpg", 240)


def crop(picture, across, down=8, size=96):
    return picture[:, :, down : down + size, across : across + size].clone()


@pytest.fixture(scope="module")
def frames(lake):
    """Make a film of a moving crop: 4 pixels to the right a frame."""
    return [crop(lake, 8 + 4 * t) for t in range(6)]


def flicker(frames, painted):
    """Average |xₜ − ωₜ₋₁| where the motion, which we know, leaves nothing new."""
    changes = [(new[..., :-4] - old[..., 4:]).abs() for old, new in pairwise(painted)]
    assert len(changes) == len(frames) - 1
    return torch.stack(changes).mean().item()


def test_what_moved_is_followed(lake):
    before, now = crop(lake, 8), crop(lake, 12, 10)  # 4 right, 2 down
    moved, trust = follow(lake[:, :, 8:104, 8:104] * 0.5, before, now)
    off = (moved - 0.5 * now).abs().mean(1)[0]
    assert off[trust > 0].mean() < 0.01 and trust.mean() > 0.8
    assert set(trust.unique().tolist()) <= {0.0, 1.0}
    assert not trust[-1:].any() and not trust[:, -3:].any()  # has come into view


def test_what_was_hidden_is_not_trusted(lake):
    """A square moves over the lake: where it was, nothing is known."""
    before, now = crop(lake, 40), crop(lake, 40)
    square = crop(load_image(IMAGES / "content" / "cat.jpg", 240), 60, 40, 40)
    before[:, :, 30:70, 20:60] = square
    now[:, :, 30:70, 28:68] = square
    trust = follow(before, before, now)[1]
    assert trust[32:68, 21:27].mean() < 0.5  # come out behind it
    assert trust[36:64, 36:60].mean() > 0.9 and trust[:20].mean() > 0.95


def test_the_loss_is_that_of_the_paper(vgg):
    moved, image = torch.rand(2, 1, 3, 16, 20)
    trust = torch.rand(16, 20)
    loss = TemporalLoss(moved, trust)
    loss.prepare(vgg, image)
    c = trust.numpy()[None, None]
    x, w = image.numpy(), moved.numpy()
    expected = (c * (x - w) ** 2).sum() / (c * w**2).sum()
    assert loss(image, {}).item() == pytest.approx(expected, rel=1e-5)
    assert loss(moved, {}).item() == 0


def test_what_is_new_has_each_style_by_its_area():
    trust, moved = torch.ones(16, 20), torch.rand(1, 3, 16, 20)
    losses = [ContentLoss(2.0), StyleLoss(torch.rand(1, 3, 20, 20), 8.0)]
    assert len(hold(losses, moved, trust, 0.5)) == 3  # nothing is new
    trust[:, 15:] = 0
    *same, held, new = hold(losses, moved, trust, 0.5)
    assert same == losses and held.weight == 0.5 * 10
    assert (new.name, new.weight) == ("new style", 0.25 * 8)
    assert torch.equal(new.mask, 1 - trust) and losses[1].mask is None


@pytest.mark.long
def test_a_film_flickers_a_third_of_frame_by_frame(frames):
    frames = frames[:3]
    aim = Settings(size=96, steps=12, precision="float32")
    alone = [stylize(frame, WAVE, aim) for frame in frames]
    painted = list(paint_film(frames, WAVE, aim))
    assert flicker(frames, painted) < flicker(frames, alone) / 3
    assert flicker(frames, alone) > 2 * flicker(frames, frames)  # it does flicker
    far = [(film[-1] - frames[-1]).abs() for film in (alone, painted)]
    assert far[1].mean() > 0.5 * far[0].mean()  # still a painting
    new = [x[..., -8:].mean() for x in far]  # and so is what has come into view
    assert new[1] > 0.5 * new[0], new


def test_frames_of_another_shape_are_refused(plain, frames):
    film = paint_film([frames[0], frames[1][..., :48]], WAVE, TINY)
    next(film)
    with pytest.raises(InputError, match="differ in shape"):
        next(film)


def test_the_photos_colours_are_kept_frame_by_frame(plain, frames):
    aim = Settings(**{**vars(TINY), "keep_colors": "photo"})
    for frame, image in zip(frames[:3], paint_film(frames[:3], WAVE, aim), strict=True):
        small = load_image(frame, 32)
        grey = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        chroma = [x - (grey * x).sum(1, keepdim=True) for x in (small, image)]
        inside = ((image > 0.01) & (image < 0.99)).all(1)[0]
        off = (chroma[0] - chroma[1]).abs()[0, :, inside]
        assert off.max() < 0.01


SMALL = ["--size", "48", "--steps", "2", "--precision", "float32"]


def test_a_folder_becomes_a_folder_and_goes_on(plain, empty_folder, frames, capsys):
    os.mkdir("in")
    for number, frame in enumerate(frames[:4]):
        save_image(frame, f"in/{number}.png")
    line = ["in", str(WAVE), "-o", "out", *SMALL]
    assert report(lambda: main(line)) == 0
    assert sorted(os.listdir("out")) == [*(f"{n}.png" for n in range(4)), "film.json"]
    painted = [load_image(f"out/{n}.png") for n in range(4)]
    os.remove("out/2.png")
    os.remove("out/3.png")
    before = [os.stat(f"out/{n}.png").st_mtime_ns for n in range(2)]
    assert report(lambda: main(line)) == 0
    assert [os.stat(f"out/{n}.png").st_mtime_ns for n in range(2)] == before
    for n, image in enumerate(painted):
        again = load_image(f"out/{n}.png")
        # What goes on begins from the frame as it was rounded in the file.
        assert (again - image).abs().mean() < (0.01 if n > 1 else 1e-9)
    for more in (["--size", "40"], ["--style-weight", "5"]):
        assert report(lambda more=more: main([*line, *more])) == 2
        assert "frames of another film, or painted otherwise" in capsys.readouterr().err
    os.mkdir("none")
    os.mkdir("twins")
    os.mkdir("foreign")
    for name in ("twins/a.png", "twins/a.jpg", "foreign/1.png"):
        save_image(frames[0], name)
    for wrong, out, said in (
        ("none", "out", "no frames"),
        ("gone", "out", "no video"),
        ("out", "out", "FRAMES lie there"),
        ("in", os.path.abspath("in"), "FRAMES lie there"),
        ("twins", "new", "two frames have one name"),
        ("in", "foreign", "frames of another film"),
        ("in", "new.webm", "end the name in .mp4"),
        ("in", "", "an empty name"),
    ):
        capsys.readouterr()
        assert report(partial(main, [wrong, line[1], "-o", out, *SMALL])) == 2
        err = capsys.readouterr().err
        assert said in err and len(err.splitlines()) == 1
    assert os.listdir("foreign") == ["1.png"] and not os.path.exists("new")


def test_a_weight_of_no_sense_is_refused_before_anything_is_painted(plain, frames):
    for weight in (-1.0, 1e4, float("nan"), "2"):
        with pytest.raises(InputError, match="weight is a number from 0.0 to 1,000.0"):
            next(paint_film(frames, WAVE, TINY, weight))
    heavy = Settings(**{**vars(TINY), "style_weight": 1e6})
    assert len(list(paint_film(frames[:2], WAVE, heavy))) == 2


def test_a_video_that_cannot_be_written_leaves_none(
    plain, empty_folder, frames, monkeypatch, capsys
):
    os.mkdir("in")
    for number, frame in enumerate(frames[:2]):
        save_image(frame, f"in/{number}.png")
    line = ["in", str(WAVE), "-o", "out.mp4", *SMALL]
    with monkeypatch.context() as full:
        full.setattr(ffmpeg, "count_frames_and_secs", lambda path: (1, 0.0))
        assert report(lambda: main(line)) == 2
    assert "out.mp4: cannot be written" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["in", "out"]
    assert report(lambda: main(line)) == 0
    assert "2/2" in capsys.readouterr().err  # the frames were there
    assert ffmpeg.count_frames_and_secs("out.mp4")[0] == 2


def test_frames_at_an_uneven_pace_are_all_painted(plain, empty_folder, frames):
    for number, frame in enumerate(frames[:4]):
        save_image(frame, f"{number}.png")
    pace = "setpts=N*N*0.1/TB"  # seconds 0, 0.1, 0.4, 0.9
    command = [ffmpeg.get_ffmpeg_exe(), "-i", "%d.png", "-vf", pace, "-fps_mode", "vfr"]
    subprocess.run([*command, "in.mp4"], check=True, capture_output=True)
    assert report(lambda: main(["in.mp4", str(WAVE), "-o", "out", *SMALL])) == 0
    painted = [load_image(f"out/{n:05d}.png") for n in range(4)]
    assert len(os.listdir("out")) == 5
    # Each has moved on by 2 of 48 pixels.
    assert all((a - b).abs().mean() > 0.03 for a, b in pairwise(painted))


def test_a_video_becomes_a_video(plain, empty_folder, frames):
    writer = ffmpeg.write_frames("in.mp4", (96, 96), fps=12, macro_block_size=2)
    writer.send(None)
    for frame in frames[:3]:
        pixels = (frame[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        writer.send(np.ascontiguousarray(pixels).tobytes())
    writer.close()
    line = ["in.mp4", str(WAVE), "-o", "out.mp4", *SMALL]
    assert report(lambda: main(line)) == 0
    assert report(lambda: main(line)) == 2  # it is there
    assert ffmpeg.count_frames_and_secs("out.mp4")[0] == 3
    reader = ffmpeg.read_frames("out.mp4")
    about = next(reader)
    assert about["size"] == (48, 48) and about["fps"] == pytest.approx(12)
    kept = [to_array(load_image(f"out/{n:05d}.png")).ravel() for n in range(3)]
    for number, data in enumerate(reader):
        off = [abs(np.frombuffer(data, np.uint8) / 255 - x).mean() for x in kept]
        assert off[number] == min(off) < 0.06  # as far as the codec goes
