"""The command line of films: folders of pictures, or videos."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from contextlib import closing
from itertools import islice, takewhile
from pathlib import Path
from types import ModuleType

import numpy as np
from tqdm import tqdm

from ..files import InputError, look, write_file
from ..film import paint_film
from ..images import Picture, as_image, list_endings, load_image, save_image
from ..pixels import stretch, to_bytes
from .options import LARGE, Parser, add_settings, change
from .places import expand, try_to_write

VIDEOS = ".mp4", ".mov", ".mkv", ".avi"  # endings


def paint_frames(arguments: list[str] | None = None) -> None:
    """Paint a film for the command line; one that was broken off goes on."""
    parser = Parser(prog="python -m nst_helpers.film", description="Paint a film.")
    parser.add_argument("frames", metavar="FRAMES", help="a folder, or a video")
    parser.add_argument("painting", metavar="PAINTING", help="gives the style")
    what = "a folder for the frames, to go on from; OUT.mp4: a video as well"
    parser.add_argument("-o", "--out", required=True, metavar="OUT", help=what)
    add_settings(parser)
    options = parser.parse_args(arguments)
    settings, out = change(LARGE, options), Path(expand("out", options.out))
    if out.suffix.lower() not in ("", *VIDEOS):
        raise InputError(f"{out}: end the name in {', '.join(VIDEOS)}, or in nothing")
    folder, source = out.with_suffix("") if out.suffix else out, Path(options.frames)
    if out.suffix and look(out):
        raise InputError(f"{out}: there already; name another")
    if look(folder) and look(source) and os.path.samefile(folder, source):
        raise InputError(f"{folder}: FRAMES lie there; name another")
    names, fps, frames = _read(source)
    if not names:
        raise InputError(f"{source}: no frames in it; name another")
    if len(set(names)) < len(names):
        raise InputError(f"{source}: two frames have one name; rename one")
    painting = as_image(options.painting, "painting")
    if out.suffix:
        _ffmpeg()
    folder.mkdir(exist_ok=True)
    try_to_write(folder)
    files = [folder / f"{name}.png" for name in names]
    sha256 = hashlib.sha256(to_bytes(painting).tobytes()).hexdigest()
    film = {"recipe": settings.to_json(), "painting": sha256, "frames": names}
    film, told = json.dumps(film).encode(), folder / "film.json"
    is_same = look(told) and told.read_bytes() == film
    if any(map(look, [told, *files])) and not is_same:
        line = "frames of another film, or painted otherwise, lie there"
        raise InputError(f"{folder}: {line}; name another folder")
    done = len(list(takewhile(look, files)))
    painted = files[done - 1] if done else None
    rest = islice(frames, max(0, done - 1), None)
    images = paint_film(rest, painting, settings, painted=painted)
    bar = tqdm(files[done:], unit="frame", total=len(files), initial=done)
    for file, image in zip(bar, images, strict=False):
        write_file(told, film)
        save_image(image, file)
    if out.suffix:
        _write(list(takewhile(look, files)), out, fps)


def _read(source: Path) -> tuple[list[str], float, Iterable[Picture]]:
    """Return the names of frames, how many a second, and the frames."""
    if source.is_dir():
        endings = list_endings()
        files = sorted(x for x in source.iterdir() if x.suffix.lower() in endings)
        return [file.stem for file in files], 25.0, files
    ffmpeg = _ffmpeg()
    # Each as it is stored: at an even pace some would be there twice, or not at all.
    as_stored = {"output_params": ["-fps_mode", "passthrough"]}
    try:
        count, _ = ffmpeg.count_frames_and_secs(str(source))
        reader = ffmpeg.read_frames(str(source), **as_stored)
        about = next(reader)
    except (OSError, RuntimeError):
        line = "no folder, and no video that can be read"
        raise InputError(f"{source}: {line}") from None
    shape = *about["size"][::-1], 3
    frames = (np.frombuffer(data, np.uint8).reshape(shape) for data in reader)
    return [f"{n:05d}" for n in range(count)], about["fps"], frames


def _write(files: list[Path], out: Path, fps: float) -> None:
    """Write a video, whole or not at all."""
    ffmpeg, part = _ffmpeg(), out.with_name(f".nst-{uuid.uuid4().hex}.part{out.suffix}")
    width, height = (side // 2 * 2 for side in load_image(files[0]).shape[:1:-1])
    more = {"fps": fps, "quality": 8, "macro_block_size": 2}
    more["ffmpeg_log_level"] = "quiet"
    try:
        with closing(ffmpeg.write_frames(str(part), (width, height), **more)) as writer:
            writer.send(None)
            for file in files:
                frame = stretch(load_image(file), height, width)
                writer.send(to_bytes(frame).tobytes())
        if ffmpeg.count_frames_and_secs(str(part))[0] != len(files):
            raise OSError
        os.replace(part, out)
    except (OSError, RuntimeError):
        line = f"cannot be written; is the disk full? Frames: {files[0].parent}"
        raise InputError(f"{out}: {line}") from None
    finally:
        part.unlink(missing_ok=True)


def _ffmpeg() -> ModuleType:
    """Return what reads and writes videos, if it is there."""
    try:
        import imageio_ffmpeg
    except ImportError:
        line = "videos need ffmpeg: pip install 'nst_helpers[film]', or give a folder"
        raise InputError(line) from None
    return imageio_ffmpeg
