"""Every depth, meaning and transparency of samples loads to what it looks like."""

import importlib
import io
import os
import struct
import sys
import threading
import types
import zlib
from itertools import product

import cv2
import numpy as np
import pytest
import torch
from conftest import IMAGES
from files import chunk, png, tiff
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import OPEN_INFO
from test_corpus import GREEN_FIRST, RGB, SWAPPED, encode, limits
from test_images import png_header

from nst_helpers import InputError, load_image, save_image
from nst_helpers import decode as module
from nst_helpers.images import as_image, load_with_alpha
from nst_helpers.pixels import to_array

RNG = np.random.default_rng(0)
SHAPE = 17, 24
# Older versions of Pillow refuse some of these.
TIFFS = {packed for _, packed in OPEN_INFO.values()}


def draw(bits, channels=1):
    return RNG.integers(0, 2**bits, (*SHAPE, channels))


def check(name, content, expected, tolerance=1.0, opencv=True):
    """Compare what is loaded, and what OpenCV reads, with (H, W, 1 or 3) in [0, 1]."""
    expected = np.broadcast_to(expected, (*SHAPE, 3)) * 255
    ours = to_array(load_image(content)) * 255
    assert abs(ours - expected).max() <= tolerance + 0.01, name
    if opencv:
        theirs = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert abs(theirs[..., ::-1] - expected).max() <= tolerance + 1, name


def on_white(samples, most):
    """Lay samples, the last of them alpha, on white."""
    alpha = samples[..., -1:] / most
    return samples[..., :-1] / most * alpha + 1 - alpha


def test_png_of_every_depth_and_transparency():
    for bits in (1, 2, 4, 8, 16):
        most, grey = 2**bits - 1, draw(bits)
        check(f"grey {bits}", png(0, bits, grey), grey / most)
        key = int(grey[0, 0, 0])
        content = png(0, bits, grey, clear=struct.pack(">H", key))
        check(f"key {bits}", content, np.where(grey == key, 1, grey / most), 1, False)
    for bits in (8, 16):
        most, colours = 2**bits - 1, draw(bits, 3)
        check(f"rgb {bits}", png(2, bits, colours), colours / most)
        content = png(2, bits, colours, clear=struct.pack(">3H", *colours[0, 0]))
        expected = colours / most
        expected[0, 0] = 1
        check(f"rgb key {bits}", content, expected, 1, False)
        for colour, channels in ((4, 2), (6, 4)):
            samples = draw(bits, channels)
            content, expected = png(colour, bits, samples), on_white(samples, most)
            check(f"alpha {colour} {bits}", content, expected, 2, False)
    for bits in (1, 2, 4, 8):
        palette, index = RNG.integers(0, 256, (2**bits, 4)), draw(bits)
        clear = palette[:, 3].astype("u1").tobytes()
        looked_up, colours = palette[index[..., 0]], palette[:, :3]
        content = png(3, bits, index, colours)
        check(f"palette {bits}", content, looked_up[..., :3] / 255)
        content = png(3, bits, index, colours, clear)
        check(f"clear {bits}", content, on_white(looked_up, 255), 2, False)


def test_tiff_of_every_depth_meaning_and_transparency():
    for order, bits in product("<>", (1, 2, 4, 8, 16)):
        most, grey = 2**bits - 1, draw(bits)
        opencv = bits in (1, 8, 16)
        check(
            f"black {order}{bits}", tiff(order, 1, bits, grey), grey / most, 1, opencv
        )
        if order == "<" or bits != 16:  # else Pillow cannot read it
            content = tiff(order, 0, bits, grey)
            check(f"white {order}{bits}", content, 1 - grey / most, 1, opencv)
        if bits <= 8:
            palette = RNG.integers(0, 256, (2**bits, 3))
            content = tiff(order, 3, bits, draw(bits) * 0 + 1, palette=palette)
            check(f"palette {order}{bits}", content, palette[1] / 255, 1, False)
    twelve = draw(12)
    check("12 bits", tiff("<", 1, 12, twelve), twelve / 4095, 1, False)
    for order in "<>":
        real = RNG.random((*SHAPE, 1))
        check(f"real {order}", tiff(order, 1, 32, real), real, 1, False)
        check(f"real, white {order}", tiff(order, 0, 32, real), 1 - real, 1, False)
    for order, bits in product("<>", (8, 16)):
        most, samples = 2**bits - 1, draw(bits, 4)
        content = tiff(order, 2, bits, samples[..., :3])
        check(f"rgb {order}{bits}", content, samples[..., :3] / most)
        for extra in (None, 2):
            content = tiff(order, 2, bits, samples, extra)
            check(f"rgba {order}{bits}", content, on_white(samples, most), 2, False)
        content = tiff(order, 2, bits, samples, 0)  # of no meaning
        check(f"rgbx {order}{bits}", content, samples[..., :3] / most, 1, False)
        ink = 1 - samples / most
        if order == "<" or bits == 8 or "CMYK;16B" in TIFFS:
            content = tiff(order, 5, bits, samples)
            check(f"cmyk {order}{bits}", content, ink[..., :3] * ink[..., 3:], 2, False)
        alpha = np.maximum(samples[..., 3:], 1) / most
        times = (samples[..., :3] * alpha).round()  # multiplied by it beforehand
        content = tiff(order, 2, bits, np.dstack([times, alpha * most]).astype(int), 1)
        check(f"rgba, times {order}{bits}", content, times / most + 1 - alpha, 3, False)
    for extra in (1, 2) if "La" in TIFFS else (2,):
        samples = np.minimum(draw(8, 2), 200)
        samples[..., 0] = np.minimum(*samples.transpose(2, 0, 1))
        expected = on_white(samples, 255)
        if extra == 1:
            expected = samples[..., :1] / 255 + 1 - samples[..., 1:] / 255
        content = tiff("<", 1, 8, samples, extra)
        check(f"grey alpha {extra}", content, expected, 3, False)


def test_pictures_of_pillows_of_every_mode():
    colours = cv2.GaussianBlur(draw(8, 3).astype(np.uint8), (0, 0), 2)
    picture = Image.fromarray(colours)
    grey = np.asarray(picture.convert("L"))
    deep = Image.fromarray(grey.astype(np.int32) * 257)
    exact = {mode: (picture.convert(mode), colours) for mode in ("RGB", "RGBA", "CMYK")}
    exact |= {mode: (picture.convert(mode), colours) for mode in ("YCbCr", "HSV")}
    exact |= {mode: (picture.convert(mode), grey) for mode in ("L", "LA")}
    exact["RGBa"] = picture.convert("RGBA").convert("RGBa"), colours
    exact["La"] = picture.convert("LA").convert("La"), grey
    exact["P"] = picture.quantize(), np.asarray(picture.quantize().convert("RGB"))
    exact["1"] = picture.convert("1"), np.asarray(picture.convert("1")) * 255
    exact |= {mode: (deep.convert(mode), grey) for mode in ("I;16", "I;16B", "I")}
    exact["F"] = Image.fromarray((grey / 255).astype(np.float32)), grey
    for mode, (given, expected) in exact.items():
        expected = expected if expected.ndim == 3 else expected[..., None]
        ours = to_array(load_image(given)) * 255
        assert given.mode == mode and abs(ours - expected).max() < 4, mode


PICTURE = Image.open(IMAGES / "content" / "cat.jpg").resize((64, 48))
GARBAGE = [b"", b"\0", b"II*\0garbage", b"\xff" * 100, bytes(range(256))]
GARBAGE += [b"II*\0\x08\0\0\0\xff\xff" + bytes(40), b"MM\0*\0\0\0\x08\0\5" + b"a" * 20]


def test_no_metadata_makes_a_good_picture_bad():
    plain = encode(PICTURE, "PNG")
    whole = load_image(plain)
    kinds = b"eXIf tEXt zTXt iTXt iCCP gAMA cHRM sRGB pHYs tIME acTL fcTL bKGD zzZz"
    for kind, garbage in product(kinds.split(), GARBAGE):
        for place in (33, len(plain) - 12):  # before the pixels and after
            content = plain[:place] + chunk(kind, garbage) + plain[place:]
            assert torch.equal(load_image(content), whole), (kind, garbage)
            broken = content[:place] + chunk(kind, garbage)[:-1] + b"!" + plain[place:]
            assert torch.equal(load_image(broken), whole), (kind, garbage)
    for kind in ("JPEG", "PNG", "WEBP"):
        same = load_image(encode(PICTURE, kind))
        for garbage in GARBAGE[1:]:
            content = encode(PICTURE, kind, exif=b"Exif\0\0" + garbage)
            assert torch.equal(load_image(content), same), (kind, garbage)
            content = encode(PICTURE, kind, icc_profile=garbage)
            assert torch.equal(load_image(content), same), (kind, garbage)


def test_metadata_may_be_large_but_never_fills_the_memory():
    plain = encode(PICTURE, "PNG")
    whole = load_image(plain)

    def with_chunks(chunks):
        return plain[:33] + chunks + plain[33:]

    def zeros(megabytes):
        return b"name\0\0" + zlib.compress(bytes(megabytes * 10**6))

    for kind in (b"zTXt", b"iCCP"):
        assert torch.equal(load_image(with_chunks(chunk(kind, zeros(3)))), whole)
    profile = b"name\0\0" + zlib.compress(bytes(2 * 10**6))
    exif = Image.Exif()
    exif[0x0112] = 3
    upside_down = encode(PICTURE, "PNG", exif=exif)
    bombs = [chunk(b"zTXt", zeros(200)), chunk(b"iCCP", zeros(200))]
    bombs += [chunk(b"zTXt", zeros(10)) * 20, chunk(b"iCCP", profile) * 50]
    for bomb in bombs:
        content = upside_down[:33] + bomb + upside_down[33:]
        with limits(seconds=10, megabytes=150):
            assert torch.equal(load_image(content).flip(2, 3), whole)


def test_a_profile_of_megabytes_is_obeyed():
    long = SWAPPED["icc_profile"] + bytes(range(256)) * 8000
    long = struct.pack(">I", len(long)) + long[4:]
    content = encode(Image.fromarray(RGB), "PNG", icc_profile=long)
    ours = to_array(load_image(content)) * 255
    assert abs(ours - RGB[..., GREEN_FIRST]).max() < 12


@pytest.mark.long
def test_a_photo_of_108_megapixels_is_shrunk_while_it_is_decoded(tmp_path, monkeypatch):
    grey = Image.new("L", (12_000, 9_000), 60)
    grey.paste(200, (6_000, 0, 12_000, 9_000))
    grey.save(tmp_path / "large.jpg")
    with limits(seconds=10, megabytes=150):
        image = load_image(tmp_path / "large.jpg", 256)
    assert image.shape == (1, 3, 192, 256)
    assert abs(image[..., :120] * 255 - 60).max() < 2
    assert abs(image[..., -120:] * 255 - 200).max() < 2
    monkeypatch.setattr("nst_helpers.images.LARGEST", 2048)
    assert as_image(tmp_path / "large.jpg", "photo").shape == (1, 3, 1536, 2048)
    for source, size in ((tmp_path / "large.jpg", None), (grey, 256)):
        with pytest.raises(InputError, match="64 megapixels"):
            load_image(source, size)
    for width in (8_001, 30_000):
        with pytest.raises(InputError, match="64 megapixels"):
            load_image(png_header(width, 8_000), 256)
    # Of 200 megapixels, which Pillow by itself takes for a bomb, as bytes.
    larger, file = grey.resize((16_320, 12_240)), io.BytesIO()
    larger.save(file, "JPEG")
    image = load_image(file.getvalue(), 64)
    assert image.shape == (1, 3, 48, 64) and abs(image[..., :30] * 255 - 60).max() < 2
    with pytest.raises(InputError, match="64 megapixels"):
        load_image(file.getvalue())


class Heif(ImageFile.ImageFile):
    """Stand in for pillow-heif's plugin: a red picture."""

    format = "HEIF"

    def _open(self):
        self._size, self._mode, self.tile = (20, 30), "RGB", []
        self.im = Image.new("RGB", self._size, "red").im


def test_heic_is_read_where_pillow_heif_is_installed(monkeypatch):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(InputError, match="save it as JPEG .*pip install pillow-heif"):
        load_image(heic)
    stand_in = types.ModuleType("pillow_heif")
    stand_in.register_heif_opener = lambda: Image.register_open(
        "HEIF", Heif, lambda start: start[4:12] == b"ftypheic"
    )
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    try:
        importlib.reload(module)
        assert load_image(heic)[0, :, 0, 0].tolist() == [1, 0, 0]
    finally:
        monkeypatch.delitem(sys.modules, "pillow_heif")
        Image.OPEN.pop("HEIF")
        importlib.reload(module)


def test_a_picture_is_taken_in_every_form(tmp_path):
    path = tmp_path / "cat.png"
    PICTURE.save(path)
    whole = load_image(path)
    forms = [str(path), path.read_bytes(), np.asarray(PICTURE), PICTURE, whole]
    for form in [*forms, Image.open(path)]:
        assert torch.equal(load_image(form), whole)
        assert torch.equal(load_image(form, 32), load_image(path, 32))
        assert torch.equal(as_image(form, "photo"), whole)
        save_image(form, tmp_path / "saved.png")
        assert torch.equal(load_image(tmp_path / "saved.png"), whole)
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = Image.open(io.BytesIO(encode(PICTURE, "PNG", exif=exif)))
    for _ in range(2):  # somebody's picture stays as it is
        assert torch.equal(load_image(turned).flip(2, 3), whole)
    for other in (None, 5, [1], {}, whole[0], open(path, "rb"), whole + 1):
        with pytest.raises(InputError, match="picture") as refused:
            load_image(other)
        assert "\n" not in str(refused.value)
        with pytest.raises(InputError, match="the photo"):
            as_image(other, "photo")


def test_a_pipe_is_read_whole(tmp_path):
    content = encode(PICTURE, "PNG")
    whole, pipe = load_image(content), str(tmp_path / "pipe")
    os.mkfifo(pipe)
    for written in (content, b""):
        writing = threading.Thread(target=lambda w=written: open(pipe, "wb").write(w))
        writing.start()
        if written:
            assert torch.equal(load_image(pipe), whole)
        else:
            with pytest.raises(InputError, match="pipe: empty"):
                load_image(pipe)
        writing.join()
    stdin = os.dup(0)
    try:
        for name in ("-", "/dev/stdin"):
            read, write = os.pipe()
            os.write(write, content)
            os.close(write)
            os.dup2(read, 0)
            os.close(read)
            assert torch.equal(load_image(name), whole)
        os.close(0)
        with pytest.raises(InputError, match="-: cannot be opened"):
            load_image("-")
    finally:
        os.dup2(stdin, 0)
        os.close(stdin)


def test_names_of_no_file_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("loop.png", "loop.png")
    names = {"https://a.org/cat.jpg": "download", "ftp://a/b.png": "download"}
    names |= {"loop.png": "loop.png", "nul\0.png": "no such", "~a\0b": "null byte"}
    for name, reason in names.items():
        with pytest.raises(InputError, match=reason) as refused:
            load_image(name)
        with pytest.raises(InputError, match="the photo .*" + reason):
            as_image(name, "photo")
        assert "\n" not in str(refused.value)


def test_alpha_is_kept_and_written(tmp_path):
    alpha = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (48, 1))
    clear = Image.fromarray(np.dstack([np.asarray(PICTURE), alpha]))
    image, kept = load_with_alpha(clear)
    assert torch.equal(image, load_image(clear)) and kept.shape == (48, 64)
    np.testing.assert_allclose(kept * 255, alpha, atol=0.01)
    image, kept = load_with_alpha(clear, 32)
    assert kept.shape == image.shape[2:] == (24, 32)
    for name in ("a.png", "a.webp", "a.tif"):
        save_image(image, tmp_path / name, kept)
        written = np.asarray(Image.open(tmp_path / name))
        np.testing.assert_allclose(written[..., 3], kept * 255, atol=1)
        np.testing.assert_allclose(load_with_alpha(tmp_path / name)[1], kept, atol=0.01)
    for name in ("a.jpg", "a.bmp"):
        save_image(image, tmp_path / name, kept)
        assert Image.open(tmp_path / name).mode == "RGB"
    with pytest.raises(InputError, match="another shape"):
        save_image(image, tmp_path / "a.png", kept[:5])
    opaque = Image.fromarray(np.dstack([np.asarray(PICTURE), alpha * 0 + 255]))
    for source in (opaque, PICTURE, np.asarray(PICTURE), image):
        assert load_with_alpha(source)[1] is None
