"""The studio in a real JupyterLab, in a real browser, with mouse and keyboard."""

import shutil
import time

import pytest
from conftest import IMAGES
from pages import QUIET, find_browser, jupyterlab
from playwright.sync_api import expect, sync_playwright

from nst_helpers import Settings, load_image

pytestmark = pytest.mark.browser

ROOT = IMAGES.parent
SHOTS = ROOT / "tests" / "screenshots"  # of this run; git ignores them
NOTEBOOK = ROOT / "notebooks" / "11_play_in_the_studio.ipynb"


class Page:
    """The studio as a student meets it."""

    def __init__(self, page, theme):
        self.page, self.theme = page, theme
        self.studio = page.locator(".nst-studio").first
        self.result = self.studio.locator("img.nst-result")
        self.status = self.studio.get_by_text("Iteration").first
        self.marks = self.studio.locator('svg >> polyline[stroke-dasharray="2 3"]')

    def press(self, name):
        self.studio.get_by_role("button", name=name, exact=True).click()

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
            self.studio.locator(".widget-upload").nth(button).click()
        chooser.value.set_files(file)

    def is_wide_enough(self):
        """Tell whether there is nothing to scroll sideways."""
        return self.studio.evaluate("e => e.scrollWidth == e.clientWidth")

    def shoot(self, name):
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{self.theme}-{name}.png")

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
    theme = request.param
    with (
        sync_playwright() as playwright,
        jupyterlab(
            tmp_path / "lab", NOTEBOOK, f"JupyterLab {theme.title()}"
        ) as address,
    ):
        browser = playwright.chromium.launch(
            executable_path=find_browser(playwright), args=QUIET
        )
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(60_000)
        page.goto(address)
        page.get_by_text("(ipykernel) | Idle").wait_for()  # the kernel is there
        page.keyboard.press("Control+b")  # hides the file browser
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Control+Enter")
        student = Page(page, theme)
        student.studio.wait_for()
        student.studio.evaluate("e => e.scrollIntoView({block: 'start'})")
        expect(student.status).to_contain_text("Press Start.", timeout=60_000)
        yield student
        browser.close()


@pytest.mark.long
@pytest.mark.parametrize("page", ["dark"], indirect=True)
def test_the_studio_is_legible_in_the_dark(page):
    page.changed_after(lambda: page.press("Start"))
    page.changed_after(lambda: page.drag("style", 0.35))
    expect(page.marks).not_to_have_count(0)
    page.press("Stop")
    expect(page.status).to_contain_text("Stopped")
    page.shoot("bent")
    assert page.is_wide_enough()
    brightness = """e => getComputedStyle(e).{}.match(/[0-9.]+/g).slice(0, 3)
        .reduce((sum, x) => sum + Number(x), 0)"""
    cell = page.page.locator(".jp-Notebook").first
    assert cell.evaluate(brightness.format("backgroundColor")) < 150  # of 765
    for text in (page.status, page.studio.locator("svg text").first):
        assert text.evaluate(brightness.format("color")) > 500


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_a_student_steers_a_painting(page, tmp_path):
    page.shoot("1-before")
    assert page.is_wide_enough()

    page.changed_after(lambda: page.press("Start"))
    expect(page.status).to_contain_text("left.")
    expect(page.marks).to_have_count(0)
    page.page.wait_for_timeout(3000)
    page.shoot("2-painting")

    expect(page.slider("style").locator(".widget-readout")).to_have_text("100")
    page.changed_after(lambda: page.drag("style", 0.35))
    expect(page.slider("style").locator(".widget-readout")).not_to_have_text("100")
    expect(page.status).to_contain_text("L-BFGS started its memory anew")
    expect(page.marks).not_to_have_count(0)
    page.page.wait_for_timeout(3000)
    page.shoot("3-bent")

    # The kernel is free: another cell runs while it paints.
    page.page.keyboard.press("Escape")
    page.page.locator(".jp-CodeCell .cm-content").first.click()
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("b")
    page.page.keyboard.press("Enter")
    page.page.keyboard.type("studio.worker.left > 0, 6 * 7")
    page.page.keyboard.press("Control+Enter")
    expect(page.page.get_by_text("(True, 42)")).to_be_visible(timeout=10_000)
    page.studio.evaluate("e => e.scrollIntoView({block: 'start'})")

    page.press("Pause")
    expect(page.status).to_contain_text("Resting.")
    handle = page.slider("time line").locator(".noUi-handle")
    handle.focus()
    page.changed_after(lambda: page.page.keyboard.press("Home"))
    expect(page.status).to_contain_text("Iteration 0 of")
    page.page.keyboard.press("End")
    expect(page.status).not_to_contain_text(" of ")
    page.changed_after(lambda: page.drag("compare", 0.5))

    page.press("Take home")
    with page.page.expect_download() as download:
        page.studio.get_by_text("picture (PNG)").click()
    assert download.value.suggested_filename == "picture.png"
    assert load_image(download.value.path()).shape == (1, 3, 85, 128)
    with page.page.expect_download() as download:
        page.studio.get_by_text("recipe (JSON)").click()
    recipe = Settings.load(download.value.path())
    label = page.slider("style").locator(".widget-readout").text_content()
    assert recipe.style_weight == float(label) != 100
    page.shoot("4-end")

    broken = tmp_path / "holiday.jpg"
    broken.write_bytes((IMAGES / "content" / "cat.jpg").read_bytes()[:9000])
    page.upload(0, broken)
    alert = page.studio.get_by_role("alert")
    expect(alert).to_contain_text("holiday.jpg: broken or cut off")
    page.shoot("5-error")
    own = tmp_path / "my coffee.jpg"
    shutil.copy(IMAGES / "content" / "coffee.jpg", own)
    page.changed_after(lambda: page.upload(0, own))
    expect(page.studio.get_by_text("my coffee.jpg").first).to_be_visible()
    expect(alert).to_have_count(0)
    page.changed_after(lambda: page.press("Start"))
    page.press("Stop")
    expect(page.status).to_contain_text("Stopped")
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("Control+b")  # the file browser is back
    page.page.wait_for_timeout(1000)
    assert page.is_wide_enough()
