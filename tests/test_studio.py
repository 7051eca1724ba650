"""The studio without a browser: its widgets are moved as a hand would."""

import base64
import ctypes
import datetime
import functools
import gc
import html
import io
import json
import os
import re
import shutil
import sys
import threading
import time
import types
import weakref
from dataclasses import replace

import cv2
import ipywidgets as widgets
import numpy as np
import pytest
import torch
from conftest import IMAGES, make_network, resident
from PIL import Image
from test_images import BAD_FILES

from nst_helpers import InputError, Loss, Settings, StyleTransfer, load_image
from nst_helpers.device import accelerate
from nst_helpers.images import encode, list_endings
from nst_helpers.pixels import resize, to_array
from nst_helpers.studio import Studio
from nst_helpers.studio.brush import Brush
from nst_helpers.studio.gallery import ImagePicker
from nst_helpers.studio.pace import Pace
from nst_helpers.studio.stage import Stage
from nst_helpers.studio.wall import Wall
from nst_helpers.studio.worker import Worker

TINY = Settings(
    size=32,
    steps=400,
    weights="random",
    content_layers={"conv3_2": 1.0},
    style_layers={"conv1_1": 256.0, "conv2_1": 64.0, "conv3_1": 16.0},
)
WEIGHTS = {
    "content": "content_weight",
    "style": "style_weight",
    "total variation": "tv_weight",
}


class Page:
    """A studio as it is seen: what is found, is found by what stands on it."""

    def __init__(self, settings=TINY, images=IMAGES, **more):
        self.studio = Studio(images, settings, **{"grows": False} | more)
        self.worker = self.studio.worker
        self.run = self.worker.painting
        self.worker.wait()
        self.photo, self.painting = self.every(ImagePicker)
        self.brush = self.every(Brush)[0]

    @property
    def moments(self):
        return self.run.moments

    @property
    def iterations(self):
        return [moment.iteration for moment in self.run.moments]

    @property
    def newest(self):
        return self.run.newest

    def every(self, kind, box=None):
        found = []
        for widget in (box or self.studio).children:
            found += [widget] if isinstance(widget, kind) else []
            found += self.every(kind, widget) if hasattr(widget, "children") else []
        return list(dict.fromkeys(found))  # some stand in two places

    def find(self, kind, description, box=None):
        (found,) = [w for w in self.every(kind, box) if w.description == description]
        return found

    def slider(self, name):
        return self.find((widgets.SelectionSlider, widgets.FloatSlider), name)

    def choice(self, name):
        return self.find(widgets.Dropdown, name)

    @property
    def layers(self):
        sliders = self.every(widgets.FloatSlider)
        return {s.description: s for s in sliders if s.orientation == "vertical"}

    @property
    def picture(self):
        (stage,) = self.every(Stage)
        return stage

    @property
    def progress(self):
        (bar,) = self.every(widgets.FloatProgress)
        return bar.value

    @property
    def markup(self):
        return [w.value for w in self.every(widgets.HTML)]

    @property
    def text(self):
        return "\n".join(re.sub("<[^>]*>", " ", markup) for markup in self.markup)

    @property
    def alert(self):
        """Return the line of the alert, as markup; or nothing."""
        line = re.search('role="alert">(.*?)</div>', "".join(self.markup), re.DOTALL)
        return line and line[1]

    @property
    def links(self):
        found = re.findall('download="(.*?)" href=".*?,(.*?)"', "".join(self.markup))
        return {name[name.rfind(".") :]: base64.b64decode(x) for name, x in found}

    def press(self, *names):
        for name in names:
            self.find(widgets.Button, name).click()

    def press_and_wait(self, *names):
        self.press(*names)
        self.worker.wait()

    def start_and_wait_for(self, count):
        self.press("Start")
        wait_for(lambda: len(self.moments) >= count)

    def upload(self, description, name, content, box=None):
        """Do what the file dialog of a page does."""
        button = self.find(widgets.FileUpload, description, box)
        button.set_trait("value", as_value({name: content}))
        assert not button.value  # the same file may be chosen again

    def tidy(self):
        """Bring everything to where it was when the studio opened."""
        self.slider("wipe").value, self.slider("time line").value = 0, 100
        self.choice("colours").value = ""
        self.choice("second painting").value = "kandinsky composition viii"
        self.photo.value, self.painting.value = "cat", "hokusai great wave"
        self.studio.reset()
        self.worker.wait()
        assert self.alert is None


def as_value(files):
    """Make what a page sends of {name: content}, in ipywidgets 7 or later."""
    if isinstance(widgets.FileUpload().value, dict):
        return {name: {"content": content} for name, content in files.items()}
    when = {"type": "", "last_modified": datetime.datetime.now()}
    return tuple(
        {"name": name, "content": memoryview(content), "size": len(content), **when}
        for name, content in files.items()
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def workers():
    return [t for t in threading.enumerate() if isinstance(t, Worker)]


make_quicker = functools.cache(accelerate)


@pytest.fixture(autouse=True)
def networks(monkeypatch):
    """Make each network once, so that a run begins sooner."""
    monkeypatch.setattr("nst_helpers.device.VGG19", make_network)
    monkeypatch.setattr("nst_helpers.device.accelerate", make_quicker)


@pytest.fixture(scope="module")
def opened():
    """Hold the page that most tests share."""
    pages = [Page()]
    yield pages
    pages[0].studio.close()
    assert pages[0].worker not in workers()


@pytest.fixture
def page(opened):
    if not opened[0].worker.is_alive():  # a test has opened another studio
        opened[0] = Page()
    opened[0].tidy()
    return opened[0]


@pytest.fixture
def fresh():
    page = Page()
    yield page
    page.studio.close()
    assert page.worker not in workers()


def test_it_opens_with_the_photo_at_rest(fresh):
    photo = load_image(IMAGES / "content" / "cat.jpg")
    assert fresh.photo.value == "cat" and fresh.alert is None
    assert fresh.moments[0].iteration == 0
    assert (fresh.studio.image - resize(photo, 32)).abs().max() < 0.05
    assert "Press Start." in fresh.text and not fresh.worker.left
    assert len(fresh.photo.names) == 8 and len(fresh.painting.names) == 10
    assert ".nst-stage" in fresh.text  # the looks


def test_step_paints_one_iteration_and_rests(page):
    photo = page.studio.image
    page.press_and_wait("One step")
    assert page.iterations == [0, 1]
    assert not torch.equal(page.studio.image, photo)
    assert "Resting." in page.text


def test_start_paints_until_pause(page):
    page.press("Start")
    wait_for(lambda: "left." in page.text)
    assert page.studio.running
    wait_for(lambda: len(page.moments) > 6)
    page.press_and_wait("Pause")  # the same button
    assert page.iterations == list(range(len(page.iterations)))
    assert len(workers()) == 1 and not page.studio.running
    count = len(page.moments)
    time.sleep(0.2)
    assert len(page.moments) == count
    page.press_and_wait("One step")
    assert len(page.moments) == count + 1


def test_begin_again_brings_the_photo_back_and_keeps_the_sliders(page):
    photo = page.studio.image
    page.slider("style").value = 250.0
    page.studio.paint(3)
    painted = page.studio.image
    page.brush.region = torch.ones(21, 32)
    page.press_and_wait("Begin again")
    assert torch.equal(page.studio.image, photo) and page.iterations == [0]
    *_, kept = page.studio._shelf.kept.values()
    assert torch.equal(kept.moment.image, painted)
    assert page.newest.scene.region is not None
    assert page.slider("style").value == 250.0 and "Press Start." in page.text
    page.studio.paint(1)
    assert page.newest.scene.settings.style_weight == 250.0


@pytest.fixture
def made(monkeypatch):
    """Hold the transfers made from here on, as long as somebody else does."""
    made = weakref.WeakSet()

    class Noted(StyleTransfer):
        def __init__(self, *args):
            super().__init__(*args)
            made.add(self)

    monkeypatch.setattr("nst_helpers.studio.painting.StyleTransfer", Noted)
    return made


def test_of_two_studios_one_paints_and_the_other_gives_way(page, made):
    page.press_and_wait("Begin again", "One step")
    assert len(made) == 1
    page.press("Start")
    wait_for(lambda: page.worker.left)
    other = Page()
    assert page.worker.left  # opening one disturbs nobody
    other.studio.paint(1)
    wait_for(lambda: not page.worker.left)
    page.worker.wait()
    assert "another studio paints" in page.text and len(made) == 1
    before = page.newest
    page.press_and_wait("One step")  # goes on where it was
    assert page.newest.iteration == before.iteration + 1
    assert page.newest.moves[-1].again
    other.studio.close()
    assert workers() == [page.worker]


def test_reset_brings_photo_and_sliders_back_and_rests(page):
    photo, settings = page.studio.image, page.studio.settings
    page.start_and_wait_for(4)
    page.slider("content").value = 100.0
    page.layers["conv1_1"].value = 0.0
    page.slider("mix").value = 0.5
    page.brush.region = torch.ones(21, 32)
    page.studio.reset()
    page.worker.wait()
    assert torch.equal(page.studio.image, photo) and page.iterations == [0]
    assert "Press Start." in page.text and page.studio.settings == settings
    assert page.brush.region is None and page.newest.scene.region is None
    page.studio.settings = replace(TINY, size=40, style_weight=1000.0)
    page.studio.reset()
    page.studio.paint(1)
    assert page.newest.scene.settings.style_weight == settings.style_weight
    assert page.studio.settings == settings


def test_a_slider_bends_the_run_from_where_it_is(page):
    page.studio.paint(4)
    page.slider("content").value = 100.0
    page.press_and_wait("One step")
    step = page.newest
    assert page.run.restarts == [5] and step.iteration == 5
    assert "Bent at iteration 4: L-BFGS started its memory" in page.text
    page.studio.paint(8)  # so strong a content loss leads back to the photo
    assert page.moments[-1].losses["content"] < step.losses["content"]


def test_a_slider_moved_while_painting_reaches_the_run(page):
    page.press("Start")
    for weight in (1000.0, 10.0, 500.0, 250.0):  # only the last one must arrive
        wait_for(lambda: len(page.moments) > 3)
        page.slider("style").value = weight
    wait_for(lambda: page.newest.scene.settings.style_weight == 250.0)
    page.press_and_wait("Pause")
    assert page.run.restarts


def test_every_slider_says_what_it_stands_for(page):
    for name, field in WEIGHTS.items():
        slider, default = page.slider(name), getattr(Settings(), field)
        values = [value for _, value in slider.options]
        assert values[0] == 0 and values == sorted(values)
        assert values[1] == pytest.approx(default / 100, rel=0.05)
        marks = [0, default / 100, default, default * 100]
        assert [values[i] for i in (0, 1, 21, 41)] == pytest.approx(marks, rel=0.05)
        assert values[21] == default
        assert all(float(label) == value for label, value in slider.options)
        slider.value = values[30]
        assert getattr(page.studio.settings, field) == values[30]
    page.slider("mix").value = 0.25
    page.layers["conv3_1"].value = 7.0
    page.choice("size").value = 96
    settings = page.studio.settings
    assert (settings.mix, settings.size) == ((0.75, 0.25), 96)
    assert settings.style_layers == TINY.style_layers | {"conv3_1": 7.0}
    page.press_and_wait("One step")
    assert max(page.studio.image.shape) == 96
    assert page.newest.scene.settings.mix == (0.75, 0.25)


def test_code_moves_the_sliders(page):
    page.studio.paint(2)
    page.studio.settings = replace(page.studio.settings, style_weight=777.0, mix=(1, 1))
    assert page.slider("style").label == "777"
    page.studio.paint(2)
    settings = page.newest.scene.settings
    assert (settings.style_weight, settings.mix) == (777.0, (0.5, 0.5))
    assert page.run.restarts == [3]
    # A mix has two style losses, and the curves draw both.
    assert {"style", "style 2"} <= page.newest.losses.keys()
    assert re.search(r"style [\d.e-]+ +style 2 [\d.e-]+", page.text)
    assert re.search(r"\d % style 2", page.text)


def test_what_the_run_cannot_go_on_with_is_refused_whole(page):
    page.studio.paint(1)
    before = page.studio.settings
    fixed = {"pooling": "max", "padding": "zeros", "weights": "bundled"}
    fixed |= {"start": "noise", "seed": 1, "scales": 2, "precision": "float32"}
    for name, value in fixed.items():
        with pytest.raises(InputError, match=f"^{name} cannot change in mid-run"):
            page.studio.settings = replace(before, style_weight=777.0, **{name: value})
    with pytest.raises(InputError, match="pixels would become 16x11"):
        page.studio.settings = replace(before, style_weight=777.0, size=16)
    assert page.studio.settings == before and page.slider("style").label == "100"
    page.slider("content").value = 2.0
    page.press_and_wait("One step")
    settings = page.newest.scene.settings
    assert (settings.content_weight, settings.style_weight) == (2.0, 100.0)
    assert page.newest.iteration == 2 and page.alert is None


def test_a_new_run_may_have_any_settings(fresh):
    recipe = replace(TINY, pooling="max", style_weight=777.0, steps=2)
    fresh.upload("load recipe", "hers.json", recipe.to_json().encode())
    fresh.press_and_wait("Start")
    assert fresh.alert is None
    assert fresh.studio.settings == replace(recipe, mix=(1.0, 0.0))
    assert fresh.newest.scene.settings.pooling == "max" and fresh.iterations == [
        0,
        1,
        2,
    ]
    fresh.press_and_wait("Begin again")
    fresh.studio.settings = TINY
    fresh.studio.paint(1)
    assert fresh.newest.scene.settings.pooling == "avg" and fresh.iterations == [0, 1]
    with pytest.raises(InputError, match="pooling cannot change"):
        fresh.studio.settings = recipe


def test_paint_refuses_what_is_no_number_of_steps(page):
    for steps in (2.5, -1, 0, None, True, "3", 100_001):
        with pytest.raises(InputError, match="^steps is a whole number from 1 to 100,"):
            page.studio.paint(steps)
    page.studio.paint(1)
    assert page.iterations == [0, 1]


def test_all_layers_at_zero_are_no_style(page):
    for slider in page.layers.values():
        slider.value = 0
    assert page.studio.settings.style_weight == 0
    page.studio.paint(2)
    assert "style" not in page.moments[-1].losses
    assert "0 % style" in page.text


def test_all_weights_at_zero_are_refused_in_one_line(page):
    for name in WEIGHTS:
        page.slider(name).value = 0.0
    assert "all 0; raise one" in page.alert
    page.slider("style").value = 100.0
    page.worker.wait()
    assert page.alert is None
    page.studio.paint(1)
    assert page.newest.losses.keys() == {"style", "range", "total"}


def test_another_painting_bends_the_run(page):
    page.studio.paint(3)
    image = page.studio.image
    page.painting.value = "cassatt summertime"
    page.choice("second painting").value = "hokusai poppies"
    page.slider("mix").value = 1.0
    page.press_and_wait("One step")
    step = page.newest
    assert step.iteration == 4 and page.run.restarts == [4]
    poppies = load_image(IMAGES / "style" / "hokusai_poppies.jpg")
    fresh = StyleTransfer(image, poppies, TINY)  # its start is the same picture
    assert step.losses["style 2"] < next(fresh).losses["style"] * 1.05
    assert "style" not in step.losses  # no share of the first painting is left


def test_the_second_painting_is_another_than_the_first(page):
    page.painting.value = "kandinsky composition viii"
    assert page.choice("second painting").value == "hokusai great wave"
    page.press_and_wait("One step")
    names = [painting.name for painting in page.newest.scene.paintings]
    assert names == ["kandinsky composition viii", "hokusai great wave"]


def test_another_photo_begins_a_new_run(page):
    page.studio.paint(3)
    page.photo.value = "temple"
    page.worker.wait()
    (step,) = page.moments
    temple = resize(load_image(IMAGES / "content" / "temple.jpg"), 32)
    assert step.image.shape == temple.shape
    assert (step.image - temple).abs().max() < 0.05


def test_the_time_line_shows_earlier_pictures(page):
    page.studio.paint(8)
    newest = page.picture.picture
    page.slider("time line").value = 0
    assert page.picture.picture != newest
    assert torch.equal(page.studio.image, page.moments[0].image)
    assert "Iteration 0 of 8" in page.text
    page.slider("time line").value = 50
    assert torch.equal(page.studio.image, page.moments[4].image)
    losses = page.moments[4].losses
    assert f"content {losses['content']:.3g}" in page.text
    page.slider("time line").value = 100
    assert page.picture.picture == newest


def test_any_moment_is_a_new_start(page):
    page.studio.paint(6)
    page.slider("style").value = 250.0
    page.studio.paint(4)
    page.slider("time line").value = 20
    start, last = page.studio.image, page.newest.image
    page.press("Go on from here")
    wait_for(lambda: page.studio.running)
    wait_for(lambda: len(page.moments) > 3)
    page.press_and_wait("Pause")
    assert page.slider("time line").value == 100
    assert page.slider("style").value == 100.0  # as it was then
    assert page.iterations[:4] == [0, 1, 2, 3] and page.run.restarts == [3]
    first = page.moments[3].image
    assert (first - start).abs().mean() < (first - last).abs().mean()
    *_, kept = page.studio._shelf.kept.values()  # nothing is lost
    assert torch.equal(kept.moment.image, last)


def test_a_moment_of_another_size_is_a_new_start(page):
    page.studio.settings = replace(TINY, size=40)  # 27 pixels high, which is no 106 / 4
    page.studio.paint(2)
    page.choice("size").value = 192
    page.press_and_wait("One step")
    page.slider("time line").value = 50
    assert page.studio.image.shape[2:] == (27, 40)
    page.press("Go on from here")
    wait_for(lambda: page.studio.running)
    wait_for(lambda: page.newest.iteration > 2)
    page.press_and_wait("Pause")
    assert page.choice("size").value == 40
    page.choice("size").value = 192
    page.press_and_wait("One step")
    assert page.alert is None and page.studio.image.shape[2:] == (128, 192)


def test_a_long_run_is_thinned_and_ends_by_itself(monkeypatch):
    monkeypatch.setattr("nst_helpers.studio.painting.KEPT", 10)
    page = Page(Settings(size=24, steps=23, weights="random"))
    page.press_and_wait("Start")
    iterations = page.iterations
    assert len(iterations) <= 10 and iterations[0] == 0 and iterations[-1] == 23
    assert iterations == sorted(iterations)
    page.studio.close()


def test_the_page_is_not_flooded(page):
    sent = []
    note = lambda _: sent.append(time.monotonic())  # noqa: E731
    page.picture.observe(note, "picture")
    page.start_and_wait_for(40)
    page.press_and_wait("Pause")
    page.picture.unobserve(note, "picture")
    gaps = np.diff(sent)
    # Commands, and coming to rest, are shown at once.
    assert len(sent) < len(page.moments) - 2 and (gaps < 0.09).sum() <= 3


def test_the_photo_or_a_kept_moment_lies_ready_to_compare_with(page):
    photo = page.studio.image
    page.studio.paint(6)
    page.press("Keep this moment")
    kept = page.studio.image
    page.studio.paint(3)
    shown = resize(load_image(page.picture.other), 32)
    assert (shown - photo).abs().mean() < 0.03
    page.choice("compare with").value = page.choice("compare with").options[-1]
    shown = load_image(page.picture.other)
    assert (shown - kept).abs().mean() < 0.03


def luma_and_colours(image):
    return cv2.cvtColor(to_array(image), cv2.COLOR_RGB2YCrCb)


def test_the_colours_of_photo_or_painting_are_kept(page):
    photo = page.studio.image
    page.studio.paint(10)
    result = page.studio.image
    page.choice("colours").value = "photo"
    page.worker.wait()  # at rest, too, the picture shows it
    shown = page.studio.image
    inside = ((shown > 0) & (shown < 1)).all(1)[0].numpy()
    assert inside.mean() > 0.5
    ours = luma_and_colours(shown)[inside]
    assert abs(ours - luma_and_colours(result)[inside])[:, 0].max() < 0.02
    # The photo was shrunk from 1024.
    assert abs(ours - luma_and_colours(photo)[inside])[:, 1:].max() < 0.1
    assert page.studio.settings.keep_colors == "photo"
    assert page.moments[-1] is page.newest
    page.choice("colours").value = "painting"
    page.photo.value = "coffee"
    page.studio.worker.wait()
    palette = page.studio.image.mean((0, 2, 3))
    page.choice("colours").value = ""
    page.press_and_wait("Begin again")
    wave = load_image(IMAGES / "style" / "hokusai_great_wave.jpg", 128).mean((0, 2, 3))
    plain = page.studio.image.mean((0, 2, 3))
    assert abs(palette - wave).max() < 0.05 < abs(plain - wave).max()


def test_what_is_taken_home_is_what_is_shown(page, tmp_path):
    page.slider("style").value = 1000.0
    page.slider("mix").value = 0.5
    page.studio.paint(6)
    page.slider("time line").value = 50
    page.find(widgets.Text, "folder").value = str(tmp_path / "new" / "home")
    page.press("Take home")
    files = {path.suffix: path for path in (tmp_path / "new" / "home").iterdir()}
    assert {ending: x.read_bytes() for ending, x in files.items()} == page.links
    picture = load_image(files[".png"])
    assert torch.equal(picture, page.studio.image)
    assert torch.equal(picture, page.moments[3].image)
    film = Image.open(files[".gif"])
    assert film.n_frames == 4 and film.size == (256, 168)
    recipe = Settings.load(files[".json"])
    assert (recipe.style_weight, recipe.mix, recipe.steps) == (1000.0, (0.5, 0.5), 3)
    (tmp_path / "file").write_text("")
    page.find(widgets.Text, "folder").value = str(tmp_path / "file")
    page.press("Take home")
    assert "choose another folder" in page.alert and len(page.links) == 3


@pytest.mark.long
def test_a_classmates_recipe_gives_the_same_picture(page, tmp_path):
    """Of a run that was steered in every way: weights, layers, size, region, back."""
    page.photo.value = "temple"
    page.slider("style").value = 250.0
    page.studio.paint(2)
    page.layers["conv1_1"].value = 2.5
    page.studio.paint(2)
    page.brush.region = torch.linspace(0, 1, 32).expand(21, 32)
    page.choice("size").value = 96
    page.studio.paint(3)
    page.slider("time line").value = 70
    page.press("Go on from here")
    wait_for(lambda: page.studio.running)
    wait_for(lambda: len(page.moments) > 6)
    page.press_and_wait("Pause")
    page.choice("colours").value = "photo"
    page.choice("second painting").value = "hokusai poppies"
    page.studio.paint(2)
    page.upload("your own", "mine.png", drawn(60), page.painting)
    page.studio.paint(2)
    picture, iteration = page.studio.image, page.newest.iteration
    page.find(widgets.Text, "folder").value = str(tmp_path)
    page.press("Take home")
    (recipe,) = tmp_path.glob("*.json")
    assert len(list(tmp_path.iterdir())) == 5  # region and painting beside it
    other = Page(TINY)
    other.studio.paint(3)
    before = other.studio.image
    other.studio.load_recipe(recipe)
    other.worker.wait()
    assert other.alert is None and other.photo.value == "temple"
    assert "Start paints it again" in other.text and other.iterations == [0]
    other.slider("style").value = 10.0
    other.worker.wait()
    assert "The recipe is changed" in other.text
    other.studio.load_recipe(recipe)
    other.worker.wait()
    kept, *_ = other.studio._shelf.kept.values()
    assert torch.equal(kept.moment.image, before)
    assert torch.equal(other.brush.region, page.brush.region)
    assert other.slider("style").value == 250.0
    other.press_and_wait("Start")
    assert other.newest.iteration == iteration and "to its end" in other.text
    assert torch.equal(other.studio.image, picture)
    other.studio.close()


def test_a_recipe_of_pictures_that_are_not_here_says_which_to_bring(page, tmp_path):
    page.upload("your own", "my dog.png", drawn(60), page.photo)
    page.studio.paint(1)
    page.find(widgets.Text, "folder").value = str(tmp_path)
    page.press("Take home")
    recipe, other = page.links[".json"], Page(TINY)
    other.upload("load recipe", "hers.json", recipe)
    assert "its photo 'my dog.png' is not here; bring it by" in html.unescape(
        other.alert
    )
    assert other.photo.value == "cat" and other.iterations == [0]
    other.upload("your own", "renamed.png", drawn(60), other.photo)
    other.upload("load recipe", "hers.json", recipe)
    other.press_and_wait("Start")
    assert other.alert is None and other.photo.value == "renamed.png"
    assert torch.equal(other.studio.image, page.studio.image)
    other.studio.close()


def test_a_recipe_may_lie_beside_the_sliders_marks(fresh):
    recipe = Settings(
        content_weight=123.4,
        tv_weight=0.0,
        style_layers={"conv3_2": 55.0, "conv1_1": 1.0},
        size=50,
        start="noise",
        weights="random",
    )
    fresh.upload("load recipe", "mine.json", recipe.to_json().encode())
    fresh.worker.wait()
    assert fresh.studio.settings == replace(recipe, mix=(1.0, 0.0))
    assert list(fresh.layers) == ["conv3_2", "conv1_1"]
    fresh.layers["conv3_2"].value = 3.0
    assert fresh.studio.settings.style_layers["conv3_2"] == 3.0


CAT = (IMAGES / "content" / "cat.jpg").read_bytes()
BAD_RECIPES = {
    b"": "hers.json: not a recipe in JSON",
    b"{": "hers.json: not a recipe in JSON",
    b"[1]": "hers.json: not a recipe",
    b'{"style": 3}': "hers.json: no such setting",
    b'{"version": 99}': "hers.json: a recipe of version 99",
    b'{"style_weight": -1}': "hers.json: style_weight is a number",
    b"my cat\nis grey": "hers.json: not a recipe in JSON; choose one that was saved",
    CAT[:999]: "hers.json: not a recipe in JSON; choose one that was saved",
    b'{"size": 64,}': "hers.json: not a recipe in JSON (",
    b'{"size": 16}': "the photo: 1024x681 pixels would become 16x11",
    b'{"studio": 3}': "hers.json: the studio's part of it is broken",
    b'{"studio": {"photo": 1, "moves": []}}': "hers.json: the studio's part of it is b",
    b'{"studio": {"photo": {"name": "a", "pixels": "b"}, "moves": [], "steps": 1}}': (
        "hers.json: its photo 'a' is not here"
    ),
}


def test_a_recipe_whose_moves_were_spoilt_is_refused_in_one_line(page, tmp_path):
    page.studio.paint(1)
    page.slider("style").value = 250.0
    page.studio.paint(1)
    page.find(widgets.Text, "folder").value = str(tmp_path)
    page.press("Take home")
    recipe = json.loads(page.links[".json"])
    assert [move["iteration"] for move in recipe["studio"]["moves"]] == [0, 1]
    image = page.studio.image
    for part, spoilt in (
        ("iteration", -1),
        ("iteration", "two"),
        ("again", None),
        ("settings", {"size": 4}),
        ("settings", {"no": 4}),
        ("settings", 7),
        ("paintings", []),
        ("paintings", [3, 4]),
        ("region", "not base 64"),
        ("region", "AAAA"),
        ("extra", {"middle": 1.0}),
        ("extra", {"middle": "much"}),
    ):
        wrong = json.loads(json.dumps(recipe))
        wrong["studio"]["moves"][1][part] = spoilt
        if part == "again":
            del wrong["studio"]["moves"][1]["again"]
        page.upload("load recipe", "hers.json", json.dumps(wrong).encode())
        page.worker.wait()
        assert "hers.json: " in page.alert and "\n" not in page.alert, (part, spoilt)
        assert torch.equal(page.studio.image, image)


def test_a_bad_recipe_is_refused_in_one_line(page):
    before = page.studio.settings
    for content, line in BAD_RECIPES.items():
        page.upload("load recipe", "hers.json", content)
        assert html.unescape(page.alert).startswith(line) and "\n" not in page.alert
        assert page.studio.settings == before
        page.studio.paint(1)
        assert page.alert is None
    assert page.newest.iteration == len(BAD_RECIPES)


def test_every_loss_may_be_zero(page):
    for name in ("style", "total variation"):
        page.slider(name).value = 0.0
    page.photo.value = "coffee"
    page.worker.wait()  # the photo is its own content
    assert page.newest.losses["total"] == 0 and page.alert is None
    page.studio.paint(1)
    assert page.worker.is_alive()


def test_an_error_in_showing_is_survived(page, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("nst_helpers.studio.view.draw_losses", lambda *_: 1 / 0)
        page.press_and_wait("One step")
        assert "ZeroDivisionError" in page.worker.error
    page.studio.paint(2)
    assert page.alert is None and page.worker.is_alive()


def test_moving_many_sliders_is_one_command(page, monkeypatch):
    sent = []
    monkeypatch.setattr(page.worker, "change", lambda scene, _: sent.append(scene))
    page.studio.settings = replace(TINY, style_weight=123.0, size=200, mix=(1, 1))
    assert [scene.settings for scene in sent] == [page.studio.settings]


BAD_PICTURES = BAD_FILES | {
    "cut.jpg": (CAT[:5000], "broken or cut off"),
    "<b>.heic": (b"\0\0\0\x18ftypheic", "save it as JPEG or PNG"),
}


def test_a_bad_upload_is_one_line_and_the_old_picture_stays(page):
    for name, (content, line) in BAD_PICTURES.items():
        for picker in (page.photo, page.painting):
            before = picker.value, picker.names
            page.upload("your own", name, content, picker)
            assert (picker.value, picker.names) == before
            assert line in html.unescape(page.alert)
            assert "\n" not in page.alert and "uploaded data" not in page.alert
            assert "<b>.heic" not in page.alert  # no names as markup
        page.studio.paint(1)
        assert page.alert is None
    assert page.newest.iteration == len(BAD_PICTURES)


def drawn(width=40, height=30, kind="PNG"):
    """Encode a picture that grows lighter from top to bottom."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(file, kind)
    return file.getvalue()


def test_a_panorama_is_taken_if_any_preview_can_be_painted_of_it(fresh):
    for width, height, size, picker in (
        (1000, 200, 96, fresh.photo),
        (3200, 200, 256, fresh.photo),
        (100, 500, 96, fresh.painting),
    ):
        name = f"{width}x{height}.png"
        fresh.upload("your own", name, drawn(width, height), picker)
        fresh.worker.wait()
        assert picker.value == name
        assert "32x" in fresh.alert or "x32" in fresh.alert
        assert "each side needs at least 16: choose a" in fresh.alert  # which helps:
        fresh.choice("size").value = size
        fresh.worker.wait()
        assert fresh.alert is None
        if picker is fresh.photo:  # it is shown at once
            assert max(fresh.studio.image.shape) == size
            assert fresh.newest.iteration == 0
        fresh.press_and_wait("One step")
        assert max(fresh.studio.image.shape) == size
        assert fresh.newest.iteration == 1 and fresh.alert is None
        fresh.choice("size").value = 32
        fresh.worker.wait()
        assert "each side needs at least 16: choose a " in fresh.alert
        fresh.photo.value = "cat"
    fresh.photo.value = "coffee"
    fresh.worker.wait()
    assert "the painting: " in fresh.alert  # so no run could begin
    fresh.painting.value = "hokusai great wave"
    fresh.worker.wait()
    assert fresh.alert is None and max(fresh.studio.image.shape) == 32
    fresh.photo.value = "3200x200.png"
    fresh.press_and_wait("Begin again")
    assert "each side needs at least 16: choose a " in fresh.alert
    fresh.choice("size").value = 256
    fresh.press_and_wait("One step")
    assert fresh.alert is None and fresh.studio.image.shape[2:] == (16, 256)
    assert fresh.iterations == [0, 1]


def test_a_panorama_that_no_preview_can_be_painted_of_is_refused(page):
    for width, height in ((3200, 180), (180, 3200), (9000, 60), (17, 290)):
        page.upload("your own", "wide.png", drawn(width, height), page.photo)
        assert re.fullmatch("wide.png: .*crop it to at most 16:1", page.alert)
        assert page.photo.value == "cat" and "wide.png" not in page.photo.names


def test_of_several_uploads_the_bad_ones_stop_none(fresh):
    files = {"a.png": drawn(), "b.png": b"", "c.png": drawn(60), "d.jpg": CAT[:5000]}
    button = fresh.find(widgets.FileUpload, "your own", fresh.photo)
    button.set_trait("value", as_value(files))
    fresh.worker.wait()
    assert fresh.photo.names[-2:] == ["a.png", "c.png"]
    assert fresh.photo.value == "c.png" and fresh.studio.image.shape[2:] == (16, 32)
    assert "b.png: empty" in fresh.alert and "d.jpg: broken" in fresh.alert


def test_an_upload_is_chosen(fresh):
    face = load_image(IMAGES / "content" / "rocket.jpg")[..., 40:200, 60:200]
    fresh.upload("your own", "me & you.png", encode(face, "PNG"), fresh.photo)
    fresh.upload("your own", "mine.jpg", CAT, fresh.painting)
    fresh.worker.wait()
    assert fresh.photo.value == "me & you.png" and fresh.painting.value == "mine.jpg"
    assert "photo : me &amp; you.png" in fresh.text
    assert "mine.jpg" in fresh.choice("second painting").options
    assert (fresh.studio.image - resize(face, 32)).abs().max() < 0.06
    thumbnails = [m for m in fresh.markup if "background-image" in m]
    assert [m.count("background-image") for m in thumbnails][-2:] == [9, 11]
    fresh.photo.value = "cat"
    fresh.worker.wait()
    fresh.photo.value = "me & you.png"
    fresh.worker.wait()
    assert fresh.studio.image.shape == resize(face, 32).shape


def test_finish_paints_larger_and_stays_so_until_a_hand_moves(fresh, monkeypatch):
    monkeypatch.setattr("nst_helpers.studio.app.FINISH_STEPS", 6)
    fresh.studio.paint(6)
    assert re.search(r"about \d+:\d\d", fresh.text)
    fresh.choice("finish at").options = (48, 64)
    fresh.choice("finish at").value = 64
    fresh.press("Finish")
    wait_for(lambda: fresh.newest.size == 64)
    wait_for(lambda: 0 < fresh.progress < 1)
    fresh.worker.wait()
    assert fresh.progress == 1 and fresh.iterations == list(range(13))
    assert [m.size for m in fresh.moments] == [32] * 7 + [64] * 6
    assert fresh.studio.image.shape[2:] == (43, 64) and fresh.picture.badge == "64 px"
    fresh.press_and_wait("One step")
    assert fresh.newest.size == 64
    fresh.slider("style").value = 250.0
    fresh.press_and_wait("One step")
    assert fresh.newest.size == 32
    fresh.press("Finish")
    wait_for(lambda: fresh.newest.size == 64)
    fresh.slider("style").value = 1000.0  # is heard, and does not spoil it
    fresh.worker.wait()
    assert fresh.newest.size == 64
    assert fresh.newest.scene.settings.style_weight == 1000.0


def refuse(*args):
    raise InputError("/nowhere.pth: no such file")


def test_an_error_is_one_line_and_the_studio_lives_on(page, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("nst_helpers.studio.painting.StyleTransfer", refuse)
        page.press_and_wait("Begin again", "One step")
        assert page.alert == "/nowhere.pth: no such file"
        with pytest.raises(InputError, match="/nowhere.pth"):  # code hears of it
            page.studio.paint(1)
    page.press_and_wait("Begin again", "One step")
    assert page.alert is None and len(page.moments) == 2


def test_no_button_ends_a_studio_that_could_not_begin():
    page = Page(replace(TINY, weights="/nowhere.pth"))
    assert "/nowhere.pth" in page.alert and page.studio.image is None
    for name in ("Go on from here", "Take home", "Keep this moment"):
        page.press(name)
        assert "there is no picture yet" in page.alert
    page.press_and_wait("Finish")
    page.slider("time line").value = 50
    for name in ("Start", "One step", "Begin again", "Start"):
        page.press_and_wait(name)
    assert "/nowhere.pth" in page.alert
    page.studio.settings = TINY
    page.press_and_wait("One step")
    assert page.alert is None and page.iterations == [0, 1]
    page.studio.close()


def test_a_fault_in_mid_run_is_one_line_and_can_be_gone_on_from(page, monkeypatch):
    page.studio.paint(2)
    with monkeypatch.context() as patch:

        def fail(self):
            raise MemoryError("can't allocate\n2 GB")

        patch.setattr(StyleTransfer, "__next__", fail)
        page.press_and_wait("Start")
        assert page.alert == html.escape("MemoryError can't allocate 2 GB")
        assert "At rest" in page.text
    page.studio.paint(2)
    assert page.newest.iteration == 4 and page.alert is None


@pytest.mark.long
def test_starts_and_stops_leave_one_thread_and_no_memory(page, monkeypatch):
    monkeypatch.undo()  # networks come and go

    def cycle():
        page.press_and_wait("Begin again")
        page.start_and_wait_for(4)
        page.press_and_wait("Pause")

    def settled():
        gc.collect()
        if sys.platform == "linux":  # glibc keeps what was freed for later
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        return resident()

    for _ in range(5):
        cycle()
    before = settled()
    for _ in range(20):
        cycle()
    assert settled() < 1.1 * before
    assert workers().count(page.worker) == 1


def test_a_studio_that_was_closed_says_so(page):
    other = Page()
    other.press("Start")
    other.studio.close()
    other.worker.join(10)
    assert other.worker not in workers()
    assert "Closed" in other.worker.status and not other.moments
    page.studio.paint(1)
    assert page.newest.iteration == 1


def test_a_run_that_cannot_begin_leaves_the_old_one_as_it_is(page):
    photo = page.studio.image
    for name in WEIGHTS:
        page.slider(name).value = 0.0
    page.photo.value = "coffee"
    assert "raise one" in page.alert
    page.slider("style").value = 100.0
    assert torch.equal(page.studio.image, photo)
    page.press_and_wait("One step")
    assert page.newest.iteration == 1


def fill(folder, photos, paintings):
    """Write {name: content} into a studio's two folders."""
    for kind, files in (("content", photos), ("style", paintings)):
        (folder / kind).mkdir()
        for name, content in files.items():
            (folder / kind / name).write_bytes(content)


def test_every_kind_that_can_be_read_is_offered(tmp_path):
    fill(tmp_path, {}, {"IMG_1.JPG": CAT, "notes.txt": b"mine", "Thumbs.db": b"MS"})
    endings = [x for x in list_endings() if x not in (".heic", ".heif")]
    assert {".jpg", ".png", ".webp", ".gif", ".bmp", ".ppm", ".tif"} < set(endings)
    for ending in endings:
        Image.open(io.BytesIO(CAT)).save(tmp_path / "content" / f"{ending[1:]}{ending}")
    page = Page(images=tmp_path)
    assert sorted(page.photo.names) == [ending[1:] for ending in endings]
    assert page.painting.names == ["IMG 1"] and page.alert is None
    accepted = page.find(widgets.FileUpload, "your own", page.photo).accept.split(",")
    assert {"image/*", ".heic", *endings} <= set(accepted)
    page.studio.close()


def test_no_picture_vanishes_behind_another_of_its_name(tmp_path):
    names = {
        "cat.jpg": "cat (jpg)",
        "cat.png": "cat (png)",
        "dog.png": "dog",
        "my cat.png": "my cat (png)",
        "my_cat.png": "my cat (png) (2)",
    }
    widths = {name: 40 + 10 * k for k, name in enumerate(names.values())}
    kinds = {"jpg": "JPEG", "png": "PNG"}
    photos = {
        file: drawn(widths[name], kind=kinds[file[-3:]]) for file, name in names.items()
    }
    fill(tmp_path, photos, {"wave.png": drawn()})
    page = Page(images=tmp_path)
    uploads = {"dog": "dog (2)", "cat.png": "cat.png", "cat (png)": "cat (png) (2)"}
    for k, (file, name) in enumerate(uploads.items()):
        widths[name] = 100 + 10 * k
        page.upload("your own", file, drawn(widths[name]), page.photo)
        assert page.photo.value == name
    # Phones call every picture "image.jpg"; but the same one is there once.
    for width in (200, 210, 200):
        widths["image.jpg" if width == 200 else "image.jpg (2)"] = width
        page.upload("your own", "image.jpg", drawn(width), page.photo)
    assert page.photo.value == "image.jpg" and page.photo.names == list(widths)
    for name, width in widths.items():
        assert page.photo.load(name).shape[2] == round(30 / width * 1024)
    page.studio.close()


ODD = {  # in a folder of pictures: what the line says of it
    "IMG_2.HEIC": (b"\0\0\0\x18ftypheic", "IMG_2.HEIC"),
    "cut.jpg": (CAT[:5000], "cut.jpg: broken or cut off"),
    "empty.jpg": (b"", "empty.jpg"),
    "phone.jpg": (b"\0\0\0\x18ftypheic", "phone.jpg"),
    "small.png": (drawn(8, 8), "small.png: 8x8 pixels"),
    "text.png": (b"my cat", "text.png: not an image"),
    "wide.png": (drawn(3400, 200), "wide.png: too thin to paint here; crop it to at"),
}


def test_what_is_no_picture_is_left_out_in_one_line(tmp_path):
    good = {"cat.png": drawn(), "ok.png": drawn(50), "._cat.png": b"\0\5\x16\7Mac"}
    odd = {name: content for name, (content, _) in ODD.items()}
    fill(tmp_path, good | odd, {"wave.png": drawn(), ".hidden.jpg": b"", "a.gif": b"?"})
    folder, lines = tmp_path / "content", [line for _, line in ODD.values()]
    (folder / "folder.jpg").mkdir()
    lines += ["folder.jpg: no file"]
    if sys.platform == "linux":
        (folder / "gone.jpg").symlink_to("nowhere.jpg")
        (folder / "loop.jpg").symlink_to("loop.jpg")
        os.mkfifo(folder / "pipe.jpg")
        (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(drawn(60))
        (folder / os.fsdecode(b"th\xe9.png")).write_bytes(b"")
        lines[-1:] = [
            "folder.jpg, gone.jpg, loop.jpg, pipe.jpg: no file",
            "th?.png: empty",
        ]
    page = Page(images=tmp_path)
    alert = html.unescape(page.alert)
    assert not [line for line in lines if line not in alert] and "\n" not in alert
    assert alert.startswith("left out of content: ")
    assert "left out of style: a.gif: not an image" in alert
    assert "._cat.png" not in alert and "hidden" not in alert and "ok.png" not in alert
    assert [name for name in page.photo.names if "caf" not in name] == ["cat", "ok"]
    for name in page.photo.names:
        page.photo.value = name.encode().decode()  # a page can show it
        page.studio.paint(1)
        assert page.alert is None and page.newest.iteration == 1
    page.studio.close()


def test_pictures_that_vanish_or_break_stop_nothing(tmp_path):
    photos = {"a.png": drawn(), "b.png": drawn(50), "c.png": drawn(60)}
    fill(tmp_path, photos, {"w.png": drawn(), "x.png": drawn(50), "y.png": drawn(60)})
    page = Page(images=tmp_path)
    (tmp_path / "content" / "b.png").unlink()
    (tmp_path / "content" / "c.png").write_bytes(CAT[:5000])
    page.photo.value = "b"
    assert "b.png: no such file" in page.alert and page.photo.value == "a"
    page.photo.value = "c"
    assert "c.png: broken" in page.alert and page.photo.value == "a"
    shutil.rmtree(tmp_path)  # the stick is pulled out
    for picker in (page.painting, page.choice("second painting")):
        before = picker.value
        picker.value = "x"
        assert "x.png: no such file" in page.alert and picker.value == before
    page.press_and_wait("Begin again", "One step")
    assert page.alert is None and page.newest.iteration == 1
    page.upload("your own", "mine.png", drawn(60), page.photo)
    page.upload("your own", "hers.png", drawn(60), page.painting)
    page.studio.paint(1)
    assert page.alert is None and page.studio.image.shape[2:] == (16, 32)
    assert page.photo.names == ["a", "b", "c", "mine.png"]
    page.studio.close()


def test_a_folder_without_pictures(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(drawn())
    (tmp_path / "loop").symlink_to("loop")
    folders = [tmp_path, str(tmp_path / "nowhere"), tmp_path / "file", "a\0b"]
    for folder in (*folders, tmp_path / "loop"):
        with pytest.raises(InputError, match="content: no pictures there; give Studio"):
            Studio(folder)
    fill(tmp_path, {"a.png": b"", "b.png": b"", ".c.png": b""}, {})
    with pytest.raises(InputError, match="no pictures there.*a.png, b.png: empty"):
        Studio(tmp_path)
    (tmp_path / "content" / "cat.png").write_bytes(drawn())
    with pytest.raises(InputError, match="style: no pictures there"):
        Studio(tmp_path)
    (tmp_path / "style" / "wave.png").write_bytes(drawn())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    Studio("~", TINY).close()


def test_the_recipe_of_the_start_asks_for_one_step(page, tmp_path):
    page.find(widgets.Text, "folder").value = str(tmp_path)
    page.press("Take home")
    assert json.loads(page.links[".json"])["steps"] == 1


def test_a_recipe_too_much_for_this_computer_loses_no_picture(page, monkeypatch):
    page.studio.paint(2)
    before, image = page.studio.settings, page.studio.image
    free = types.SimpleNamespace(available=1.5e9)
    for recipe in (
        replace(TINY, size=32, style_scale=0.05),
        replace(TINY, size=4096, mix=(1, 1)),
    ):
        with monkeypatch.context() as patched:
            patched.setattr("psutil.virtual_memory", lambda: free)
            page.upload("load recipe", "hers.json", recipe.to_json().encode())
            page.worker.wait()
        assert page.alert and page.studio.settings == before
        assert torch.equal(page.studio.image, image)
    page.studio.paint(1)
    assert page.newest.iteration == 3


def test_it_grows_by_itself_as_far_as_it_stays_quick(monkeypatch):
    """With small sizes, and a clock on which a picture's time grows with its area."""
    clock = [100.0]
    monkeypatch.setattr("nst_helpers.studio.pace.SIZES", (28, 32, 48, 64, 96))
    monkeypatch.setattr("nst_helpers.studio.painting.time.monotonic", lambda: clock[0])
    step = StyleTransfer.__next__

    def take_time(self):
        done = step(self)
        clock[0] += 0.085 * (max(done.image.shape) / 48) ** 2
        return done

    monkeypatch.setattr(StyleTransfer, "__next__", take_time)
    page = Page(replace(TINY, size=28), grows=True)
    page.studio.paint(60)
    sizes = [moment.size for moment in page.moments]
    assert sizes == sorted(sizes) and set(sizes) == {28, 32, 48, 64}
    assert page.picture.badge == "64 px"  # 0.15 s each; 96 would take 0.34
    before, after = (page.moments[sizes.index(48) + k].image for k in (-1, 0))
    assert (resize(after, 32) - before).abs().mean() < 0.08  # the same picture
    page.slider("style").value = 250.0
    page.press_and_wait("One step")
    assert page.newest.size == 32 and page.newest.iteration == 61
    page.studio.paint(60)
    assert page.newest.size == 64
    page.photo.value = "temple"
    page.upload("your own", "wide.png", drawn(640, 60), page.photo)
    page.press_and_wait("One step")
    assert page.alert is None and page.newest.size == 171  # no side under 16
    page.studio.close()


def test_a_size_that_turns_out_slow_is_left_again():
    pace, now = Pace(), 100.0
    for size, each in [(128, 0.05)] * 6 + [(192, 0.3)] * 9:
        now += each
        pace.note(now, size)
    assert pace.next_size(now) == 128
    for _ in range(6):
        now += 0.05
        pace.note(now, 128)
    assert pace.next_size(now) == 128  # it is not tried again at once
    pace.note(now + 40, 128)
    assert pace.next_size(now + 40) == 192


def test_a_region_takes_the_second_painting_and_nothing_else_bends(page):
    region = torch.zeros(21, 32)
    region[:, 16:] = 1.0
    page.studio.paint(3)
    page.brush.region = region
    page.studio.paint(12)
    losses = page.newest.losses
    assert {"style", "style 2"} <= losses.keys() and page.slider("mix").disabled
    assert page.newest.scene.region.shape[1] == 256
    kandinsky, wave = (
        load_image(IMAGES / "style" / f"{name}.jpg", 32)
        for name in ("kandinsky_composition_viii", "hokusai_great_wave")
    )
    vgg = make_network("random")
    right, left = (
        vgg(page.studio.image[..., part], "conv1_1")["conv1_1"].mean((2, 3))
        for part in (slice(20, 32), slice(0, 12))
    )
    means = [vgg(x, "conv1_1")["conv1_1"].mean((2, 3)) for x in (kandinsky, wave)]

    def far(a, b):
        return (a - b).norm().item()

    assert far(right, means[0]) < far(right, means[1])
    assert far(left, means[1]) < far(left, means[0])
    page.brush.region = None
    page.press_and_wait("One step")
    assert "style 2" not in page.newest.losses and not page.slider("mix").disabled


def test_who_pulls_where_is_laid_over_the_picture(page):
    page.studio.paint(2)
    assert page.picture.veil == b""
    page.choice("who pulls where").value = "content"
    page.worker.wait()
    veil = Image.open(io.BytesIO(page.picture.veil))
    assert veil.mode == "RGBA" and veil.size == (32, 21)
    photo = page.moments[0].scene.photo.image
    transfer = StyleTransfer(photo, page.moments[0].scene.images[0], TINY)
    next(transfer)
    transfer.image = page.newest.image
    pixels = page.newest.image.requires_grad_()
    features = transfer.vgg(pixels, "conv3_2")["conv3_2"]
    target = transfer.vgg(resize(photo, 32), "conv3_2")["conv3_2"]
    ((features - target) ** 2).sum().backward()
    pull = pixels.grad[0].norm(dim=0)
    expected = np.corrcoef(pull.flatten(), page.run.pull.flatten())[0, 1]
    assert expected > 0.9
    of_content = page.run.pull
    page.choice("who pulls where").value = "style"
    page.worker.wait()
    assert not torch.equal(page.run.pull, of_content)
    page.studio.paint(1)
    assert page.run.pull.shape == (21, 32)
    page.choice("who pulls where").value = ""
    page.worker.wait()
    assert page.picture.veil == b""


class Middle(Loss):
    """Pull the mean towards grey: a loss of one's own."""

    name, weight = "middle", 2.0

    def __call__(self, image, features):
        return (image.mean() - 0.5) ** 2


def test_a_loss_of_ones_own_gets_a_slider(tmp_path):
    page = Page(extra=[Middle()])
    page.studio.paint(2)
    assert "middle" in page.newest.losses and "middle" in page.text
    page.slider("middle").value = 200.0
    page.press_and_wait("One step")
    assert page.newest.weights["middle"] == 200.0 and page.run.restarts == [3]
    page.find(widgets.Text, "folder").value = str(tmp_path)
    page.press("Take home")
    (recipe,) = tmp_path.glob("*.json")
    other = Page(extra=[Middle()])
    other.studio.load_recipe(recipe)
    assert other.slider("middle").value == 200.0
    other.press_and_wait("Start")
    assert torch.equal(other.studio.image, page.studio.image)
    plain = Page()
    with pytest.raises(InputError, match="it has a loss 'middle'; give it to Studio"):
        plain.studio.load_recipe(recipe)
    for each in (page, other, plain):
        each.studio.close()


def test_the_shelf_brings_everything_back(fresh):
    fresh.slider("style").value = 250.0
    fresh.studio.paint(3)
    fresh.press("Keep this moment")
    fresh.press("Keep this moment")  # once is enough
    kept = fresh.studio.image
    fresh.photo.value = "coffee"
    fresh.slider("style").value = 10.0
    fresh.studio.paint(2)
    shelf = fresh.studio._shelf
    (name,) = shelf.kept
    (thumbs,) = (
        t for t in fresh.every(widgets.ToggleButtons) if list(t.options) == [name]
    )
    thumbs.value = name
    fresh.worker.wait()
    assert torch.equal(fresh.studio.image, kept) and fresh.iterations == [0, 1, 2, 3]
    assert fresh.photo.value == "cat" and fresh.slider("style").value == 250.0
    assert len(shelf.kept) == 2  # what was painted last is kept
    fresh.studio.paint(1)
    assert (
        fresh.newest.iteration == 4
        and fresh.newest.scene.settings.style_weight == 250.0
    )


def test_the_wall_hangs_what_was_taken_home(page, tmp_path):
    (tmp_path / "notes.json").write_text("my cat")
    wall = Wall(tmp_path, page.studio)
    assert wall.names == []
    page.find(widgets.Text, "folder").value = str(tmp_path)
    page.slider("style").value = 250.0
    page.studio.paint(2)
    page.press("Take home")
    page.studio.reset()
    wall.look()
    (name,) = wall.names
    thumbs = wall.children[2]
    thumbs.value = name
    page.worker.wait()
    assert page.slider("style").value == 250.0
    told = re.sub("<[^>]*>", "", "".join(part.value for part in wall.children[1:4:2]))
    assert "style 250" in told and "2 iterations" in told
    page.press_and_wait("Start")
    assert page.newest.iteration == 2


def test_settings_image_and_running_can_be_observed(fresh):
    heard = []
    fresh.studio.observe(lambda change: heard.append(change["name"]))
    fresh.slider("style").value = 250.0
    fresh.studio.paint(3)
    assert {"settings", "image", "running"} <= set(heard)
    assert fresh.studio.settings.style_weight == 250.0 and not fresh.studio.running


def test_a_photo_chosen_while_all_weights_are_0_is_the_one_painted(fresh):
    for name in WEIGHTS:
        fresh.slider(name).value = 0.0
    fresh.photo.value = "coffee"
    assert "raise one" in fresh.alert
    fresh.slider("style").value = 100.0
    fresh.press_and_wait("One step")
    coffee = resize(load_image(IMAGES / "content" / "coffee.jpg"), 32)
    assert fresh.moments[0].image.shape == coffee.shape
    assert (fresh.moments[0].image - coffee).abs().max() < 0.06
    assert fresh.newest.scene.photo.name == "coffee" and fresh.iterations == [0, 1]


def test_a_painting_mixed_in_at_rest_can_be_watched(page):
    page.studio.paint(1)
    page.slider("mix").value = 0.5
    page.choice("who pulls where").value = "style 2"
    page.worker.wait()
    assert page.alert is None and page.run.pull.shape == (21, 32)
    page.choice("who pulls where").value = ""


def test_colours_changed_at_rest_are_in_the_recipe(page, tmp_path):
    page.studio.paint(3)
    page.choice("colours").value = "photo"
    page.worker.wait()
    page.find(widgets.Text, "folder").value = str(tmp_path)
    page.press("Take home")
    (recipe,) = tmp_path.glob("*.json")
    picture = page.studio.image
    other = Page()
    other.studio.load_recipe(recipe)
    other.press_and_wait("Start")
    assert other.newest.iteration == 3 and torch.equal(other.studio.image, picture)
    other.studio.close()


def test_what_is_refused_stays_refused_until_it_is_changed(page):
    page.studio.paint(1)
    page.upload("your own", "thin.png", drawn(100, 500), page.painting)
    page.worker.wait()
    assert "each side needs at least 16" in page.alert
    page.press_and_wait("One step")
    assert "each side needs at least 16" in page.alert and page.newest.iteration == 1
    page.painting.value = "hokusai great wave"
    page.press_and_wait("One step")
    assert page.alert is None and page.newest.iteration == 2
    with pytest.raises(InputError, match="mixes two paintings, not 3"):
        page.studio.settings = replace(page.studio.settings, mix=(1, 1, 0))
    page.studio.reset()
    page.studio.settings = replace(TINY, seed=3)  # a new run may have any


def test_a_move_there_and_back_again_is_played_again_too(page, tmp_path):
    page.slider("mix").value = 0.5
    page.studio.paint(4)
    for name in ("hokusai poppies", "kandinsky composition viii"):
        page.choice("second painting").value = name
        page.worker.wait()
    page.studio.paint(3)
    picture = page.studio.image
    assert page.run.restarts[-1] == 5
    page.find(widgets.Text, "folder").value = str(tmp_path)
    page.press("Take home")
    (recipe,) = tmp_path.glob("*.json")
    other = Page()
    other.studio.load_recipe(recipe)
    other.press_and_wait("Start")
    assert torch.equal(other.studio.image, picture)
    other.studio.close()


def test_a_moment_looked_at_stays_while_it_paints_on(page, monkeypatch):
    monkeypatch.setattr("nst_helpers.studio.painting.KEPT", 8)
    page.studio.paint(6)
    page.slider("time line").value = 50
    shown = page.studio.image
    page.worker.paint(12)  # the time line is thinned meanwhile
    page.worker.wait()
    assert torch.equal(page.studio.image, shown) and " of 18" in page.text
    page.studio.reset()
    assert page.newest.iteration == 0 and " of " not in page.text.split("Iteration")[1]


def test_a_region_painted_is_told_as_a_bend_not_as_a_size():
    page = Page(replace(TINY, size=128), grows=True)
    page.studio.paint(8)
    page.brush.region = torch.ones(170, 256)
    page.press_and_wait("One step")
    assert "Bent at iteration" in page.text
    page.studio.close()


def test_in_colab_the_page_asks_for_what_the_thread_has_painted(monkeypatch):
    """There, what a thread sends is not shown (googlecolab/colabtools#3373)."""
    senders, notify = [], widgets.Widget.notify_change

    def note(self, change):
        if change["name"] in self.keys:  # those of its traits that the page has too
            senders.append(threading.current_thread())
        notify(self, change)

    def ask():
        page.picture._handle_msg({"content": {"data": message}, "buffers": []})

    message = {"method": "custom", "content": {}}  # what stage.js sends
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("colab"))
    monkeypatch.setattr(widgets.Widget, "notify_change", note)
    page = Page()
    assert page.picture.asks
    ask()
    photo = page.picture.picture
    page.studio.paint(3)
    assert photo and page.picture.picture == photo  # nobody has asked
    ask()
    assert page.picture.picture != photo and "Resting." in page.text
    assert set(senders) == {threading.main_thread()}
    drawn = []
    monkeypatch.setattr(
        "nst_helpers.studio.stage.encode", lambda *x: drawn.append(x) or encode(*x)
    )
    ask()
    assert not drawn  # nothing is new
    page.press("Start")
    wait_for(lambda: ask() or "Painting." in page.text)
    page.press_and_wait("Pause")
    assert drawn
    page.studio.close()
