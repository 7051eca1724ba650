import dataclasses
import json

import numpy as np
import pytest

from nst_helpers import InputError, Settings

BAD = [
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
    ("padding", "mirror"),
    ("device", "tpu"),
    ("device", "cuda:"),
    ("device", "cuda:one"),
    ("device", "cuda:01"),
    ("device", "cuda:\n1"),
    ("device", "cuda:1\n"),
    ("device", "cpu:0"),
    ("device", 0),
    ("weights", 3),
    ("content_layers", ["conv4_2"]),
    ("content_layers", {}),
    ("style_layers", {"conv1_1": 0.0}),
    ("style_layers", {"conv1_1": float("nan")}),
    ("style_layers", {"conv1_1": -1.0}),
    ("style_layers", {"conv6_1": 1.0}),
]


def test_bad_values_are_refused_by_name():
    for field, value in BAD:
        with pytest.raises(InputError) as error:
            Settings(**{field: value})
        message = str(error.value)
        assert "\n" not in message
        assert field in message or str(value).split("'")[1] in message


def test_devices():
    for device in ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "cuda:15", "mps"):
        assert Settings(device=device).device == device


def test_a_change_that_a_run_cannot_take_is_refused_by_name():
    others = {"start": "noise", "seed": 1, "weights": "random", "pooling": "max"}
    others |= {"padding": "zeros", "device": "cpu", "precision": "float32"}
    for name, value in (others | {"scales": 2}).items():
        with pytest.raises(InputError, match=f"{name} cannot change in mid-run"):
            Settings().check_change(Settings(**{name: value}))
    Settings().check_change(Settings(size=100, steps=3, tv_weight=2.0, mix=(1, 1)))


def test_sizes_are_halved_in_equal_shares_of_the_steps_of_40_at_most():
    def halvings(iterations, **choices):
        return [Settings(**choices).halvings_at(i) for i in iterations]

    assert halvings([-1, 0, 9, 10, 19, 20, 29, 30], steps=30, scales=3) == [
        *(2, 2, 2),
        *(1, 1),
        *(0, 0, 0),
    ]
    at = [39, 40, 79, 80, 500]
    assert halvings(at, steps=500, scales=3) == [2, 1, 1, 0, 0]
    assert halvings([0, 5], steps=30) == [0, 0]


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


def test_numpys_numbers_are_numbers_and_become_pythons():
    given = Settings(
        size=np.int64(64),
        seed=np.uint8(3),
        tv_weight=np.float32(0.5),
        style_weight=np.int32(7),
        mix=[np.float32(1), np.int64(2)],
        style_layers={"conv1_1": np.float64(2), "conv2_1": np.int16(1)},
    )
    assert given == Settings(
        size=64,
        seed=3,
        tv_weight=0.5,
        style_weight=7.0,
        mix=(1, 2),
        style_layers={"conv1_1": 2.0, "conv2_1": 1.0},
    )
    assert Settings.from_json(given.to_json().encode()) == given
    numbers = given.size, given.seed, given.tv_weight, *given.style_layers.values()
    assert {type(number) for number in numbers} == {int, float}
    for bad in (np.float64(64), np.bool_(True), np.array(64), np.int64(5), np.nan):
        with pytest.raises(InputError, match="size is a whole number"):
            Settings(size=bad)
    for bad in (np.bool_(True), np.float32("nan"), np.float64("inf"), np.ones(1)):
        with pytest.raises(InputError, match="tv_weight is a number"):
            Settings(tv_weight=bad)
        with pytest.raises(InputError, match="style_layers.*is a number"):
            Settings(style_layers={"conv1_1": bad})
