"""The studio without a browser: its widgets are moved as a hand would."""

import base64
import datetime
import html
import io
import json
import re
import threading
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from conftest import IMAGES, resident
from PIL import Image
from test_images import BAD_FILES

from nst_helpers import InputError, Settings, StyleTransfer, load_image
from nst_helpers.images import encode, resize, to_array
from nst_helpers.painter import KEPT, Painter
from nst_helpers.studio import COLOURS, Studio

TINY = Settings(size=32, steps=400, weights="random")


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def painters():
    return [t for t in threading.enumerate() if isinstance(t, Painter)]


@pytest.fixture
def studio():
    studio = Studio(IMAGES, TINY)
    studio.painter.wait()
    yield studio
    studio.close()
    assert not painters()


def press(studio, *names):
    for name in names:
        studio._buttons[name].click()


def press_and_wait(studio, *names):
    press(studio, *names)
    studio.painter.wait()


def upload(widget, name, content):
    """Do what the file dialog of a page does."""
    file = {"name": name, "content": memoryview(content), "type": ""}
    when = {"size": len(content), "last_modified": datetime.datetime.now()}
    widget.value = (file | when,)


def said(widget):
    return re.sub("<[^>]*>", "", widget.value)


def luma_and_colours(image):
    return cv2.cvtColor(to_array(image), cv2.COLOR_RGB2YCrCb)


def test_it_opens_with_the_photo_at_rest(studio):
    photo = load_image(IMAGES / "content" / "cat.jpg")
    assert studio._photo.value == "cat" and studio._alert.value == ""
    assert studio.painter.steps[0].iteration == 0
    assert (studio.image - resize(photo, 32)).abs().max() < 0.05
    assert "Press Start." in said(studio._status) and not studio.painter.left
    assert len(studio._photo.names) == 4 and len(studio._painting.names) == 6


def test_step_paints_one_iteration_and_rests(studio):
    photo = studio.image
    press_and_wait(studio, "Step")
    assert [step.iteration for step in studio.painter.steps] == [0, 1]
    assert not torch.equal(studio.image, photo)
    assert "Resting." in said(studio._status)


def test_start_paints_until_pause(studio):
    press(studio, "Start")
    wait_for(lambda: "left." in said(studio._status))
    press(studio, "Start")  # no second run
    count = len(studio.painter.steps)
    wait_for(lambda: len(studio.painter.steps) > count + 2)
    press_and_wait(studio, "Pause")
    iterations = [step.iteration for step in studio.painter.steps]
    assert iterations == list(range(len(iterations))) and len(painters()) == 1
    time.sleep(0.2)
    assert len(studio.painter.steps) == len(iterations)


def test_stop_keeps_the_picture_and_start_begins_anew(studio):
    press_and_wait(studio, "Step", "Step")
    press(studio, "Start")
    wait_for(lambda: len(studio.painter.steps) > 8)
    press_and_wait(studio, "Stop")
    kept, count = studio.image, len(studio.painter.steps)
    assert "Stopped" in said(studio._status) and count > 8
    assert torch.equal(kept, studio.painter.steps[-1].image)
    press_and_wait(studio, "Step")
    assert [step.iteration for step in studio.painter.steps] == [0, 1]
    press_and_wait(studio, "Stop")
    press(studio, "Start")
    wait_for(lambda: len(studio.painter.steps) > 3)
    press_and_wait(studio, "Pause")
    assert studio.painter.steps[0].iteration == 0 and not studio._ended


def test_reset_brings_photo_and_sliders_back_and_rests(studio):
    photo, settings = studio.image, studio.settings
    press(studio, "Start")
    wait_for(lambda: len(studio.painter.steps) > 3)
    studio._weights["content_weight"].value = 100.0
    studio._layers["conv1_1"].value = 0.0
    studio._mix.value = 0.5
    press_and_wait(studio, "Reset")
    assert torch.equal(studio.image, photo) and len(studio.painter.steps) == 1
    assert "Press Start." in said(studio._status) and studio.settings == settings
    studio.settings = Settings(size=40, style_weight=1000.0)
    studio.reset()
    studio.paint(1)
    assert studio.painter.steps[-1].settings.style_weight == settings.style_weight
    assert studio.settings == settings


def test_a_slider_bends_the_run_from_where_it_is(studio):
    studio.paint(4)
    studio._weights["content_weight"].value = 100.0
    press_and_wait(studio, "Step")
    step = studio.painter.steps[-1]
    assert step.restarted and step.iteration == 5
    assert "Bent at iteration 5: L-BFGS started its memory" in said(studio._status)
    studio.paint(8)  # so strong a content loss leads back to the photo
    assert studio.painter.steps[-1].losses["content"] < step.losses["content"]


def test_a_slider_moved_while_painting_reaches_the_run(studio):
    press(studio, "Start")
    for weight in (1000.0, 10.0, 500.0, 250.0):  # only the last one must arrive
        wait_for(lambda: len(studio.painter.steps) > 3)
        studio._weights["style_weight"].value = weight
    wait_for(lambda: studio.painter.newest.settings.style_weight == 250.0)
    press_and_wait(studio, "Pause")
    assert studio.painter.bends


def test_every_slider_says_what_it_stands_for(studio):
    for field, slider in studio._weights.items():
        values = [value for _, value in slider.options]
        default = getattr(Settings(), field)
        assert values[0] == 0 and values == sorted(values)
        assert values[1] == pytest.approx(default / 100, rel=0.05)
        assert values[21] == default and len(values) == 42  # 0, then the middle one
        assert all(float(label) == value for label, value in slider.options)
        slider.value = values[30]
        assert getattr(studio.settings, field) == values[30]
    studio._mix.value = 0.25
    studio._layers["conv3_1"].value = 7.0
    studio._size.value = 64
    settings = studio.settings
    assert (settings.mix, settings.size) == (0.25, 64)
    assert settings.style_layers == TINY.style_layers | {"conv3_1": 7.0}
    press_and_wait(studio, "Step")
    assert max(studio.image.shape) == 64
    assert studio.painter.newest.settings.mix == 0.25


def test_code_moves_the_sliders(studio):
    studio.paint(2)
    studio.settings = replace(studio.settings, style_weight=777.0, mix=0.5)
    assert studio._weights["style_weight"].label == "777"
    studio.paint(2)
    settings = studio.painter.newest.settings
    assert (settings.style_weight, settings.mix) == (777.0, 0.5)
    assert studio.painter.bends == [3]


def test_all_layers_at_zero_are_no_style(studio):
    for slider in studio._layers.values():
        slider.value = 0
    assert studio.settings.style_weight == 0
    studio.paint(2)
    assert "style" not in studio.painter.steps[-1].losses
    assert "0 % style" in said(studio._curves)


def test_all_weights_at_zero_are_refused_in_one_line(studio):
    for slider in studio._weights.values():
        slider.value = 0.0
    assert "all 0; raise one" in said(studio._alert)
    studio._weights["style_weight"].value = 100.0
    studio.painter.wait()
    assert studio._alert.value == ""
    studio.paint(1)
    assert studio.painter.newest.losses.keys() == {"style", "range", "total"}


def test_another_painting_bends_the_run(studio):
    studio.paint(3)
    image = studio.image
    studio._painting.value = "cassatt summertime"
    studio._second.value = "hokusai poppies"
    studio._mix.value = 1.0
    press_and_wait(studio, "Step")
    assert studio.painter.newest.iteration == 4 and studio.painter.newest.restarted
    poppies = load_image(IMAGES / "style" / "hokusai_poppies.jpg")
    fresh = StyleTransfer(image, poppies, TINY)  # its start is the same picture
    assert studio.painter.newest.losses["style"] < next(fresh).losses["style"] * 1.05


def test_another_photo_begins_a_new_run(studio):
    studio.paint(3)
    studio._photo.value = "temple"
    studio.painter.wait()
    (step,) = studio.painter.steps
    temple = resize(load_image(IMAGES / "content" / "temple.jpg"), 32)
    assert step.image.shape == temple.shape
    assert (step.image - temple).abs().max() < 0.05


def test_the_time_line_shows_earlier_pictures(studio):
    studio.paint(8)
    newest = studio._result.value
    studio._time.value = 0
    assert studio._result.value != newest
    assert torch.equal(studio.image, studio.painter.steps[0].image)
    assert "Iteration 0 of 8" in said(studio._status)
    studio._time.value = 50
    assert torch.equal(studio.image, studio.painter.steps[4].image)
    losses = studio.painter.steps[4].losses
    assert f"content {losses['content']:.3g}" in said(studio._status)
    studio._time.value = 100
    assert studio._result.value == newest


def test_any_moment_is_a_new_start(studio):
    studio.paint(10)
    studio._time.value = 20
    start, last = studio.image, studio.painter.newest.image
    studio._fork.click()
    wait_for(lambda: len(studio.painter.steps) > 11)
    press_and_wait(studio, "Pause")
    first = studio.painter.steps[11]
    assert first.iteration == 11 and first.restarted and studio._time.value == 100
    assert (first.image - start).abs().mean() < (first.image - last).abs().mean()


def test_a_long_run_is_thinned_and_ends_by_itself():
    studio = Studio(IMAGES, Settings(size=24, steps=KEPT + 20, weights="random"))
    press(studio, "Start")
    studio.painter.wait()
    steps = studio.painter.steps
    assert len(steps) <= KEPT and steps[0].iteration == 0
    assert steps[-1].iteration == KEPT + 20
    studio.close()


def test_the_page_is_not_flooded(studio):
    sent = []
    studio._result.observe(lambda _: sent.append(time.monotonic()), "value")
    press(studio, "Start")
    wait_for(lambda: len(studio.painter.steps) > 60)
    press_and_wait(studio, "Pause")
    gaps = np.diff(sent)
    # Orders, and coming to rest, are shown at once.
    assert len(sent) < len(studio.painter.steps) - 2 and (gaps < 0.09).sum() <= 3


def test_compare_wipes_from_the_result_to_the_photo(studio):
    photo = to_array(studio.image)
    studio.paint(20)
    result = to_array(studio.image)
    studio._wipe.value = 50
    shown = to_array(load_image(studio._result.value))
    assert abs(shown - photo)[:, :14].mean() < 0.03 < abs(shown - result)[:, :14].mean()
    assert abs(shown - result)[:, 18:].mean() < 0.03
    assert (to_array(studio.image) == result).all()  # what is taken home is whole


@pytest.mark.parametrize(
    ("choice", "brightness", "colours"),
    [("of the photo", "result", "photo"), ("on the photo's light", "photo", "result")],
)
def test_colours_and_brightness_are_swapped(studio, choice, brightness, colours):
    pictures = {"photo": studio.image}
    studio.paint(20)
    pictures["result"] = studio.image
    studio._colours.value = choice
    shown = studio.image
    inside = ((shown > 0) & (shown < 1)).all(1)[0].numpy()
    ours = luma_and_colours(shown)[inside]
    bright = luma_and_colours(pictures[brightness])[inside]
    coloured = luma_and_colours(pictures[colours])[inside]
    assert inside.mean() > 0.5
    assert abs(ours - bright)[:, 0].max() < 0.02
    assert abs(ours - coloured)[:, 1:].max() < 0.1  # the photo was shrunk from 1024
    assert len(COLOURS) == 3


def links(studio):
    found = re.findall(r'download="([^"]*)" href="[^,]*,([^"]*)"', studio._links.value)
    return {name: base64.b64decode(content) for name, content in found}


def test_what_is_taken_home_is_what_is_shown(studio, tmp_path):
    studio._weights["style_weight"].value = 1000.0
    studio._mix.value = 0.5
    studio.paint(6)
    studio._time.value = 50
    studio._pack.click()
    files = links(studio)
    picture = load_image(files["picture.png"])
    assert (picture - studio.painter.steps[3].image).abs().max() < 1 / 255
    film = Image.open(io.BytesIO(files["making-of.gif"]))
    assert film.n_frames == 7 and film.size == (32, 21)
    recipe = Settings.from_json(files["recipe.json"])
    assert (recipe.style_weight, recipe.mix, recipe.steps) == (1000.0, 0.5, 3)


def test_a_classmates_recipe_gives_the_same_picture(studio):
    studio._weights["style_weight"].value = 250.0
    studio._layers["conv1_1"].value = 2.5
    press_and_wait(studio, "Stop")
    studio.paint(5)
    picture = studio.image
    studio._pack.click()
    recipe = links(studio)["recipe.json"]
    other = Studio(IMAGES, TINY)
    upload(other._recipe, "recipe.json", recipe)
    other.painter.wait()
    assert other.settings == Settings.from_json(recipe) and other._alert.value == ""
    press_and_wait(other, "Start")
    assert torch.equal(other.image, picture)
    other.close()


def test_a_recipe_may_lie_beside_the_sliders_marks(studio):
    recipe = Settings(
        content_weight=123.4,
        tv_weight=0.0,
        style_layers={"conv3_2": 55.0, "conv1_1": 1.0},
        size=50,
        start="noise",
        weights="random",
    )
    upload(studio._recipe, "mine.json", recipe.to_json().encode())
    studio.painter.wait()
    assert studio.settings == recipe
    assert [s.description for s in studio._layers.values()] == ["conv3_2", "conv1_1"]
    studio._layers["conv3_2"].value = 3.0
    assert studio.settings.style_layers["conv3_2"] == 3.0


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "not a recipe in JSON"),
        (b"{", "not a recipe in JSON"),
        (b"[1]", "not a recipe"),
        (b'{"style": 3}', "no such setting"),
        (b'{"version": 99}', "version 99"),
        (b'{"style_weight": -1}', "style_weight is a number"),
    ],
)
def test_a_bad_recipe_is_refused_in_one_line(studio, content, line):
    before = studio.settings
    upload(studio._recipe, "hers.json", content)
    assert said(studio._alert).startswith("hers.json: ") and line in said(studio._alert)
    assert studio.settings == before and studio._recipe.value == ()
    studio.paint(1)
    assert studio._alert.value == ""


CAT = (IMAGES / "content" / "cat.jpg").read_bytes()
BAD_PICTURES = BAD_FILES | {
    "cut.jpg": (CAT[:5000], "broken or cut off"),
    "<b>.heic": (b"\0\0\0\x18ftypheic", "not an image"),
}


def test_every_loss_may_be_zero(studio):
    for name in ("style_weight", "tv_weight"):
        studio._weights[name].value = 0.0
    studio._photo.value = "coffee"
    studio.painter.wait()  # the photo is its own content
    assert studio.painter.newest.losses["total"] == 0 and studio._alert.value == ""
    studio.paint(1)
    assert studio.painter.is_alive()


def test_an_error_in_showing_is_survived(studio, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(studio, "_tell", lambda step: 1 / 0)
        press_and_wait(studio, "Step")
        assert "ZeroDivisionError" in studio.painter.trouble
    studio.paint(2)
    assert studio._alert.value == "" and studio.painter.is_alive()


def test_a_panorama_too_thin_for_the_smallest_size_is_refused(studio):
    thin = np.zeros((150, 1000, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(thin).save(encoded, "PNG")
    upload(studio._photo._upload, "wide.png", encoded.getvalue())
    assert "wide.png: 1000x150 pixels would become 64x10" in said(studio._alert)
    assert studio._photo.value == "cat" and len(studio._photo.names) == 4
    upload(studio._photo._upload, "cat.jpg", CAT)  # the next one is taken
    assert studio._photo.value == "cat.jpg"


def test_moving_many_sliders_is_one_order(studio, monkeypatch):
    orders = []
    monkeypatch.setattr(studio.painter, "bend", lambda **aims: orders.append(aims))
    studio.settings = Settings(style_weight=123.0, size=200, weights="random")
    assert orders == [{"settings": studio.settings}]


def test_code_hears_of_trouble(studio, monkeypatch):
    monkeypatch.setattr(studio, "_first", Settings(size=32, weights="/nowhere.pth"))
    press_and_wait(studio, "Reset")
    with pytest.raises(InputError, match="/nowhere.pth"):
        studio.paint(1)


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_upload_is_one_line_and_the_old_picture_stays(studio, name):
    content, line = BAD_PICTURES[name]
    for picker in (studio._photo, studio._painting):
        before = picker.value, picker.names
        upload(picker._upload, name, content)
        assert (picker.value, picker.names) == before
        shown = said(studio._alert)
        assert line in shown and "\n" not in shown and "uploaded data" not in shown
        assert "<b>.heic" not in studio._alert.value  # no names as markup
    studio.paint(1)
    assert studio._alert.value == "" and studio.painter.newest.iteration == 1


def test_an_upload_is_chosen(studio):
    face = load_image(IMAGES / "content" / "rocket.jpg")[..., 40:200, 60:200]
    upload(studio._photo._upload, "me & you.png", encode(face, "PNG"))
    upload(studio._painting._upload, "mine.jpg", CAT)
    studio.painter.wait()
    assert (
        studio._photo.value == "me & you.png" and studio._painting.value == "mine.jpg"
    )
    assert "me &amp; you.png" in studio._photo._title.value
    assert "mine.jpg" in studio._second.options
    assert (studio.image - resize(face, 32)).abs().max() < 0.06
    assert studio._photo._looks.value.count("background-image") == 5
    assert studio._photo._upload.value == ()
    studio._photo.value = "cat"
    studio.painter.wait()
    studio._photo.value = "me & you.png"
    studio.painter.wait()
    assert studio.image.shape == resize(face, 32).shape


def test_finish_paints_larger_and_keeps_one_picture(studio):
    studio.paint(4)
    assert re.match(r"about \d+:\d\d", said(studio._estimate))
    studio._large.options = (48, 64)
    studio._large.value = 64
    studio._finish.click()
    wait_for(lambda: studio.painter.newest.image.shape[3] == 64)
    wait_for(lambda: 0 < studio._progress.value < 1)
    studio.painter.wait()
    assert studio._progress.value == 1
    assert [max(s.image.shape) for s in studio.painter.steps] == [32] * 5 + [64]
    assert studio.image.shape[2:] == (43, 64)
    studio._pack.click()  # the animation stays small
    assert Image.open(io.BytesIO(links(studio)["making-of.gif"])).size == (64, 43)
    assert load_image(links(studio)["picture.png"]).shape == (1, 3, 43, 64)
    press_and_wait(studio, "Step")
    assert max(studio.image.shape) == 32


def test_a_finish_broken_off_keeps_its_picture(studio):
    studio.paint(2)
    studio._large.options = (96,)
    studio._finish.click()
    wait_for(lambda: max(studio.painter.newest.image.shape) == 96)
    press_and_wait(studio, "Pause")
    assert [max(s.image.shape) for s in studio.painter.steps] == [32] * 3 + [96]


def test_an_error_is_one_line_and_the_studio_lives_on(studio, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(studio, "_first", Settings(size=32, weights="/nowhere.pth"))
        press_and_wait(studio, "Reset", "Step")
        assert "/nowhere.pth" in said(studio._alert)
        assert "\n" not in said(studio._alert) and 'role="alert"' in studio._alert.value
    press_and_wait(studio, "Reset", "Step")
    assert studio._alert.value == "" and len(studio.painter.steps) == 2


def test_no_order_ends_a_studio_that_could_not_begin(studio, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(studio, "_first", Settings(size=32, weights="/nowhere.pth"))
        press_and_wait(studio, "Reset")
        studio._finish.click()
        studio._fork.click()
        studio._pack.click()
        studio._time.value = 50
        press_and_wait(studio, "Start", "Pause", "Step", "Stop", "Start")
        assert "/nowhere.pth" in said(studio._alert)
    press_and_wait(studio, "Reset", "Step")
    assert studio._alert.value == "" and len(studio.painter.steps) == 2


def test_a_fault_in_mid_run_is_one_line_and_can_be_gone_on_from(studio, monkeypatch):
    studio.paint(2)
    with monkeypatch.context() as patch:

        def fail(self):
            raise MemoryError("can't allocate\n2 GB")

        patch.setattr(StyleTransfer, "__next__", fail)
        press_and_wait(studio, "Start")
        assert said(studio._alert) == html.escape("MemoryError can't allocate 2 GB")
        assert "At rest" in said(studio._status)
    studio.paint(2)
    assert studio.painter.newest.iteration == 4 and studio._alert.value == ""


def test_twenty_starts_and_stops_leave_one_thread_and_no_memory(studio):
    def cycle():
        press_and_wait(studio, "Reset")
        press(studio, "Start")
        wait_for(lambda: len(studio.painter.steps) > 3)
        press_and_wait(studio, "Stop")

    cycle()
    before = resident()
    for _ in range(20):
        cycle()
    assert len(painters()) == 1 and resident() < 1.1 * before


def test_a_new_studio_closes_the_one_before(studio):
    press(studio, "Start")
    other = Studio(IMAGES, TINY)
    studio.painter.join(10)
    assert painters() == [other.painter]
    assert "Closed" in said(studio._status) and not studio.painter.steps
    press_and_wait(studio, "Start", "Step", "Reset")  # nothing happens, nothing hangs
    assert "Closed" in said(studio._status)
    other.paint(1)
    assert other.painter.newest.iteration == 1
    other.close()


def test_a_run_that_cannot_begin_leaves_the_old_one_as_it_is(studio):
    photo = studio._content
    for slider in studio._weights.values():
        slider.value = 0.0
    studio._photo.value = "coffee"
    assert "raise one" in said(studio._alert) and studio._content is photo


def test_endings_of_pictures_may_be_any_that_can_be_written(tmp_path):
    for kind, name in (("content", "IMG_1.JPG"), ("style", "a.webp")):
        (tmp_path / kind).mkdir()
        Image.open(IMAGES / "content" / "cat.jpg").save(tmp_path / kind / name)
    studio = Studio(tmp_path, TINY)
    assert studio._photo.names == ["IMG 1"] and studio._painting.names == ["a"]
    studio.close()


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        Studio(tmp_path)


def test_the_recipe_of_the_start_asks_for_one_step(studio):
    studio._pack.click()
    assert json.loads(links(studio)["recipe.json"])["steps"] == 1
