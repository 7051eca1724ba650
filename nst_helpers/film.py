"""Films: each frame is begun from the one before, moved along with what moves.

python -m nst_helpers.film FRAMES PAINTING -o OUT: folders of pictures, or videos.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .cli.options import LARGE, Parser, add_settings, change
from .cli.process import report
from .device import load_network, pick_device
from .files import InputError, look
from .flow import follow, hold
from .images import (
    Picture,
    as_image,
    as_paintings,
    list_endings,
    load_image,
    save_image,
)
from .pixels import resize, stretch, to_bytes
from .settings import Settings
from .terms import OF_LOSSES, choose_losses, finish
from .transfer import StyleTransfer


def paint_film(
    frames: Iterable[Picture],
    painting: Picture,
    settings: Settings = Settings(),
    weight: float = 1.0,
    painted: Picture | None = None,
) -> Iterator[Tensor]:
    """Paint frames, each begun from the one before, and held to it.

    Args:
        frames: pictures of one shape, in order.
        painting: as in StyleTransfer.
        settings: of the first frame; the others take half the steps, at one scale.
        weight: of the temporal loss, in weights of content, style and tv together.
        painted: the first frame, if that is painted already; then it is not yielded.

    Yields:
        (1, 3, H, W) in [0, 1], each frame.

    Raises:
        InputError: as StyleTransfer does; a frame of another shape.
    """
    painting, before = as_paintings(painting), None
    keep = None if settings.keep_colors == "photo" else settings.keep_colors
    plain = {name: getattr(Settings(), name) for name in OF_LOSSES}
    aim = replace(settings, keep_colors=keep, **plain)  # the losses know these
    network = load_network(settings, pick_device(settings.device))
    later = replace(aim, steps=max(1, settings.steps // 2), scales=1)
    for frame in frames:
        now = resize(as_image(frame, "frame"), settings.size, "the frame")
        losses = choose_losses(painting, settings)
        if before is not None and now.shape != before.shape:
            raise InputError("the frames differ in shape; bring them to one")
        if before is None and painted is not None:
            painted, before = stretch(as_image(painted, "frame"), *now.shape[2:]), now
            continue
        if before is None:
            run = StyleTransfer(now, painting, aim, losses, network)
        else:
            moved, trust = follow(painted, before, now)
            losses = hold(losses, moved, trust, weight)
            run = StyleTransfer(now, painting, later, losses, network)
            run.image = torch.where(trust > 0, moved, now)
        for _ in run:
            pass
        painted, before = run.image, now
        yield finish(painted, now, settings)


def main(arguments: list[str] | None = None) -> None:
    """Paint a film for the command line; one that was broken off goes on."""
    parser = Parser(prog="python -m nst_helpers.film", description="Paint a film.")
    parser.add_argument("frames", metavar="FRAMES", help="a folder, or a video")
    parser.add_argument("painting", metavar="PAINTING", help="gives the style")
    what = "a folder for the frames, to go on from; OUT.mp4: a video as well"
    parser.add_argument("-o", "--out", required=True, metavar="OUT", help=what)
    add_settings(parser)
    options = parser.parse_args(arguments)
    settings, out = change(LARGE, options), Path(options.out)
    names, fps, frames = _read(Path(options.frames))
    if not names:
        raise InputError(f"{options.frames}: no frames in it; name another")
    if out.suffix and look(out) or out.with_suffix("") == Path(options.frames):
        raise InputError(f"{out}: there already, or FRAMES lie there; name another")
    ffmpeg = out.suffix and _ffmpeg()
    out.with_suffix("").mkdir(exist_ok=True)
    files = [out.with_suffix("") / f"{name}.png" for name in names]
    done = len(list(takewhile(look, files)))
    painted = files[done - 1] if done else None
    rest = islice(frames, max(0, done - 1), None)
    film = paint_film(rest, options.painting, settings, painted=painted)
    bar = tqdm(files[done:], unit="frame", total=len(files), initial=done)
    for file, image in zip(bar, film, strict=False):
        save_image(image, file)
    if out.suffix:
        size = [side // 2 * 2 for side in load_image(files[0]).shape[:1:-1]]
        more = {"fps": fps, "quality": 8, "macro_block_size": 2}
        writer = ffmpeg.write_frames(str(out), size, **more)
        writer.send(None)
        for file in files:
            writer.send(to_bytes(stretch(load_image(file), *size[::-1])).tobytes())
        writer.close()


def _read(place: Path) -> tuple[list[str], float, Iterable[Picture]]:
    """Return the names of frames, how many a second, and the frames."""
    if place.is_dir():
        endings = list_endings()
        files = sorted(x for x in place.iterdir() if x.suffix.lower() in endings)
        return [file.stem for file in files], 25.0, files
    try:
        count, _ = _ffmpeg().count_frames_and_secs(str(place))
        reader = _ffmpeg().read_frames(str(place))
        about = next(reader)
    except (OSError, RuntimeError):
        raise InputError(f"{place}: no folder, and no video that can be read") from None
    shape = *about["size"][::-1], 3
    frames = (np.frombuffer(data, np.uint8).reshape(shape) for data in reader)
    return [f"{n:05d}" for n in range(count)], about["fps"], frames


def _ffmpeg() -> ModuleType:
    """Return what reads and writes videos, if it is there."""
    try:
        import imageio_ffmpeg
    except ImportError:
        line = "videos need ffmpeg: pip install 'nst_helpers[film]', or give a folder"
        raise InputError(line) from None
    return imageio_ffmpeg


if __name__ == "__main__":
    sys.exit(report(main))
