"""Settings do not change, all through, and still copy, pickle and turn into a dict."""

import copy
import dataclasses
import json
import pickle

import pytest

from nst_helpers import InputError, Settings
from nst_helpers.layers import LAYERS, layer_name

OTHER = Settings(
    style_weight=7.0, style_layers={"conv2_1": 3, "relu1_2": 1.5}, scales=2, mix=(3, 1)
)


def test_nothing_in_settings_can_be_assigned():
    for settings in (Settings(), OTHER):
        before = dataclasses.asdict(settings)
        for field in dataclasses.fields(Settings):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(settings, field.name, before[field.name])
            with pytest.raises(dataclasses.FrozenInstanceError):
                delattr(settings, field.name)
        assert dataclasses.asdict(settings) == before


def test_no_way_to_change_a_dict_changes_layers():
    fresh = dataclasses.asdict(Settings())
    for settings in (Settings(), OTHER):
        before = dataclasses.asdict(settings)
        for name in ("content_layers", "style_layers"):
            layers = getattr(settings, name)
            (key, *_) = layers
            for mutate in (
                lambda x, k=key: x.__setitem__(k, 5.0),
                lambda x: x.__setitem__("conv5_4", 5.0),
                lambda x, k=key: x.__delitem__(k),
                lambda x: x.__ior__({"conv5_4": 5.0}),
                lambda x: x.update({"conv5_4": 5.0}),
                lambda x: x.update(conv5_4=5.0),
                lambda x: x.setdefault("conv5_4", 5.0),
                lambda x, k=key: x.setdefault(k, 5.0),
                lambda x, k=key: x.pop(k),
                lambda x: x.pop("conv5_4", None),
                lambda x: x.popitem(),
                lambda x: x.clear(),
            ):
                with pytest.raises(InputError, match="dataclasses.replace"):
                    mutate(layers)
            with pytest.raises(InputError, match="dataclasses.replace"):
                layers |= {"conv5_4": 5.0}
        assert dataclasses.asdict(settings) == before
        assert dataclasses.asdict(Settings()) == fresh


def test_the_dict_that_was_given_is_not_kept():
    given = {"conv2_1": 1.0}
    settings = Settings(style_layers=given, content_layers=given)
    given["conv2_1"] = given["conv5_1"] = 9.0
    assert settings.style_layers == settings.content_layers == {"conv2_1": 1.0}
    plain = dict(settings.style_layers)
    plain["conv2_1"] = 9.0
    assert (settings.style_layers | {"conv1_1": 2.0}).keys() == {"conv1_1", "conv2_1"}
    assert settings.style_layers == {"conv2_1": 1.0}


def test_settings_copy_pickle_and_turn_into_a_dict_and_back():
    for settings in (Settings(), OTHER):
        as_dict = dataclasses.asdict(settings)
        for other in (
            copy.copy(settings),
            copy.deepcopy(settings),
            *(pickle.loads(pickle.dumps(settings, n)) for n in range(2, 6)),
            Settings(**as_dict),
            Settings(**json.loads(json.dumps(as_dict))),
            Settings.from_json(settings.to_json().encode()),
            dataclasses.replace(settings),
        ):
            assert other == settings and hash(other) == hash(settings)
            assert dataclasses.asdict(other) == as_dict
            assert list(other.style_layers) == list(settings.style_layers)
            with pytest.raises(InputError):
                other.style_layers["conv5_4"] = 1.0
    assert len({Settings(), Settings(), OTHER, copy.deepcopy(OTHER)}) == 2
    assert Settings() != OTHER


def test_what_asdict_returns_may_be_changed():
    as_dict = dataclasses.asdict(Settings())
    as_dict["style_layers"] = {"conv1_1": 1.0}
    assert Settings(**as_dict).style_layers == {"conv1_1": 1.0}
    assert len(Settings().style_layers) == 5


def test_layers_go_by_both_names():
    settings = Settings(style_layers={"relu3_1": 2.0, "conv1_1": 1.0})
    assert settings.style_layers == {"conv3_1": 2.0, "conv1_1": 1.0}
    assert settings == Settings(style_layers={"conv1_1": 1.0, "conv3_1": 2.0})
    for name in LAYERS:
        assert layer_name(name) == layer_name(name.replace("conv", "relu")) == name
    with pytest.raises(InputError, match="twice"):
        Settings(style_layers={"relu3_1": 2.0, "conv3_1": 1.0})
