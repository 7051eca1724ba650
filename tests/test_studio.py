"""The studio without a browser: its widgets are moved as a hand would."""

import base64
import json
import re
import threading
import time
from pathlib import Path

import pytest
import torch

from nst_helpers import InputError, Settings, load_image
from nst_helpers.studio import KEPT, Studio

IMAGES = Path(__file__).parent.parent / "images"

TINY = Settings(size=32, steps=400, weights="random")


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def studio():
    studio = Studio(IMAGES, TINY)
    yield studio
    studio.close()
    assert not [t for t in threading.enumerate() if t.name == "painter"]


def at_rest_after(studio, count):
    wait_for(lambda: not studio.painter.painting and len(studio.painter.steps) >= count)


def test_step_paints_one_iteration_and_rests(studio):
    studio._once.click()
    at_rest_after(studio, 1)
    photo = load_image(studio._photos[studio._photo.value], TINY.size)
    assert torch.equal(studio.image, photo)  # iteration 0 is the photo itself
    studio._once.click()
    at_rest_after(studio, 2)
    assert studio.painter.steps[-1].iteration == 1
    assert not torch.equal(studio.image, photo)


def test_start_paints_until_it_is_pressed_again(studio):
    studio._start.click()
    assert studio._start.description == "Pause"
    wait_for(lambda: len(studio.painter.steps) > 5)
    studio._start.click()
    at_rest_after(studio, 5)
    studio.painter.wait()
    count = len(studio.painter.steps)
    time.sleep(0.3)
    assert len(studio.painter.steps) == count and studio._start.description == "Start"


def test_a_slider_bends_the_run_from_where_it_is(studio):
    studio._once.click()
    at_rest_after(studio, 1)
    for _ in range(3):
        studio._once.click()
        wait_for(lambda: not studio.painter.painting)
    studio._weights["content_weight"].value = 100.0
    studio._once.click()
    at_rest_after(studio, 5)
    step = studio.painter.steps[-1]
    assert step.restarted and step.iteration == 4
    assert "memory" in studio._status.value
    studio.paint(8)  # so strong a content loss leads back to the photo
    assert studio.painter.steps[-1].losses["content"] < step.losses["content"]


def test_all_layers_at_zero_are_no_style(studio):
    studio._layers["conv1_1"].value = 3.0
    assert studio.settings.style_layers["conv1_1"] == 3.0
    for slider in studio._layers.values():
        slider.value = 0
    assert studio.settings.style_weight == 0
    studio.paint(2)
    assert "style" not in studio.painter.steps[-1].losses


def test_the_time_line_shows_earlier_pictures(studio):
    for count in range(1, 5):
        studio._once.click()
        at_rest_after(studio, count)
    newest = studio._result.value
    studio._time.value = 0
    assert studio._result.value != newest
    assert torch.equal(studio.image, studio.painter.steps[0].image)
    assert "Iteration 0," in studio._status.value
    studio._time.value = 100
    assert studio._result.value == newest


def test_a_long_run_is_thinned_and_ends_by_itself():
    studio = Studio(IMAGES, Settings(size=24, steps=KEPT + 20, weights="random"))
    studio._start.click()
    wait_for(lambda: not studio.painter.painting, 120)
    steps = studio.painter.steps
    assert len(steps) <= KEPT and steps[0].iteration == 0
    assert steps[-1].iteration == KEPT + 19  # and iteration 0
    studio.close()


def test_other_pictures_begin_a_new_run(studio):
    studio._once.click()
    at_rest_after(studio, 1)
    studio._photo.value = "temple"
    studio._once.click()
    wait_for(lambda: not studio.painter.painting)
    (step,) = studio.painter.steps
    assert step.image.shape[2:] == load_image(studio._photos["temple"], 32).shape[2:]


def test_an_error_is_one_line_and_the_studio_lives_on(studio, monkeypatch):
    monkeypatch.setattr(studio, "_base", Settings(size=32, weights="/nowhere.pth"))
    studio._choose()
    studio._once.click()
    wait_for(lambda: not studio.painter.painting)
    assert "/nowhere.pth" in studio.painter.status
    assert "\n" not in studio.painter.status
    monkeypatch.setattr(studio, "_base", TINY)
    studio._choose()
    studio._once.click()
    at_rest_after(studio, 1)


def test_twenty_starts_leave_one_thread(studio):
    for _ in range(20):
        studio._start.click()
        studio._start.click()
    assert len([t for t in threading.enumerate() if t.name == "painter"]) == 1


def test_what_is_taken_home_is_what_is_shown(studio, tmp_path):
    studio._weights["style_weight"].value = 1000.0
    studio._once.click()
    at_rest_after(studio, 1)
    wait_for(lambda: studio._save.value)
    links = re.findall(r'href="data:[^,]*,([^"]*)"', studio._save.value)
    picture, recipe = map(base64.b64decode, links)
    assert (load_image(picture) - studio.image).abs().max() < 1 / 255
    assert json.loads(recipe)["style_weight"] == 1000.0
    (tmp_path / "recipe.json").write_bytes(recipe)
    assert Settings.load(tmp_path / "recipe.json") == studio.settings


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        Studio(tmp_path)


def test_code_can_paint_and_wait(studio):
    studio.paint(3)
    assert [step.iteration for step in studio.painter.steps] == [0, 1, 2]
    assert not studio.painter.painting and studio._start.description == "Start"
