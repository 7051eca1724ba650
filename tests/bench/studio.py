"""Steer the studio in a real browser: film it, or time its answers.

    python tests/bench/studio.py film studio.webp  # it being steered; a still beside it
    python tests/bench/studio.py answers           # seconds from a slider to new pixels

Chromium is needed, as for the browser tests. Let nothing else run.
"""

import argparse
import io
import re
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from PIL import Image
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parents[1]))
from pages import browse, jupyterlab, run_cell  # noqa: E402
from test_browser import NOTEBOOK, Page  # noqa: E402

WIDTH, EACH = 960, 0.25  # of the film, in pixels; seconds a picture
CURSOR = """() => { const dot = document.createElement("div");
    dot.style = `position: fixed; z-index: 200000; width: 22px; height: 22px;
        margin: -11px; border-radius: 50%; pointer-events: none;
        background: rgb(255 200 0 / 65%); border: 2px solid #333`;
    document.body.append(dot);
    document.addEventListener("pointermove", (e) => {
        dot.style.left = `${e.clientX}px`; dot.style.top = `${e.clientY}px`;
    }, true); }"""
LISTEN = """() => { window.shown = []; window.moved = [];
    document.querySelector("img.nst-result").addEventListener("load", (e) =>
        window.shown.push([performance.now(), e.target.alt]));
    document.addEventListener("keydown", () =>
        window.moved.push(performance.now()), true); }"""


@contextmanager
def opened():
    """Open notebook 11 in JupyterLab, without its file browser."""
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyterlab(Path(folder) / "served", NOTEBOOK) as address,
        browse(address) as page,
    ):
        student = Page(page, "bench")
        run_cell(page, 0)
        run_cell(page, 1)
        student.studio.wait_for(timeout=120_000)
        expect(student.status).to_contain_text("Press Start.", timeout=60_000)
        page.keyboard.press("Escape")
        page.keyboard.press("Control+b")
        page.wait_for_timeout(1500)
        student.studio.evaluate("e => e.scrollIntoView({block: 'start'})")
        yield student


def answers():
    """Move the style's slider 24 times; time, in the page, the first new pixels."""
    with opened() as student:
        page, found, sizes = student.page, [], []
        student.press("Start")
        page.evaluate(LISTEN)
        handle = student.studio.get_by_role("slider", name="style", exact=True)
        for turn in range(24):
            page.wait_for_timeout(4000)  # time to grow
            if student.studio.get_by_role("button", name="Start", exact=True).count():
                student.press("Start")
                page.wait_for_timeout(3000)
            sizes.append(student.studio.locator(".nst-badge").text_content())
            handle.focus()
            page.keyboard.press("ArrowRight" if turn % 2 else "ArrowLeft")
            page.wait_for_timeout(1200)
            bent = re.search(r"Bent at iteration (\d+)", student.status.text_content())
            (shown, moved) = page.evaluate("[window.shown, window.moved]")
            later = [
                t
                for t, alt in shown
                if t > moved[-1] and int(alt.split()[-1]) > int(bent[1])
            ]
            found.append((later[0] - moved[-1]) / 1000)
        print(f"median {median(found):.2f} s, worst {max(found):.2f} s of {len(found)}")
        print("sizes before the moves:", ", ".join(dict.fromkeys(sizes)))


def film(path):
    """Film the studio: start, a slider, a region, a moment kept."""
    with opened() as student:
        page, shots = student.page, []
        page.evaluate(CURSOR)
        box = student.studio.bounding_box()
        clip = {"x": box["x"] - 6, "y": box["y"] - 4, "width": 1112, "height": 480}

        def watch(seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                began = time.monotonic()
                shots.append(page.screenshot(clip=clip))
                page.wait_for_timeout(max(1, 1000 * (EACH - time.monotonic() + began)))

        def glide(x, y, down=False):
            (page.mouse.down if down else page.mouse.up)()
            for k in range(1, 7):
                step = k / 6
                page.mouse.move(
                    glide.x + (x - glide.x) * step, glide.y + (y - glide.y) * step
                )
                shots.append(page.screenshot(clip=clip))
            glide.x, glide.y = x, y
            page.mouse.up()

        def middle(part, x=0.5, y=0.5):
            at = part.bounding_box()
            return at["x"] + at["width"] * x, at["y"] + at["height"] * y

        glide.x, glide.y = 700.0, 500.0
        watch(0.6)
        glide(*middle(student.studio.get_by_role("button", name="Start", exact=True)))
        student.press("Start")
        watch(7)
        handle = student.slider("style").locator(".noUi-handle")
        glide(*middle(handle))
        glide(*middle(student.slider("style").locator(".noUi-base"), 0.66), down=True)
        watch(4)
        tab = student.studio.locator(".lm-TabBar-tab").get_by_text("Region", exact=True)
        glide(*middle(tab))
        student.open("Region")
        student.studio.locator(".nst-panel .nst-brush [name=size]").fill("80")
        canvas = student.studio.locator(".nst-screen .nst-brush canvas")
        for x in (0.65, 0.85, 0.95):
            glide(*middle(canvas, x, 0.1))
            glide(*middle(canvas, x, 0.92), down=True)
        student.open("Curves")
        glide(*middle(student.studio.locator(".nst-panel svg").first))
        watch(7)
    frames = [Image.open(io.BytesIO(shot)).convert("RGB") for shot in shots]
    size = WIDTH, round(WIDTH * frames[0].height / frames[0].width)
    frames[-1].save(Path(path).with_suffix(".jpg"), quality=90)
    first, *rest = [frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]
    times = [round(1000 * EACH)] * len(rest) + [2500]
    first.save(path, save_all=True, append_images=rest, duration=times, quality=60)
    print(f"{path}: {len(frames)} pictures, {Path(path).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("film", "answers"))
    parser.add_argument("path", nargs="?", default="studio.webp")
    options = parser.parse_args()
    film(options.path) if options.what == "film" else answers()
