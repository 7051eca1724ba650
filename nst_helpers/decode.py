"""Files of pictures, whole or odd, to arrays.

This is the only module that knows of EXIF, colour profiles, bit depths and whatever
else may stand in a file.
"""

import contextlib
import io
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

from .files import InputError

MAX_PIXELS = 64_000_000
HUGE = 4_000_000
MAX_BYTES = 500_000_000  # of a pipe, which may never end
# Of a profile, or a text; Photoshop's have 3 million. Of all texts, Pillow takes 64.
PngImagePlugin.MAX_TEXT_CHUNK = 16_000_000
with contextlib.suppress(ImportError):  # who has it can read iPhones' photos as well
    import pillow_heif

    pillow_heif.register_heif_opener()
Image.init()
# Read by Pillow itself; some of its other formats would start other programs.
READ = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "HEIF")
READ = [kind for kind in READ if kind in Image.OPEN]  # AVIF came with Pillow 11.3
# A camera's orientation (EXIF): what turns the picture upright.
TURNS = dict(zip(range(2, 9), map(Image.Transpose, (0, 3, 1, 5, 4, 6, 2)), strict=True))
# Chunks of a PNG: for its pixels, and for which side is up and its colours.
PIXELS, LOOKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"), (b"eXIf", b"iCCP")
# Pillow brings these to 0 ... 255, but not the colour that is transparent.
PNG_KEYS = {"L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}


def find_file(given: str, name: str) -> Path | io.BytesIO:
    """Return the path of a file that is there, or what a pipe holds ("-": stdin)."""
    try:
        path = Path(os.path.expanduser(given))
        if path.is_dir():
            raise InputError(f"{name}: this is a folder; name a picture inside it")
        if given == "-" or path.is_fifo():
            with open(0 if given == "-" else path, "rb", closefd=given != "-") as pipe:
                return io.BytesIO(pipe.read(MAX_BYTES))
        if not path.exists():
            advice = "no such file; check the spelling and the folder"
            if re.match("[A-Za-z]{2,}:/", given):
                advice = "an address; download the picture first, then name its file"
            raise InputError(f"{name}: {advice}")
        if not path.is_file() or path.stat().st_size == 0:
            raise InputError(f"{name}: empty; copy or download the picture again")
    except InputError:
        raise
    except (OSError, ValueError) as error:  # the latter of NUL in a name
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: cannot be opened: {why}") from error
    return path


def decode(
    file: Path | io.BytesIO | Image.Image, name: str, long_side: int | None
) -> np.ndarray:
    """Decode a picture to an array that load_image takes; shrink huge ones roughly."""
    too_large = f"{name}: larger than {MAX_PIXELS // 10**6} megapixels; make it smaller"
    too_large += " in any picture viewer first"
    is_file = not isinstance(file, Image.Image)
    try:
        with warnings.catch_warnings(), contextlib.ExitStack() as stack:
            warnings.simplefilter("ignore")  # of odd but harmless metadata
            opened = file
            if is_file:  # reads the header only
                opened = stack.enter_context(_open(file))
            huge = long_side and opened.width * opened.height > HUGE
            if opened.width * opened.height > MAX_PIXELS and huge and is_file:
                opened.draft(None, (long_side, long_side))  # decodes a JPEG smaller
            if opened.width * opened.height > MAX_PIXELS:
                raise InputError(too_large)
            picture = _upright(opened)
        if picture.mode.startswith("I") or picture.mode == "F":
            return _deep(picture, getattr(opened, "tag_v2", {}))
        rgb = _in_srgb(picture)
        # Averaging whole pixels first keeps a huge picture from filling the memory; no
        # fewer than twice those needed are left.
        spare = max(rgb.size) // (2 * long_side) if huge else 1
        return np.asarray(rgb.reduce(spare) if spare > 1 else rgb)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(too_large) from None
    except PermissionError as error:
        raise InputError(f"{name}: cannot be opened: {error.strerror}") from error
    except Exception as error:  # decoders raise whatever a broken file provokes
        data = b""
        with contextlib.suppress(OSError):
            if is_file:
                data = file.read_bytes() if isinstance(file, Path) else file.getvalue()
        for number in (2, 1, 0) if data.startswith(b"\x89PNG") else ():
            if len(bare := _only_chunks(data, PIXELS + LOOKS[:number])) < len(data):
                return decode(io.BytesIO(bare), name, long_side)
        what = f"broken or cut off ({error}); copy or download it again"
        if isinstance(error, UnidentifiedImageError):
            what = "not an image that can be read here; save it as JPEG or PNG"
            if re.match(b"....ftyp(hei|hev|mif1|msf1)", data, re.DOTALL):
                what += "; or, as it is HEIC, pip install pillow-heif"
        raise InputError(f"{name}: {what}") from error


def _open(file: Path | io.BytesIO) -> Image.Image:
    """Read a file's header; Pillow's limit does not count for JPEGs, which shrink."""
    try:
        return Image.open(file, formats=READ)
    except Image.DecompressionBombError:
        with contextlib.suppress(SyntaxError):  # no JPEG
            if isinstance(file, io.BytesIO):
                file.seek(0)
            return JpegImagePlugin.JpegImageFile(file)
        raise


def _only_chunks(png: bytes, chunks: tuple[bytes, ...]) -> bytes:
    """Leave out of a PNG what it does not need: that may be all that is broken."""
    kept, start = [png[:8]], 8
    while start < len(png):
        end = start + 12 + int.from_bytes(png[start : start + 4], "big")
        if png[start + 4 : start + 8] in chunks:
            kept.append(png[start:end])
        start = end
    return b"".join(kept)


def _upright(opened: Image.Image) -> Image.Image:
    """Load a picture's pixels and turn it as its EXIF says, if that can be read."""
    key = opened.info.get("transparency")
    packed = opened.tile[0][3] if opened.format == "PNG" and opened.tile else None
    if key is not None and packed in PNG_KEYS:
        keys = np.int64(np.multiply(key, PNG_KEYS[packed])).tolist()
        opened.info["transparency"] = tuple(keys) if isinstance(key, tuple) else keys
    opened.load()
    try:
        turn = TURNS.get(opened.getexif().get(0x0112))
    except Exception:  # garbage: the pixels as they are
        turn = None
    return opened if turn is None else opened.transpose(turn)


def _deep(picture: Image.Image, tags: Mapping[int, Any]) -> np.ndarray:
    """Turn a grey picture of more than 8 bits, and its tags (TIFF), into an array."""
    deep = np.asarray(picture)
    if picture.mode != "F" and 0 <= deep.min() and deep.max() <= 65535:
        deep = deep.astype(np.uint16)  # "I": 32 bits of room, mostly for 16
    if tags.get(258) == (12,):  # bits
        deep = deep << 4 | deep >> 8
    if tags.get(262) == 0:  # white is zero
        deep = (1 if picture.mode == "F" else 65535) - deep
    if (key := picture.info.get("transparency")) is not None:
        alpha = np.where(deep == key, 0, 65535).astype(np.uint16)
        deep = np.stack([deep, alpha], axis=-1)
    return deep


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Bring a picture to RGB or RGBA, its colours to those that screens show."""
    profile = picture.info.get("icc_profile")
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        # Before the profile, which would lose a transparent colour.
        picture = picture.convert("RGBA")
    elif picture.mode not in ("L", "CMYK"):
        picture = picture.convert("RGB")
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    if profile:
        try:
            theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            ours = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(picture, theirs, ours, outputMode=mode)
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile: the numbers as they are
    return picture.convert(mode)
