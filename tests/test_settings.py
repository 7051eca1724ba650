import dataclasses
import json

import numpy as np
import pytest

from nst_helpers import InputError, Settings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content_weight", -1.0),
        ("style_weight", float("nan")),
        ("tv_weight", float("inf")),
        ("style_weight", 1e7),
        ("style_weight", "100"),
        ("content_weight", True),
        ("steps", 0),
        ("steps", 10.0),
        ("steps", True),
        ("size", 15),
        ("size", 5000),
        ("seed", -1),
        ("seed", 2**32),
        ("start", "photo"),
        ("optimizer", "sgd"),
        ("pooling", "min"),
        ("device", "tpu"),
        ("weights", 3),
        ("content_layers", ["conv4_2"]),
        ("content_layers", {}),
        ("style_layers", {"conv1_1": 0.0}),
        ("style_layers", {"conv1_1": float("nan")}),
        ("style_layers", {"conv1_1": -1.0}),
        ("style_layers", {"conv6_1": 1.0}),
    ],
)
def test_bad_values_are_refused_by_name(field, value):
    with pytest.raises(InputError) as error:
        Settings(**{field: value})
    message = str(error.value)
    assert "\n" not in message
    assert field in message or str(value).split("'")[1] in message


def test_numbers_of_numpy_are_numbers():
    assert Settings(style_weight=np.float64(5)).style_weight == 5


def test_the_layers_are_a_copy():
    layers = {"conv1_1": 1.0}
    settings = Settings(style_layers=layers)
    layers["conv1_1"] = float("nan")
    assert settings.style_layers == {"conv1_1": 1.0}


def test_three_weights_of_0_are_refused():
    with pytest.raises(InputError, match="all 0"):
        Settings(content_weight=0, style_weight=0, tv_weight=0)
    Settings(content_weight=0, style_weight=0, tv_weight=1)


def test_settings_are_frozen_and_print_themselves():
    settings = Settings(seed=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.seed = 4
    assert eval(repr(settings), {"Settings": Settings}) == settings


def test_a_recipe_is_json_and_comes_back(tmp_path):
    path = tmp_path / "recipe.json"
    settings = Settings(style_weight=7.5, start="noise", style_layers={"conv2_2": 1.0})
    settings.save(path)
    written = json.loads(path.read_text())
    assert written["version"] == 1 and written["style_weight"] == 7.5
    assert Settings.load(path) == settings
    path.write_text('{"size": 100}')
    assert Settings.load(path) == Settings(size=100)
