import io
import os
import stat
import zlib

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from nst_helpers import InputError, load_image, save_image
from nst_helpers.color import match_colours, recolour
from nst_helpers.images import fit_shape
from nst_helpers.pixels import (
    check_image,
    check_mask,
    fit_inside,
    fit_mask,
    resize,
    stretch,
    to_array,
    to_bytes,
)


@pytest.fixture
def rgb():
    """Make a smooth 40x30 picture that JPEG keeps well, all corners different."""
    y, x = np.mgrid[0:30, 0:40]
    picture = np.stack([x * 6, y * 8, 255 - x * 3 - y * 2], axis=-1)
    return picture.astype(np.uint8)


def encode(image, ending, **options):
    file = io.BytesIO()
    image.save(file, ending, **options)
    return file.getvalue()


def pixels(image):
    """Turn a tensor into (H, W, 3) numbers from 0 to 255."""
    return (image[0].permute(1, 2, 0) * 255).numpy()


def test_png_is_exact_and_laid_out_as_documented(rgb, tmp_path):
    Image.fromarray(rgb).save(tmp_path / "ein Bild ä.png")
    image = load_image(tmp_path / "ein Bild ä.png")
    assert image.shape == (1, 3, 30, 40) and image.dtype == torch.float32
    np.testing.assert_allclose(pixels(image), rgb, atol=1e-3)
    assert torch.equal(image, load_image(str(tmp_path / "ein Bild ä.png")))
    data = (tmp_path / "ein Bild ä.png").read_bytes()
    for same in (data, bytearray(data), memoryview(data)):
        assert torch.equal(image, load_image(same))


def test_every_orientation_comes_out_upright(rgb):
    upright = Image.fromarray(rgb)
    # What a camera held in each of the eight ways stores.
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }
    for orientation, picture in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(picture, "JPEG", quality=95, exif=exif)
        np.testing.assert_allclose(pixels(load_image(data)), rgb, atol=8)


@pytest.mark.parametrize(
    ("mode", "ending", "tolerance"),
    [
        ("RGB", "JPEG", 14),
        ("CMYK", "JPEG", 8),
        ("CMYK", "TIFF", 1),
        ("RGBA", "PNG", 1),
        ("RGB", "WEBP", 12),
        ("RGB", "BMP", 1),
        ("RGB", "TIFF", 1),
    ],
)
def test_colour_modes(rgb, mode, ending, tolerance):
    data = encode(Image.fromarray(rgb).convert(mode), ending)
    np.testing.assert_allclose(pixels(load_image(data)), rgb, atol=tolerance)


@pytest.mark.parametrize(("mode", "levels"), [("L", 255), ("1", 1), ("P", 255)])
def test_grey_and_palette(mode, levels):
    grey = np.tile(np.linspace(0, 255, 32).round().astype(np.uint8), (20, 1))
    picture = Image.fromarray(grey)
    data = encode(picture.convert(mode), "PNG")
    expected = np.asarray(picture.convert(mode).convert("L"))
    np.testing.assert_allclose(
        pixels(load_image(data)), np.stack([expected] * 3, -1), atol=1
    )


def test_sixteen_bits(rgb):
    grey = np.linspace(0, 65535, 20 * 32).reshape(20, 32).astype(np.uint16)
    ok, data = cv2.imencode(".png", grey)
    assert ok
    image = load_image(data.tobytes())
    np.testing.assert_allclose(image[0, 1], grey / 65535, atol=1e-5)
    pgm = encode(Image.fromarray(grey.astype(np.int32)), "PPM")
    np.testing.assert_allclose(load_image(pgm)[0, 1], grey / 65535, atol=1e-5)
    with pytest.raises(InputError, match="int32"):
        load_image(encode(Image.fromarray(grey.astype(np.int32) * 1000), "TIFF"))
    ok, data = cv2.imencode(".png", rgb[..., ::-1].astype(np.uint16) * 257)
    assert ok
    np.testing.assert_allclose(pixels(load_image(data.tobytes())), rgb, atol=1)


def test_transparency_is_laid_on_white(rgb):
    alpha = np.zeros((30, 40, 1), np.uint8)
    alpha[:, 20:] = 128
    data = encode(Image.fromarray(np.concatenate([rgb, alpha], -1)), "PNG")
    expected = 255 + (rgb - 255.0) * alpha / 255
    np.testing.assert_allclose(pixels(load_image(data)), expected, atol=1)

    palette = Image.new("P", (20, 20), 3)
    palette.putpalette([10, 20, 30] * 10)
    palette.paste(5, (0, 0, 10, 20))
    image = load_image(encode(palette, "GIF", transparency=5))
    np.testing.assert_allclose(pixels(image)[0, [0, -1]], [[255] * 3, [10, 20, 30]])


def test_arrays(rgb):
    expected = load_image(rgb)
    np.testing.assert_allclose(pixels(expected), rgb, atol=1e-3)
    torch.testing.assert_close(load_image(rgb / 255), expected)
    torch.testing.assert_close(load_image(rgb.astype(np.uint16) * 257), expected)
    torch.testing.assert_close(load_image(rgb[..., 0])[0, 2], expected[0, 0])


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((20, 20, 5), np.uint8), "shape"),
        (np.zeros(20, np.uint8), "shape"),
        (np.full((20, 20), 200.0), "255"),
        (np.full((20, 20), np.nan), r"\[0, 1\]"),
        (np.zeros((20, 20), np.int64), "int64"),
        (np.zeros((20, 15), np.uint8), "16"),
    ],
)
def test_arrays_that_are_no_images(array, complaint):
    with pytest.raises(InputError, match=complaint):
        load_image(array)


def test_shrinking_averages_areas_and_keeps_the_shape(rgb):
    rgb = np.tile(rgb, (4, 4, 1))
    small = load_image(rgb, long_side=40)
    expected = rgb.reshape(30, 4, 40, 4, 3).mean((1, 3))
    np.testing.assert_allclose(pixels(small), expected, atol=1e-2)
    assert load_image(rgb, long_side=320).shape == (1, 3, 240, 320)
    assert load_image(rgb.transpose(1, 0, 2), 40).shape == (1, 3, 40, 30)
    with pytest.raises(InputError, match="16"):
        resize(torch.zeros(1, 3, 20, 200), 100)


def test_fit_inside_neither_stretches_nor_crops():
    painting = torch.rand(1, 3, 60, 30)
    framed = fit_inside(painting, 60, 90)
    assert torch.equal(framed[..., 30:60], painting)
    assert torch.equal(framed[..., :30], painting.flip(3))
    assert fit_inside(painting, 40, 200).shape == (1, 3, 40, 200)


def png_header(width, height):
    """Make a PNG that claims a size and holds no pixels."""
    chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big")
    chunk += bytes([8, 2, 0, 0, 0])
    length, check = (13).to_bytes(4, "big"), zlib.crc32(chunk).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + length + chunk + check + b"\0\0\0\x10IDAT"


BAD_FILES = {
    "empty.jpg": (b"", "empty"),
    "page.jpg": (b"<html>not found</html>", "not an image"),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "JPEG or PNG"),
    "large.png": (png_header(8001, 8000), "64 megapixels"),
    "larger.png": (png_header(10_000, 10_000), "64 megapixels"),
    "bomb.png": (png_header(60_000, 60_000), "64 megapixels"),
    "narrow.png": (encode(Image.new("RGB", (300, 15)), "PNG"), "300x15"),
}


def test_bad_files_give_one_line_with_name_and_reason(tmp_path):
    for name, (content, reason) in BAD_FILES.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=reason) as error:
            load_image(path)
        assert name in str(error.value) and "\n" not in str(error.value)
        with pytest.raises(InputError, match=reason):
            load_image(content)


@pytest.mark.parametrize("ending", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_cut_off_files(tmp_path, rgb, ending):
    data = encode(Image.fromarray(rgb), ending)
    path = tmp_path / "cut"
    for tenths in range(1, 9):
        path.write_bytes(data[: len(data) * tenths // 10])
        with pytest.raises(InputError, match="cut"):
            load_image(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="nothing.png: no such file"):
        load_image(tmp_path / "nothing.png")
    with pytest.raises(InputError, match="folder"):
        load_image(tmp_path)


@pytest.mark.parametrize("ending", ["png", "JPG", "jpeg", "webp", "tif", "bmp"])
def test_save_and_load(tmp_path, rgb, ending):
    path = tmp_path / f"out.{ending}"
    save_image(load_image(rgb), path)
    np.testing.assert_allclose(pixels(load_image(path)), rgb, atol=10)
    assert os.listdir(tmp_path) == [path.name]
    if os.name == "posix":
        umask = os.umask(0)
        os.umask(umask)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_bytes_are_rounded_and_cut_off():
    image = torch.tensor([-0.5, 0.5, 1.5]).view(1, 3, 1, 1)
    assert to_bytes(image).ravel().tolist() == [0, 128, 255]
    assert to_array(image).ravel().tolist() == [0, 0.5, 1]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, rgb):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def full_disk(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InputError, match=r"out.png.*No space left"):
        save_image(load_image(rgb), path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["out.png"]


def test_what_cannot_be_saved(tmp_path, rgb):
    image = load_image(rgb)
    with pytest.raises(InputError, match=".png"):
        save_image(image, tmp_path / "out.psd")
    with pytest.raises(InputError, match="No such file"):
        save_image(image, tmp_path / "nowhere" / "out.png")
    with pytest.raises(InputError, match="finite"):
        save_image(image * float("nan"), tmp_path / "out.png")
    assert os.listdir(tmp_path) == []


def ycrcb(image):
    """Split brightness from colours, as OpenCV does."""
    return cv2.cvtColor(to_array(image), cv2.COLOR_RGB2YCrCb)


def test_recolour_swaps_brightness_and_colours(photo, painting):
    image = recolour(painting, photo)
    assert image.shape == painting.shape
    ours, painted = (ycrcb(x) for x in (image, painting))
    kept = ycrcb(stretch(photo, *painting.shape[2:]))
    # where nothing was cut off, brightness is the one's and colours are the other's
    inside = ((image > 0) & (image < 1)).all(1)[0].numpy()
    assert inside.mean() > 0.5
    assert abs(ours - painted)[inside, 0].max() < 1e-3
    assert abs(ours - kept)[inside, 1:].max() < 1e-3


def test_a_picture_has_its_own_colours(photo):
    assert (recolour(photo, photo) - photo).abs().max() < 1e-6


def test_masks():
    mask = torch.zeros(4, 6)
    mask[:, :3] = 0.5
    check_mask(mask)
    check_mask(None)
    for no_mask in (mask[0], mask.numpy(), mask + 0.6, mask * 0, mask * float("nan")):
        with pytest.raises(InputError, match="mask"):
            check_mask(no_mask)
    fitted = fit_mask(mask, torch.zeros(1, 8, 2, 3))
    assert torch.equal(fitted, torch.tensor([[0.5, 0.25, 0]] * 2))


def test_what_is_no_image_tensor():
    image = torch.rand(1, 3, 20, 30, dtype=torch.float64, requires_grad=True)
    checked = check_image(image, "photo")
    assert checked.dtype == torch.float32 and not checked.requires_grad
    others = [image[0], image[:, :2], image.detach().numpy(), image + 1, image * np.nan]
    for no_image in others:
        with pytest.raises(InputError, match="the photo .*use load_image"):
            check_image(no_image, "photo")


def test_an_image_is_fitted_to_the_shape_of_another():
    image = torch.rand(1, 3, 40, 60)
    assert fit_shape(image, torch.zeros(1, 3, 20, 30)).shape == (1, 3, 20, 30)
    assert fit_shape(image, torch.zeros(1, 3, 61, 90)).shape == (1, 3, 61, 90)
    assert torch.equal(fit_shape(image, torch.zeros(1, 3, 40, 60)), image)
    for like in (torch.zeros(1, 3, 60, 40), torch.zeros(1, 3, 40, 64)):
        shape = f"{like.shape[3]}x{like.shape[2]}"
        with pytest.raises(InputError, match=f"give one shaped {shape}"):
            fit_shape(image, like)


def palette(image):
    """Return mean and covariance of an image's colours in linear light, by NumPy."""
    x = to_array(image).reshape(-1, 3).astype(np.float64)
    light = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return light.mean(0), np.cov(light.T)


def test_a_palette_is_matched(photo, painting):
    dull = 0.3 + 0.4 * photo  # nothing is cut off then
    like = 0.45 + 0.1 * painting
    for ours, wanted in zip(
        palette(match_colours(dull, like)), palette(like), strict=True
    ):
        np.testing.assert_allclose(ours, wanted, rtol=2e-3, atol=1e-6)
    assert (match_colours(photo, photo) - photo).abs().max() < 1e-4
    flat = torch.full((1, 3, 20, 20), 0.5)
    for image in (match_colours(flat, like), match_colours(like, flat)):
        assert image.isfinite().all() and image.std() < 0.1


def test_what_a_format_cannot_hold_is_one_line(tmp_path):
    for image, name, line in (
        (torch.zeros(1, 3, 16, 17000), "x.webp", "not to be written as WEBP"),
        (torch.zeros(1, 3, 16, 70000), "x.jpg", "not to be written as JPEG"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "x.png", "of floats"),
        (torch.zeros(1, 3, 0, 0), "x.png", "no finite"),
    ):
        with pytest.raises(InputError, match=line):
            save_image(image, tmp_path / name)
        assert not list(tmp_path.iterdir())
