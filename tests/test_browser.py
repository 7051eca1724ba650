"""The studio in a real browser, with mouse and keyboard."""

import base64
import shutil
import time

import nbformat
import numpy as np
import pytest
from conftest import IMAGES
from pages import SERVERS, browse, run_cell
from playwright.sync_api import expect

from nst_helpers import load_image
from nst_helpers.pixels import resize, to_array

pytestmark = pytest.mark.browser

ROOT = IMAGES.parent
SHOTS = ROOT / "tests" / "screenshots"  # of this run; git ignores them
NOTEBOOK = ROOT / "notebooks" / "11_play_in_the_studio.ipynb"


class Page:
    """The studio as a student meets it."""

    def __init__(self, page, place):
        self.page, self.place = page, place
        self.studio = page.locator(".nst-studio").first
        self.result = self.studio.locator("img.nst-result")
        self.status = self.studio.locator(".nst-left > .widget-html").last
        self.marks = self.studio.locator('svg >> polyline[stroke-dasharray="2 3"]')

    def press(self, name):
        self.studio.get_by_role("button", name=name, exact=True).click()

    def open(self, tab):
        self.studio.locator(".lm-TabBar-tab").get_by_text(tab, exact=True).click()

    def slider(self, label):
        label = self.page.get_by_text(label, exact=True)
        return self.studio.locator(".widget-hslider").filter(has=label)

    def drag(self, label, to):
        """Drag a slider's handle with the mouse to a part of its length."""
        handle = self.slider(label).locator(".noUi-handle").bounding_box()
        track = self.slider(label).locator(".noUi-base").bounding_box()
        mouse, y = self.page.mouse, handle["y"] + handle["height"] / 2
        mouse.move(handle["x"] + handle["width"] / 2, y)
        mouse.down()
        mouse.move(track["x"] + track["width"] * to, y, steps=10)
        mouse.up()

    def upload(self, button, file):
        with self.page.expect_file_chooser() as chooser:
            self.studio.locator(".nst-upload").nth(button).click()
        chooser.value.set_files(file)

    def box(self, selector):
        return self.studio.locator(selector).first.bounding_box()

    def is_wide_enough(self):
        """Tell whether there is nothing to scroll sideways."""
        return self.studio.evaluate("e => e.scrollWidth <= e.clientWidth")

    def shoot(self, name):
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{self.place}-{name}.png")

    def shown(self):
        """Return the picture on the page, (H, W, 3), as wide as it was painted."""
        address = self.result.evaluate(
            """e => { const c = document.createElement("canvas");
            [c.width, c.height] = [e.naturalWidth, e.naturalHeight];
            c.getContext("2d").drawImage(e, 0, 0); return c.toDataURL(); }"""
        )
        return load_image(base64.b64decode(address.split(",")[1]))

    def changed_after(self, act):
        """Do something and wait until the picture on the screen is another."""
        before = self.result.screenshot()
        act()
        end = time.monotonic() + 30
        while self.result.screenshot() == before:
            assert time.monotonic() < end, "the picture did not change"
            time.sleep(0.1)


@pytest.fixture
def page(request, tmp_path):
    place = request.param
    serve = SERVERS[place](tmp_path / "served", NOTEBOOK)
    with serve as address, browse(address) as page:
        student = Page(page, place)
        student.folder = tmp_path / "served" / "notebooks" / "results"
        if place != "voila":  # which runs all cells
            run_cell(page, 0)
            run_cell(page, 1)
        student.studio.wait_for(timeout=120_000)
        if place != "voila":
            expect(student.status).to_contain_text("Press Start.", timeout=60_000)
        page.wait_for_timeout(1000)  # it has scrolled itself into sight
        yield student


def paint_the_right_half(page):
    """Drag the brush over the right of the picture, several times."""
    canvas = page.studio.locator(".nst-screen .nst-brush canvas").bounding_box()
    page.studio.locator(".nst-panel .nst-brush [name=size]").fill("100")
    mouse = page.page.mouse
    for x in (0.72, 0.9):
        mouse.move(
            canvas["x"] + canvas["width"] * x, canvas["y"] + canvas["height"] * 0.05
        )
        mouse.down()
        mouse.move(
            canvas["x"] + canvas["width"] * x,
            canvas["y"] + canvas["height"] * 0.95,
            steps=8,
        )
        mouse.up()


@pytest.mark.parametrize(
    "page",
    [
        "light",
        pytest.param("notebook", marks=pytest.mark.long),
        pytest.param("voila", marks=pytest.mark.long),
    ],
    indirect=True,
)
def test_a_student_steers_a_painting(page, tmp_path):
    # All that a first look needs is in sight, beside the open file browser.
    for part in (".nst-originals", ".nst-frame", ".nst-left", ".nst-middle"):
        box = page.box(part)
        assert box["y"] >= 0 and box["x"] + box["width"] <= 1280
        assert box["y"] + box["height"] <= 720
    assert page.box(".nst-frame")["width"] >= 630 and page.is_wide_enough()
    for name in ("content", "style", "total variation"):
        handle = page.studio.get_by_role("slider", name=name, exact=True)
        assert handle.get_attribute("aria-valuetext") == (
            page.slider(name).locator(".widget-readout").text_content()
        )
    page.shoot("1-open")

    page.changed_after(lambda: page.press("Start"))
    expect(page.status).to_contain_text("left.")
    assert "painted in the manner of" in page.result.get_attribute("alt")
    page.page.wait_for_timeout(3000)
    page.shoot("2-painting")
    page.changed_after(lambda: page.drag("style", 0.35))
    expect(page.slider("style").locator(".widget-readout")).not_to_have_text("100")
    expect(page.status).to_contain_text("L-BFGS started its memory anew")
    page.open("Curves")
    expect(page.marks).not_to_have_count(0)
    page.studio.get_by_label("who pulls where").select_option("content")
    expect(page.studio.locator("img.nst-veil")).to_be_visible()
    page.page.wait_for_timeout(1500)
    page.shoot("3-pull")
    page.studio.get_by_label("who pulls where").select_option("nobody")
    page.press("Pause")
    expect(page.status).to_contain_text("Resting.")

    # The left half, which is not painted over, goes on as it was.
    page.open("Region")
    before = to_array(resize(page.shown(), 96))
    paint_the_right_half(page)
    page.press("Start")
    page.page.wait_for_timeout(4000)
    page.shoot("4-region")
    page.press("Pause")
    expect(page.status).to_contain_text("Resting.")
    change = np.abs(to_array(resize(page.shown(), 96)) - before).mean((0, 2))
    assert change[66:].mean() > 2 * change[:30].mean()

    page.open("Moments")
    page.press("Keep this moment")
    page.press("Begin again")
    expect(page.status).to_contain_text("Iteration 0")
    page.changed_after(lambda: page.studio.locator(".nst-shelf button").click())
    expect(page.status).not_to_contain_text("Iteration 0")
    page.shoot("5-moments")
    play = page.studio.locator(".widget-play button").first
    play.click()
    expect(page.status).to_contain_text(" of ")
    play.click()

    page.press("Present")
    page.page.wait_for_timeout(800)
    assert page.box(".nst-frame")["height"] > 500
    expect(page.slider("style")).to_be_in_viewport()
    expect(page.studio.locator(".nst-tabs")).to_be_hidden()
    page.shoot("6-present")
    page.page.keyboard.press("Escape")
    expect(page.studio.locator(".nst-tabs")).to_be_visible()

    page.open("Finish")
    page.press("Take home")
    done = page.studio.get_by_text("files are in the folder results")
    expect(done).to_be_visible(timeout=30_000)
    assert {path.suffix for path in page.folder.iterdir()} == {".png", ".gif", ".json"}
    with page.page.expect_download() as download:
        page.studio.locator("a[download$='.gif']").click()
    assert download.value.path().stat().st_size > 1000
    page.shoot("7-home")


@pytest.mark.long
@pytest.mark.parametrize("page", ["dark"], indirect=True)
def test_the_studio_is_legible_in_the_dark(page):
    page.changed_after(lambda: page.press("Start"))
    page.changed_after(lambda: page.drag("style", 0.35))
    page.open("Curves")
    expect(page.marks).not_to_have_count(0)
    page.press("Pause")
    page.shoot("bent")
    brightness = """e => getComputedStyle(e).{}.match(/[0-9.]+/g).slice(0, 3)
        .reduce((sum, x) => sum + Number(x), 0)"""
    cell = page.page.locator(".jp-Notebook").first
    assert cell.evaluate(brightness.format("backgroundColor")) < 150  # of 765
    text = page.status.locator(".widget-html-content")
    for part in (text, page.studio.locator("svg text").first):
        assert part.evaluate(brightness.format("color")) > 500


@pytest.mark.long
@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_what_goes_wrong_is_said_and_the_wall_hangs(page, tmp_path):
    broken = tmp_path / "holiday.jpg"
    broken.write_bytes((IMAGES / "content" / "cat.jpg").read_bytes()[:9000])
    page.upload(0, broken)
    alert = page.studio.get_by_role("alert")
    expect(alert).to_contain_text("holiday.jpg: broken or cut off")
    page.shoot("error")
    own = tmp_path / "my coffee.jpg"
    shutil.copy(IMAGES / "content" / "coffee.jpg", own)
    page.changed_after(lambda: page.upload(0, own))
    expect(page.studio.get_by_text("my coffee.jpg").first).to_be_visible()
    expect(alert).to_have_count(0)
    page.changed_after(lambda: page.press("Start"))
    page.drag("style", 0.7)
    page.page.wait_for_timeout(2000)
    # The kernel is free: other cells run while it paints, the first view stays.
    run_cell(page.page, 3)
    wall = page.page.locator(".nst-studio").nth(1)
    expect(wall.get_by_text("0 pictures in results yet")).to_be_visible()
    page.studio.evaluate("e => e.scrollIntoView({block: 'start'})")
    page.press("Pause")
    page.open("Finish")
    page.press("Take home")
    done = page.studio.get_by_text("files are in the folder results")
    expect(done).to_be_visible(timeout=30_000)
    style = page.slider("style").locator(".widget-readout").text_content()
    page.drag("style", 0.2)
    wall.get_by_role("button", name="Look again").click()
    wall.locator(".nst-wall button").click()
    expect(wall.get_by_text("iterations")).to_contain_text(f"style {style}")
    page.shoot("wall")
    expect(page.slider("style").locator(".widget-readout")).to_have_text(style)
    expect(page.status).to_contain_text("Start paints it again")


COLAB = """\
import sys, types
sys.modules["google.colab"] = types.ModuleType("colab")
from nst_helpers import Settings
from nst_helpers.studio import Studio
Studio(settings=Settings(size=64, steps=500), grows=False)"""


@pytest.mark.long
def test_in_colab_the_page_asks_for_each_picture(tmp_path):
    """There, what the painting thread sends is not shown."""
    cells = [nbformat.v4.new_code_cell(COLAB)]
    kernel = {"name": "python3", "display_name": "Python 3"}
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(book, tmp_path / "colab.ipynb")
    serve = SERVERS["light"](tmp_path / "served", tmp_path / "colab.ipynb")
    with serve as address, browse(address) as page:
        run_cell(page)
        student = Page(page, "colab")
        expect(student.status).to_contain_text("Press Start.", timeout=120_000)
        student.changed_after(lambda: student.press("Start"))
        student.changed_after(lambda: student.press("Pause"))
        expect(student.status).to_contain_text("Resting.")
