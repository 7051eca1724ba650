"""The brush: masks in and out; painted with in a real browser, by mouse and keys."""

import io
import json
import time

import nbformat
import numpy as np
import pytest
import torch
from conftest import IMAGES
from files import chunk, png
from pages import SERVERS, browse, run_cell
from PIL import Image
from playwright.sync_api import expect

from nst_helpers import InputError
from nst_helpers.studio.brush import Brush

SHOTS = IMAGES.parent / "tests" / "screenshots"  # of this run; git ignores them


def grey(pixels):
    """Write a grey PNG by Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def brush():
    brush = Brush()
    brush.show(torch.rand(1, 3, 60, 90))
    return brush


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (171, 256), np.uint8)


@pytest.mark.parametrize(
    "size, shown", [((300, 451), (451, 300)), ((20, 2000), (1024, 10))]
)
def test_the_photo_is_shown_as_a_jpeg(size, shown):
    brush = Brush()
    brush.show(torch.rand(1, 3, *size))
    jpeg = Image.open(io.BytesIO(brush.photo))
    assert (jpeg.format, jpeg.size) == ("JPEG", shown)
    assert brush.shape == (round(256 * size[0] / size[1]), 256)


def test_what_is_no_photo_is_refused(brush):
    with pytest.raises(InputError, match="the photo is no image tensor"):
        brush.show(torch.rand(3, 60, 90))


def test_a_mask_is_read_as_a_region(brush, pixels):
    brush.set_state({"mask": memoryview(grey(pixels))})  # as the page does
    assert brush.refusal == "" and brush.region.dtype == torch.float32
    np.testing.assert_array_equal(brush.region, pixels.astype(np.float32) / 255)


def test_a_region_becomes_a_mask_with_its_soft_values(brush, pixels):
    brush.region = torch.from_numpy(pixels / np.float32(255))
    mask = Image.open(io.BytesIO(brush.mask))
    assert (mask.format, mask.mode) == ("PNG", "L")
    np.testing.assert_array_equal(mask, pixels)
    brush.region = torch.tensor([[0.0, 0.5], [1.0, 1.0]])  # brought to size
    assert brush.region.shape == (171, 256)
    assert brush.region[0, 0] == 0 and brush.region[-1].min() == 1
    assert brush.region[0, -1] == pytest.approx(0.5, abs=2 / 255)


def test_nothing_painted_is_none(brush, pixels):
    brush.region = torch.ones(171, 256)
    brush.region = None
    assert brush.mask == b"" and brush.region is None
    brush.region = torch.full((171, 256), 0.4 / 255)
    assert brush.mask == b"" and brush.region is None
    brush.mask = grey(pixels * 0)
    assert brush.region is None


@pytest.mark.parametrize(
    "region", [torch.ones(1, 9, 9), torch.full((9, 9), 1.1), torch.zeros(9, 9), "left"]
)
def test_a_region_that_is_no_mask_is_refused(brush, region):
    with pytest.raises(InputError, match="mask"):
        brush.region = region
    assert brush.region is None


def test_a_region_needs_a_photo():
    with pytest.raises(InputError, match="show one first"):
        Brush().region = torch.ones(9, 9)


def test_only_another_photo_of_other_proportions_clears_it(brush, pixels):
    brush.mask = grey(pixels)
    brush.show(torch.rand(1, 3, 341, 512))  # as 2 to 3 as its whole pixels allow
    np.testing.assert_array_equal(brush.region, pixels.astype(np.float32) / 255)
    brush.show(torch.rand(1, 3, 512, 341))
    assert brush.region is None and brush.shape == (256, 170)


HUGE = png(0, 8, np.zeros((1, 1, 1), np.uint8))
HUGE = HUGE[:8] + chunk(b"IHDR", b"\0\1\0\0\0\1\0\0\b\0\0\0\0") + HUGE[33:]
WRONG = {
    "text": b"no picture at all",
    "cut off": grey(np.eye(171, 256, dtype=np.uint8))[:-30],
    "65536 x 65536 pixels": HUGE,
    "other proportions": grey(np.ones((256, 256), np.uint8)),
    "coloured": grey(np.ones((171, 256, 3), np.uint8)),
    "no bytes": 5,
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_page_sends_is_not_trusted(brush, pixels, what):
    brush.mask = kept = grey(pixels)
    brush.set_state({"mask": WRONG[what]})
    assert brush.mask == kept
    assert brush.refusal.startswith("the mask: no") and "\n" not in brush.refusal
    brush.set_state({"mask": b""})
    assert brush.refusal == "" and brush.region is None
    if what != "no bytes":
        with pytest.raises(InputError, match="the mask: no"):
            brush.mask = WRONG[what]


def test_the_page_chooses_no_photo(brush):
    kept = brush.photo, brush.shape
    brush.set_state({"photo": b"", "shape": [9, 9], "refusal": "ha"})
    assert (brush.photo, brush.shape) == kept and brush.refusal == ""


# In a browser. The label says the mean of each of 6 x 8 fields of the region.
ROWS, COLUMNS = 6, 8
CELL = f"""
import json
import torch
from IPython.display import display
from ipywidgets import Button, HBox, Label, VBox
from torch.nn.functional import adaptive_avg_pool2d
from nst_helpers import load_image
from nst_helpers.studio.brush import Brush

brush, told = Brush(), Label("none")
told.add_class("told")
names = "left half", "other photo", "second view"
half, other, second = buttons = [Button(description=name) for name in names]
place = VBox([brush])

def tell(_):
    region = brush.region
    told.value = "none"
    if region is not None:
        fields = adaptive_avg_pool2d(region[None], ({ROWS}, {COLUMNS}))[0]
        told.value = json.dumps(fields.round(decimals=3).tolist())

def paint_half(_):
    brush.region = (torch.arange(256) < 128).float().expand(144, 256)

def hide_or_show(_):
    place.children = () if place.children else (brush,)

brush.observe(tell, "mask")
second.on_click(hide_or_show)
half.on_click(paint_half)
other.on_click(lambda _: brush.show(load_image("../images/content/cat.jpg")))
brush.show(load_image("../images/content/lake.jpg", 512))
display(brush, HBox(buttons), place, told)
"""


class Page:
    """A notebook with two views of a brush, over a photo of 256 x 144 pixels."""

    def __init__(self, page, place):
        self.page, self.place = page, place
        self.brush = page.locator(".nst-brush").first
        self.canvas = self.brush.locator("canvas")
        self.status = self.brush.get_by_role("status")

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def drag(self, *points):
        """Drag the mouse over points, x and y of the photo's width and height."""
        box, mouse = self.canvas.bounding_box(), self.page.mouse
        places = [
            (box["x"] + x * box["width"], box["y"] + y * box["height"])
            for x, y in points
        ]
        mouse.move(*places[0])
        mouse.down()
        for place in places[1:]:
            mouse.move(*place, steps=8)
        mouse.up()

    def veils(self):
        """Return what covers the photo, 0 to 1, in each of the views."""
        shown = "c => [...c.getContext('2d').getImageData(0, 0, 256, 144).data]"
        canvases = self.page.locator(".nst-brush canvas").all()
        data = np.array([canvas.evaluate(shown) for canvas in canvases])
        return data.reshape(-1, 144, 256, 4)[..., 3] / data[..., 3::4].max()

    def shoot(self):
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"brush-{self.place}.png")

    def set(self, label, value):
        self.brush.get_by_role("slider", name=label).fill(str(value))

    def expect(self, mask, atol=0.02):
        """Wait until Python's region is this mask, (144, 256) in [0, 1]."""
        wanted = mask.reshape(ROWS, 144 // ROWS, COLUMNS, -1).mean((1, 3))
        end = time.monotonic() + 20
        while True:
            told = self.page.locator(".told").text_content()
            fields = np.array(json.loads(told)) if told != "none" else 0 * wanted
            if np.allclose(fields, wanted, atol=atol):
                break
            assert time.monotonic() < end, fields - wanted
            time.sleep(0.1)
        share = 100 * mask.mean()
        if not 0 < share < 1:
            text = f"Region painted: {share:.0f} %" if share else "Nothing painted yet"
            expect(self.status).to_contain_text(text)


def stroke(start, end, size=40, soft=0.2):
    """Say what a stroke covers: how far each pixel is from the line between points."""
    place = np.stack(np.meshgrid(np.arange(256) + 0.5, np.arange(144) + 0.5), -1)
    start, end = np.multiply(start, (256, 144)), np.multiply(end, (256, 144))
    along = np.clip(
        (place - start) @ (end - start) / max((end - start) @ (end - start), 1), 0, 1
    )
    away = np.linalg.norm(place - start - along[..., None] * (end - start), axis=-1)
    return np.clip((size / 2 - away) / max(1, size / 2 * soft), 0, 1)


@pytest.fixture
def student(request, tmp_path):
    cell = nbformat.v4.new_code_cell(CELL)
    kernel = {"name": "python3", "display_name": "Python 3"}
    book = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(book, tmp_path / "brush.ipynb")
    serve = SERVERS[request.param](tmp_path / "served", tmp_path / "brush.ipynb")
    with serve as address, browse(address, height=800) as page:
        if request.param != "voila":
            run_cell(page)
        student = Page(page, request.param)
        student.canvas.wait_for()
        student.canvas.scroll_into_view_if_needed()
        yield student


@pytest.mark.browser
@pytest.mark.long
@pytest.mark.parametrize("student", list(SERVERS), indirect=True)
def test_a_region_is_painted(student, tmp_path):
    page, nothing = student.page, np.zeros((144, 256))
    expect(student.status).to_have_text("Nothing painted yet: drag over the photo")
    sky = stroke((0.2, 0.2), (0.8, 0.2))
    student.drag((0.2, 0.2), (0.8, 0.2))
    student.expect(sky)
    assert student.veils() == pytest.approx(np.stack([sky, sky]), abs=0.05)

    student.press("Eraser")
    student.set("Size", 20)
    student.set("Soft edge", 0)
    hole = np.minimum(sky, 1 - stroke((0.5, 0.1), (0.5, 0.9), 20, 0))
    student.drag((0.5, 0.1), (0.5, 0.9))
    student.expect(hole)
    student.press("Undo")
    student.expect(sky)
    student.press("Redo")
    student.expect(hole)
    student.press("Invert")
    student.expect(1 - hole)
    student.press("Clear")
    student.expect(nothing)

    student.canvas.focus()  # at the eraser's last place
    page.keyboard.press("e")
    for _ in range(3):
        page.keyboard.press("]")
    for key in ["Shift+ArrowUp"] * 4 + ["ArrowLeft"] * 5 + ["Enter"]:
        page.keyboard.press(key)
    dab = (128 - 20) / 256, 0.9 - 64 / 144
    first = stroke(dab, dab, 32, 0)
    student.expect(first)
    for key in ["Shift+ArrowLeft"] * 5 + ["Space"]:
        page.keyboard.press(key)
    left = dab[0] - 80 / 256, dab[1]
    student.expect(np.maximum(first, stroke(left, left, 32, 0)))
    page.keyboard.press("Control+z")
    student.expect(first)
    page.keyboard.press("Control+Shift+Z")
    student.expect(np.maximum(first, stroke(left, left, 32, 0)))

    with page.expect_download() as download:
        student.press("Save mask")
    assert download.value.suggested_filename == "mask.png"
    saved = Image.open(download.value.path())
    assert (saved.mode, saved.size) == ("L", (256, 144))
    np.testing.assert_allclose(
        np.asarray(saved) / 255, np.maximum(first, stroke(left, left, 32, 0)), atol=0.5
    )
    file = student.brush.locator("input[type=file]")
    own = np.zeros((288, 512), np.uint8)
    own[:, 256:], own[144:, :256] = 255, 102
    Image.fromarray(own).save(tmp_path / "own mask.png")
    file.set_input_files(tmp_path / "own mask.png")
    student.expect(own[::2, ::2] / 255)
    (tmp_path / "notes.txt").write_text("no picture")
    file.set_input_files(tmp_path / "notes.txt")
    expect(student.status).to_have_text(
        "notes.txt: no picture that can be read here; choose a PNG or JPEG"
    )
    file.set_input_files(download.value.path())
    student.expect(np.asarray(saved) / 255)

    views = page.locator(".nst-brush")
    student.press("second view")
    expect(views).to_have_count(1)
    student.press("left half")  # from Python
    half = nothing + (np.arange(256) < 128)
    student.expect(half)
    student.press("Undo")
    student.expect(np.asarray(saved) / 255)
    student.press("Redo")
    student.expect(half)
    student.press("Brush")
    student.set("Size", 40)
    student.drag((0.7, 0.3), (0.9, 0.8))
    both = np.maximum(half, stroke((0.7, 0.3), (0.9, 0.8), 40, 0))
    student.expect(both)
    student.press("second view")  # as it is by now
    expect(views).to_have_count(2)
    assert student.veils() == pytest.approx(np.stack([both, both]), abs=0.05)
    student.shoot()

    student.press("other photo")
    expect(student.status).to_have_text("Nothing painted yet: drag over the photo")
    expect(student.canvas).to_have_attribute("height", "170")
    student.drag((0.1, 0.5), (0.9, 0.5))
    expect(student.status).to_contain_text("Region painted:")
    expect(page.locator(".told")).not_to_have_text("none")
