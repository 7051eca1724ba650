"""Pictures in and out: whatever shows one to tensors, and back.

An image is a float32 tensor (1, 3, H, W), RGB, in [0, 1].
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from .decode import READ, decode, find_file
from .files import InputError, check_number, write_file
from .pixels import check_image, resize, stretch, to_bytes, to_tensor

# A path, the bytes of a file, an array, a picture of Pillow's, or an image tensor.
Picture = str | os.PathLike | bytes | bytearray | memoryview | np.ndarray
Picture = Picture | Image.Image | Tensor
UNNAMED = "the picture"
LARGEST = 4096  # pixels, the long side: no run paints larger
FORMATS = {f".{kind.lower()}": kind for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP")}
FORMATS |= {".jpg": "JPEG", ".tif": "TIFF"}


def load_image(
    source: Picture, long_side: int | None = None, name: str = UNNAMED
) -> Tensor:
    """Read a picture as an image tensor.

    The camera's orientation (EXIF) and colour profile (ICC) are obeyed, transparency is
    laid on white, and grey, 16-bit, palette and CMYK pictures become RGB. Of an
    animation, the first frame.

    Args:
        source: a path, also of a pipe ("-": standard input); the bytes of an image
            file; one of Pillow's pictures; an image tensor; or an array (H, W), (H, W,
            1), ... (H, W, 4): grey, grey + alpha, RGB, RGBA; uint8, uint16 or float in
            [0, 1].
        long_side: bring the longer side to this many pixels, keeping the shape.
        name: for the errors, which tell a path as well.

    Returns:
        (1, 3, H, W) float32 RGB in [0, 1].

    Raises:
        InputError: missing, a folder, empty, not to be opened, not an image, cut off,
            over 64 megapixels (a JPEG, as it is after shrinking to long_side), or a
            side under 16 pixels; an array of another shape or type, or with numbers
            outside [0, 1]. The line names the file.
    """
    return load_with_alpha(source, long_side, name)[0]


def load_with_alpha(
    source: Picture,
    long_side: int | None = None,
    name: str = UNNAMED,
    enlarge: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Read a picture as load_image does, and its alpha, (H, W), where it has any."""
    if long_side is not None:
        check_number("long_side", long_side, 1, 65_535)
    alpha = None
    if isinstance(source, Tensor):
        image = check_image(source, name.removeprefix("the "))
    else:
        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            name = path if name == UNNAMED else f"{name} {path}"
            source = find_file(path, name)
        elif isinstance(source, bytes | bytearray | memoryview):
            source = io.BytesIO(source)
        elif not isinstance(source, Picture):
            what = "give a path, bytes, an array, a PIL picture or an image tensor"
            raise InputError(f"{name}: no picture; {what}")
        if isinstance(source, io.BytesIO) and not source.getbuffer():
            raise InputError(f"{name}: empty (0 bytes); choose the picture again")
        if not isinstance(source, np.ndarray):
            source = decode(source, name, long_side)
        pixels, alpha = _to_rgb(source, name)
        image = to_tensor(pixels)
    side = max(image.shape[2:])
    size = side if long_side is None else long_side
    size = size if enlarge else min(size, side)
    if alpha is not None:
        alpha = resize(to_tensor(alpha), size, name)[0, 0]
    return resize(image, size, name), alpha


def as_image(source: Picture, name: str) -> Tensor:
    """Return what shows a picture as an image tensor; the name is for the errors.

    A tensor is only checked; another picture has 4096 pixels a side at most.
    """
    if isinstance(source, Tensor) or not isinstance(source, Picture):
        return check_image(source, name)
    return load_with_alpha(source, LARGEST, f"the {name}", enlarge=False)[0]


def as_paintings(
    paintings: Picture | Sequence[Picture] | None,
) -> Tensor | list[Tensor] | None:
    """Return a painting, or each of several, as_image; None stays what it is."""
    if isinstance(paintings, list | tuple):
        return [as_image(painting, "painting") for painting in paintings]
    return None if paintings is None else as_image(paintings, "painting")


def fit_shape(image: Picture, like: Tensor) -> Tensor:
    """Bring an image to the size of another; refuse one of another shape."""
    image = as_image(image, "image")
    # Sides were rounded at the smaller of the two sizes: compare them there.
    small = min(max(image.shape), max(like.shape))
    sides = zip(image.shape[2:], like.shape[2:], strict=True)
    scales = small / max(image.shape), small / max(like.shape)
    height, width = like.shape[2:]
    if any(abs(a * scales[0] - b * scales[1]) > 1 for a, b in sides):
        raise InputError(f"to go on from an image, give one shaped {width}x{height}")
    return stretch(image, height, width)


def _to_rgb(pixels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Bring an array of any depth and channel count to (H, W, 3) float32 in [0, 1].

    With it comes its alpha, (H, W, 3), unless that is 1 all over.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or not pixels.size or pixels.shape[2] not in (1, 2, 3, 4):
        raise InputError(
            f"{name}: its shape is {pixels.shape}; an image is (height, width) or "
            "(height, width, 1 to 4 channels)"
        )
    if pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32)
        if not ((pixels >= 0) & (pixels <= 1)).all():
            raise InputError(f"{name}: its numbers must lie in [0, 1]; divide by 255?")
    elif pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        pixels = np.divide(pixels, np.iinfo(pixels.dtype).max, dtype=np.float32)
    else:
        what = f"numbers of type {pixels.dtype}; use uint8, uint16 or float"
        raise InputError(f"{name}: {what}")
    shape, alpha = (*pixels.shape[:2], 3), None
    if pixels.shape[2] in (2, 4):  # the last channel is alpha: lay the rest on white
        colour, alpha = pixels[..., :-1], pixels[..., -1:]
        pixels = colour * alpha + (1 - alpha)
        alpha = None if alpha.min() == 1 else np.broadcast_to(alpha, shape)
    return np.broadcast_to(pixels, shape), alpha


def save_image(
    image: Picture, path: str | os.PathLike, alpha: Tensor | None = None
) -> None:
    """Write an image as PNG, JPEG, WebP, TIFF or BMP, by the ending of the name.

    Args:
        image: (1, 3, H, W) in [0, 1], where what lies outside is cut off; or any other
            picture that load_image takes.
        path: the file to write, whole or not at all.
        alpha: (H, W) in [0, 1], 0 is transparent; JPEG and BMP leave it out.

    Raises:
        InputError: an unknown ending, an image that is not one, or no way to write.
    """
    if not isinstance(image, Tensor):
        image = load_image(image)
    is_image = image.ndim == 4 and image.shape[:2] == (1, 3) and image.numel()
    if not is_image or not image.is_floating_point() or not image.isfinite().all():
        line = "the image is no finite (1, 3, H, W) of floats in [0, 1]"
        raise InputError(f"{path}: not saved: {line}")
    if alpha is not None and alpha.shape != image.shape[2:]:
        raise InputError(f"{path}: not saved: alpha has another shape than the image")
    write_file(path, encode(image, check_ending(path), alpha))


def encode(image: Tensor, kind: str, alpha: Tensor | None = None) -> bytes:
    """Encode an image as the content of a file; kind is Pillow's: "JPEG", "PNG"."""
    encoded, pixels = io.BytesIO(), to_bytes(image)
    if alpha is not None and kind not in ("JPEG", "BMP"):
        opaque = (alpha.clamp(0, 1) * 255).round().byte()
        pixels = np.dstack([pixels, opaque.cpu().numpy()])
    try:
        Image.fromarray(pixels).save(encoded, kind, quality=95)
    except (OSError, ValueError) as error:  # WebP holds no more than 16383 pixels
        raise InputError(f"not to be written as {kind}: {error}") from error
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
