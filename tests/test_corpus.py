"""Files of every kind: each loads to the right pixels or is refused in one line."""

import io
import mmap
import os
import random
import resource
import signal
import struct
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import without_rights
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from safetensors.torch import save_file
from test_images import png_header

from nst_helpers import InputError, Settings, load_image
from nst_helpers.checkpoint import load_checkpoint, save_checkpoint
from nst_helpers.pixels import to_array
from nst_helpers.pretrained import read_parameters

Y, X = np.mgrid[0:30, 0:40]
RGB = np.stack([X * 6, Y * 8, 255 - X * 3 - Y * 2], axis=-1).astype(np.uint8)
GREY = (X * 3 + Y * 4).astype(np.uint8)
ALPHA = np.where(X < 20, 0, 255).astype(np.uint8)
ON_WHITE = np.where(ALPHA[..., None] == 0, 255, RGB)
PICTURE = Image.fromarray(RGB)


def encode(picture, kind, **options):
    encoded = io.BytesIO()
    picture.save(encoded, kind, **options)
    return encoded.getvalue()


def three(grey):
    return np.stack([grey] * 3, -1)


def turned(orientation):
    """Store the picture so that a camera's orientation turns it upright."""
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]
    stored = PICTURE if undo is None else PICTURE.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(stored, "JPEG", quality=95, exif=exif)


def profile(space, primaries, curves):
    """Make a colour profile; the curves are those of a gamma of 2.2."""
    fixed = lambda v: struct.pack(">i", round(v * 65536))  # noqa: E731
    xyz = lambda v: b"XYZ \0\0\0\0" + b"".join(map(fixed, v))  # noqa: E731
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {name: xyz(values) for name, values in primaries.items()}
    tags |= {b"wtpt": xyz((0.9642, 1.0, 0.8249))} | dict.fromkeys(curves, curve)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags |= {b"desc": text, b"cprt": b"text\0\0\0\0none\0"}
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content
    head = struct.pack(">I", offset + len(data)) + b"lcms\2\x10\0\0mntr" + space
    head += b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += b"".join(map(fixed, (0.9642, 1, 0.8249)))
    return head + bytes(128 - len(head)) + table + data


def apng(kind="PNG"):
    others = [Image.new("RGB", (40, 30), "red")]
    return encode(PICTURE, kind, save_all=True, append_images=others, lossless=True)


PALETTE = PICTURE.quantize(256)
CLEAR = Image.fromarray(np.dstack([RGB, ALPHA]))
DEEP = (GREY.astype(np.uint16) * 257).astype("<u2")
SWAPPED = {  # the picture's red channel means green
    "icc_profile": profile(
        b"RGB ",
        {
            b"rXYZ": (0.3851, 0.7169, 0.0971),
            b"gXYZ": (0.4361, 0.2225, 0.0139),
            b"bXYZ": (0.1431, 0.0606, 0.7141),
        },
        (b"rTRC", b"gTRC", b"bTRC"),
    )
}
OF_GREY = {"icc_profile": profile(b"GRAY", {}, [b"kTRC"])}
SRGB = {
    "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
}
GREEN_FIRST = [1, 0, 2]
TOLERANT = 14  # of 255: what JPEG and WebP may lose

GOOD = {  # name: content, pixels, tolerance
    "rgb.png": (encode(PICTURE, "PNG"), RGB, 0),
    "grey.png": (encode(Image.fromarray(GREY), "PNG"), three(GREY), 0),
    "bits1.png": (
        encode(Image.fromarray(GREY > 128), "PNG"),
        three(np.where(GREY > 128, 255, 0)),
        0,
    ),
    "deep.png": (encode(Image.fromarray(DEEP), "PNG"), three(GREY), 0),
    "palette.png": (encode(PALETTE, "PNG"), np.asarray(PALETTE.convert("RGB")), 0),
    "palette4.png": (
        encode(PICTURE.quantize(16), "PNG", bits=4),
        np.asarray(PICTURE.quantize(16).convert("RGB")),
        0,
    ),
    "rgba.png": (encode(CLEAR, "PNG"), ON_WHITE, 0),
    "greyalpha.png": (
        encode(CLEAR.convert("LA"), "PNG"),
        np.where(ALPHA[..., None] == 0, 255, three(np.asarray(PICTURE.convert("L")))),
        1,
    ),
    "colourkey.png": (
        encode(PICTURE, "PNG", transparency=tuple(map(int, RGB[0, 0]))),
        np.where((RGB == RGB[0, 0]).all(-1, keepdims=True), 255, RGB),
        0,
    ),
    "swapped colourkey.png": (
        encode(PICTURE, "PNG", transparency=tuple(map(int, RGB[0, 0])), **SWAPPED),
        np.where((RGB == RGB[0, 0]).all(-1, keepdims=True), 255, RGB)[..., GREEN_FIRST],
        12,
    ),
    "grey colourkey.png": (
        encode(Image.fromarray(GREY), "PNG", transparency=0, **OF_GREY),
        three(np.where(GREY == 0, 255, GREY)),
        8,
    ),
    "swapped palette.png": (
        encode(PALETTE, "PNG", **SWAPPED),
        np.asarray(PALETTE.convert("RGB"))[..., GREEN_FIRST],
        12,
    ),
    "animated.png": (apng(), RGB, 0),
    "srgb.png": (encode(PICTURE, "PNG", **SRGB), RGB, 2),
    "broken profile.png": (encode(PICTURE, "PNG", icc_profile=b"nonsense"), RGB, 0),
    "swapped.png": (encode(PICTURE, "PNG", **SWAPPED), RGB[..., GREEN_FIRST], 12),
    "swapped alpha.png": (
        encode(CLEAR, "PNG", **SWAPPED),
        ON_WHITE[..., GREEN_FIRST],
        12,
    ),
    "plain.jpg": (encode(PICTURE, "JPEG", quality=95), RGB, TOLERANT),
    "progressive.jpg": (
        encode(PICTURE, "JPEG", quality=95, progressive=True),
        RGB,
        TOLERANT,
    ),
    "grey.jpg": (encode(Image.fromarray(GREY), "JPEG", quality=95), three(GREY), 6),
    "cmyk.jpg": (encode(PICTURE.convert("CMYK"), "JPEG", quality=95), RGB, TOLERANT),
    "swapped.jpg": (
        encode(PICTURE, "JPEG", quality=95, subsampling=0, **SWAPPED),
        RGB[..., GREEN_FIRST],
        TOLERANT,
    ),
    **{f"turned{k}.jpg": (turned(k), RGB, TOLERANT) for k in range(1, 9)},
    "lossy.webp": (encode(PICTURE, "WEBP", quality=95), RGB, TOLERANT),
    "lossless.webp": (encode(PICTURE, "WEBP", lossless=True), RGB, 0),
    "alpha.webp": (encode(CLEAR, "WEBP", lossless=True), ON_WHITE, 0),
    "animated.webp": (apng("WEBP"), RGB, 0),
    "still.gif": (encode(PALETTE, "GIF"), np.asarray(PALETTE.convert("RGB")), 0),
    "animated.gif": (
        encode(PALETTE, "GIF", save_all=True, append_images=[PALETTE.rotate(180)]),
        np.asarray(PALETTE.convert("RGB")),
        0,
    ),
    "plain.tif": (encode(PICTURE, "TIFF"), RGB, 0),
    "lzw.tif": (encode(PICTURE, "TIFF", compression="tiff_lzw"), RGB, 0),
    "cmyk.tif": (encode(PICTURE.convert("CMYK"), "TIFF"), RGB, 1),
    "alpha.tif": (encode(CLEAR, "TIFF"), ON_WHITE, 0),
    "deep.tif": (encode(Image.fromarray(DEEP), "TIFF"), three(GREY), 0),
    "float.tif": (
        encode(Image.fromarray((GREY / 255).astype(np.float32)), "TIFF"),
        three(GREY),
        0,
    ),
    "pages.tif": (
        encode(PICTURE, "TIFF", save_all=True, append_images=[PICTURE.rotate(180)]),
        RGB,
        0,
    ),
    "plain.bmp": (encode(PICTURE, "BMP"), RGB, 0),
    "palette.bmp": (encode(PALETTE, "BMP"), np.asarray(PALETTE.convert("RGB")), 0),
    "plain.ppm": (encode(PICTURE, "PPM"), RGB, 0),
    "wrong ending.png": (encode(PICTURE, "BMP"), RGB, 0),
    "no ending": (encode(PICTURE, "PNG"), RGB, 0),
    "Überwältigend 猫 🐈.png": (encode(PICTURE, "PNG"), RGB, 0),
    "n" * 251 + ".png": (encode(PICTURE, "PNG"), RGB, 0),
    "strip.png": (
        encode(Image.fromarray(np.tile(RGB[:16], (1, 50, 1))), "PNG"),
        np.tile(RGB[:16], (1, 50, 1)),
        0,
    ),
}
if "AVIF" in Image.SAVE:  # since Pillow 11.3
    GOOD["plain.avif"] = encode(PICTURE, "AVIF", quality=95), RGB, TOLERANT

NOISE = Image.frombytes("RGB", (40, 30), random.Random(0).randbytes(3600))
JPEG, PNG = encode(NOISE, "JPEG"), encode(NOISE, "PNG")
CUT = "broken or cut off|not an image"
BAD = {  # name: content, what the line says
    "empty.jpg": (b"", "empty"),
    "one byte.jpg": (b"\xff", "not an image"),
    "page.jpg": (b"<!doctype html><title>404</title>", "not an image"),
    "noise.png": (random.Random(0).randbytes(5000), "not an image"),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "JPEG or PNG"),
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "JPEG or PNG"),
    "paper.pdf": (b"%PDF-1.7\n1 0 obj\n", "JPEG or PNG"),
    "program.eps": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n",
        "JPEG or PNG",
    ),
    "row.png": (encode(Image.new("RGB", (300, 1)), "PNG"), "choose a larger picture"),
    "column.png": (encode(Image.new("RGB", (1, 300)), "PNG"), "at least 16"),
    "dot.png": (encode(Image.new("RGB", (1, 1)), "PNG"), "at least 16"),
    "header bomb.png": (png_header(60_000, 60_000), "64 megapixels"),
    "content bomb.png": (encode(Image.new("1", (9000, 9000)), "PNG"), "64 megapixels"),
    "infinite.tif": (
        encode(Image.fromarray(np.full((30, 40), np.inf, np.float32)), "TIFF"),
        "numbers",
    ),
    **{f"cut{k}.jpg": (JPEG[: k * len(JPEG) // 10], CUT) for k in range(1, 10)},
    **{f"cut{k}.png": (PNG[: k * len(PNG) // 10], CUT) for k in range(1, 10)},
}


def test_the_corpus_is_large():
    assert len(GOOD) + len(BAD) >= 60


def test_good_files_load_to_the_right_pixels(tmp_path):
    for name, (content, expected, tolerance) in GOOD.items():
        (tmp_path / name).write_bytes(content)
        for source in (tmp_path / name, content):
            ours = to_array(load_image(source)) * 255
            assert ours.shape == expected.shape, name
            assert abs(ours - expected).max() <= tolerance + 0.01, name


def test_bad_files_are_refused_in_one_line(tmp_path):
    for name, (content, reason) in BAD.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=reason) as error:
            load_image(tmp_path / name, 256)
        assert name in str(error.value) and "\n" not in str(error.value)
        with pytest.raises(InputError, match=reason):
            load_image(content, 256)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "folder"),
        ("loop.png", "cannot be opened|no such file"),
        ("/dev/null", "empty"),
        ("/dev/zero", "empty"),
        ("n" * 300 + ".png", "cannot be opened"),
        ("nothing.png", "no such file"),
        ("dangling.png", "no such file"),
        ("nul\0.png", "cannot be opened|no such file"),
    ],
)
def test_what_is_no_file(tmp_path, monkeypatch, name, reason):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    os.symlink("loop.png", "loop.png")
    os.symlink("gone.png", "dangling.png")
    with pytest.raises(InputError, match=reason) as error:
        load_image(name)
    assert "\n" not in str(error.value)


def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "private.png"
    path.write_bytes(PNG)
    path.chmod(0)
    with (
        without_rights(tmp_path),
        pytest.raises(InputError, match="private.png: .*Permission denied"),
    ):
        load_image(path)


def test_a_large_picture_is_shrunk_as_it_should_be():
    large = Image.fromarray(np.kron(RGB, np.ones((70, 70, 1), np.uint8)))
    ours = load_image(encode(large, "PNG"), 40)
    assert abs(to_array(ours) * 255 - RGB).max() < 1


@contextmanager
def limits(seconds, megabytes):
    """Fail what hangs, or needs more memory than that at any moment."""

    def hangs(*_):
        raise TimeoutError("it hangs")

    with suppress(OSError):  # of a system that cannot forget its peak
        Path("/proc/self/clear_refs").write_text("5")
    before, began = peak(), time.monotonic()
    former = signal.signal(signal.SIGALRM, hangs)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert time.monotonic() - began < seconds, "it hangs"
    assert peak() - before < megabytes, "it fills the memory"


def peak():
    """Return the most megabytes this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fill(megabytes):
    """Take memory for a moment, of the system: what the process had may lie idle."""
    with mmap.mmap(-1, megabytes * 10**6) as room:
        for page in range(0, len(room), mmap.PAGESIZE):
            room[page] = 1


def test_the_limits_notice_what_hangs_and_what_fills_the_memory():
    with limits(5, 20):
        fill(5)
    with pytest.raises(TimeoutError), limits(0.3, 20):
        while True:
            pass
    with pytest.raises(AssertionError, match="hangs"), limits(0.3, 20):
        with suppress(TimeoutError):  # as a decoder that takes every error for its own
            time.sleep(5)
    for _ in range(2):  # the second time is no new peak of the process
        with pytest.raises(AssertionError, match="memory"), limits(5, 20):
            fill(60)


def read_picture(path):
    image = load_image(path, 256)
    assert image.isfinite().all() and image.min() >= 0 and image.max() <= 1


def read_unchanged_checkpoint(path):
    """Read a checkpoint, up to where what it holds is made a run again."""
    found = SimpleNamespace()

    def begin(photo, painting, settings, losses):
        pictures = {"photo": photo, "painting": painting}
        found.load_state_dict = lambda state: vars(found).update(pictures, state=state)
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("nst_helpers.checkpoint.StyleTransfer", begin)
        load_checkpoint(path)
    assert repr(found.state) == repr(STATE)
    assert torch.equal(found.photo, RUN.photo)
    assert torch.equal(found.painting[0], RUN.painting[0])


def written(write, value):
    with tempfile.TemporaryDirectory() as folder:
        write(value, Path(folder, "file"))
        return Path(folder, "file").read_bytes()


LAYER = {"features.0.weight": torch.arange(108.0).view(4, 3, 3, 3)}
STATE = {
    "settings": {"size": 100},
    "known": [[1, 0.5, None, float("inf")], LAYER["features.0.weight"]],
    "optimizer": {"state": {0: {"d": torch.arange(3.0)}}, "groups": [{"lr": 1}]},
}
RUN = SimpleNamespace(
    photo=torch.rand(1, 3, 4, 5),
    painting=[torch.rand(1, 3, 2, 3)],
    state_dict=lambda: STATE,
)
SEEDS = {  # of a kind of file: its ending, whole files, and what reads them
    "picture": (".png", [content for content, _, _ in GOOD.values()], read_picture),
    "pickle": (".pth", [written(torch.save, LAYER)], read_parameters),
    "safetensors": (".safetensors", [written(save_file, LAYER)], read_parameters),
    "checkpoint": ("", [written(save_checkpoint, RUN)], read_unchanged_checkpoint),
    "recipe": (".json", [Settings().to_json().encode()], Settings.load),
}


@pytest.mark.parametrize("kind", SEEDS)
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.data(),
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=8)), max_size=6),
    st.floats(0, 1),
)
def test_no_mutation_of_a_file_crashes_hangs_or_fills_the_memory(
    record_property, tmp_path, kind, data, edits, keep
):
    record_property("example", 1)
    ending, whole, read = SEEDS[kind]
    content = bytearray(data.draw(st.sampled_from(whole)))
    for place, new in edits:
        place %= len(content)
        content[place : place + len(new)] = new
    if keep < 0.3:
        del content[int(len(content) * keep * 3) :]
    path = tmp_path / f"file{ending}"
    path.write_bytes(content)
    with limits(seconds=5, megabytes=1000):
        try:
            read(path)
        except InputError as error:
            assert "\n" not in str(error)
