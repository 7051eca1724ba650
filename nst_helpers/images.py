"""Pictures in and out: files and arrays to tensors, and back.

An image is a float32 tensor (1, 3, H, W), RGB, in [0, 1]. This is the only module that
knows of EXIF, transparency, bit depths and colour orders.
"""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from .files import InputError, write_file
from .pixels import resize, to_bytes, to_tensor

MAX_PIXELS = 64_000_000
HUGE = 4_000_000
# Read by Pillow itself; some of its other formats would start other programs.
READ = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF")
FORMATS = {f".{kind.lower()}": kind for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP")}
FORMATS |= {".jpg": "JPEG", ".tif": "TIFF"}


def load_image(
    source: str | os.PathLike | bytes | memoryview | np.ndarray,
    long_side: int | None = None,
    name: str = "the uploaded data",
) -> Tensor:
    """Read a picture as an image tensor.

    The camera's orientation (EXIF) and colour profile (ICC) are obeyed, transparency is
    laid on white, and grey, 16-bit, palette and CMYK pictures become RGB. Of an
    animation, the first frame.

    Args:
        source: a path, the bytes of an image file, or an array (H, W), (H, W, 1), ...
            (H, W, 4): grey, grey + alpha, RGB, RGBA; uint8, uint16 or float in [0, 1].
        long_side: bring the longer side to this many pixels, keeping the shape.
        name: of bytes, for the errors.

    Returns:
        (1, 3, H, W) float32 RGB in [0, 1].

    Raises:
        InputError: missing, a folder, empty, not to be opened, not an image, cut off,
            over 64 megapixels, or a side under 16 pixels; an array of another shape or
            type, or with numbers outside [0, 1]; or OpenCV is broken. The line names
            the file.
    """
    if isinstance(source, np.ndarray):
        name, pixels = "the array", source
    elif isinstance(source, bytes | bytearray | memoryview):
        if not len(source):
            raise InputError(f"{name}: empty (0 bytes); choose the picture again")
        pixels = _decode(io.BytesIO(source), name, long_side)
    else:
        name = os.fspath(source)
        pixels = _decode(_find(name), name, long_side)
    image = to_tensor(_to_rgb(pixels, name))
    return resize(image, max(image.shape[2:]) if long_side is None else long_side, name)


def _find(name: str) -> Path:
    """Return the path of a file that is there and not empty."""
    path = Path(os.path.expanduser(name))
    try:
        if path.is_dir():
            raise InputError(f"{name}: this is a folder; name a picture inside it")
        if not path.exists():
            raise InputError(f"{name}: no such file; check the spelling and the folder")
        if not path.is_file() or path.stat().st_size == 0:
            raise InputError(f"{name}: empty; copy or download the picture again")
    except OSError as error:
        raise InputError(f"{name}: cannot be opened: {error.strerror}") from error
    return path


def _decode(file: Path | io.BytesIO, name: str, long_side: int | None) -> np.ndarray:
    """Decode an image file to an array that _to_rgb understands."""
    too_large = f"{name}: larger than {MAX_PIXELS // 10**6} megapixels; make it smaller"
    too_large += " in any picture viewer first"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd but harmless metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=READ) as opened:  # reads the header only
                if opened.width * opened.height > MAX_PIXELS:
                    raise InputError(too_large)
                upright = ImageOps.exif_transpose(opened)
        if upright.mode.startswith("I;16") or upright.mode == "F":
            return np.asarray(upright)
        if upright.mode == "I":  # 32 bits of room, mostly for a picture of 16
            deep = np.asarray(upright)
            fits = 0 <= deep.min() and deep.max() <= 65535
            return deep.astype(np.uint16) if fits else deep
        rgb = _in_srgb(upright)
        # Averaging whole pixels first keeps a huge picture from filling the memory; no
        # fewer than twice those needed are left.
        huge = long_side and rgb.width * rgb.height > HUGE
        spare = max(rgb.size) // (2 * long_side) if huge else 1
        return np.asarray(rgb.reduce(spare) if spare > 1 else rgb)
    except InputError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(too_large) from None
    except UnidentifiedImageError:
        what = "not an image that can be read here; save it as JPEG or PNG"
        raise InputError(f"{name}: {what}") from None
    except PermissionError as error:
        raise InputError(f"{name}: cannot be opened: {error.strerror}") from error
    except Exception as error:  # decoders raise whatever a broken file provokes
        what = f"broken or cut off ({error}); copy or download it again"
        raise InputError(f"{name}: {what}") from error


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Bring a picture to RGB or RGBA, its colours to those that screens show."""
    profile = picture.info.get("icc_profile")
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


def _to_rgb(pixels: np.ndarray, name: str) -> np.ndarray:
    """Bring an array of any depth and channel count to (H, W, 3) float32 in [0, 1]."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise InputError(
            f"{name}: its shape is {pixels.shape}; an image is (height, width) or "
            "(height, width, 1 to 4 channels)"
        )
    if pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32)
        if not ((pixels >= 0) & (pixels <= 1)).all():
            raise InputError(f"{name}: its numbers must lie in [0, 1]; divide by 255?")
    elif pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        pixels = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    else:
        what = f"numbers of type {pixels.dtype}; use uint8, uint16 or float"
        raise InputError(f"{name}: {what}")
    if pixels.shape[2] in (2, 4):  # the last channel is alpha: lay the rest on white
        colour, alpha = pixels[..., :-1], pixels[..., -1:]
        pixels = colour * alpha + (1 - alpha)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def save_image(image: Tensor, path: str | os.PathLike) -> None:
    """Write an image as PNG, JPEG, WebP, TIFF or BMP, by the ending of the name.

    Args:
        image: (1, 3, H, W) in [0, 1]; what lies outside is cut off.
        path: the file to write, whole or not at all.

    Raises:
        InputError: an unknown ending, an image that is not one, or no way to write.
    """
    if image.ndim != 4 or image.shape[:2] != (1, 3) or not image.isfinite().all():
        raise InputError(f"{path}: not saved: the image is no finite (1, 3, H, W)")
    write_file(path, encode(image, check_ending(path)))


def encode(image: Tensor, kind: str) -> bytes:
    """Encode an image as the content of a file; kind is Pillow's: "JPEG", "PNG"."""
    encoded = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(encoded, kind, quality=95)
    return encoded.getvalue()


def check_ending(path: str | os.PathLike) -> str:
    """Return the kind that the ending of a name asks for; refuse others."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise InputError(f"{path}: end the name in one of {', '.join(FORMATS)}")
    return FORMATS[ending]


def list_endings() -> list[str]:
    """List the endings of names, ".png" say, of the kinds that load_image reads."""
    kinds = Image.registered_extensions()
    # Phones write HEIC: of one that cannot be read, load_image says what to do.
    return sorted({".heic", ".heif"} | {x for x, kind in kinds.items() if kind in READ})
