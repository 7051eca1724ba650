"""What is no sensible number or name is refused: by Settings, options and recipes."""

import dataclasses
import json
from pathlib import Path

import pytest
from test_command_line import PAIR, refused

from nst_helpers import InputError, Settings
from nst_helpers.settings import RECIPE_VERSION

FIELDS = [field.name for field in dataclasses.fields(Settings)]
OPTIONS = [
    field.name
    for field in dataclasses.fields(Settings)
    if isinstance(field.default, int | float | str)
]
OUT = [*PAIR, "-o", "out.png"]
pytestmark = pytest.mark.usefixtures("empty_folder")


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


JUNK = {
    "nan": float("nan"),
    "inf": float("inf"),
    "-inf": float("-inf"),
    "negative": -1,
    "negative fraction": -0.5,
    "huge": 1e308,
    "huge integer": 10**5000,
    "complex": 1j,
    "text": "nan",
    "no text": "",
    "lines": "1\n2",
    "bytes": b"1",
    "None": None,
    "true": True,
    "false": False,
    "list": [1],
    "no list": [],
    "tuple": (1,),
    "set": {1},
    "dict": {"conv9_9": 1.0},
    "no dict": {},
    "number for a layer": {1: 1.0},
    "nan for a layer": {"conv1_1": float("nan")},
    "negative for a layer": {"conv1_1": -1.0},
    "huge for a layer": {"conv1_1": 10**5000},
    "true for a layer": {"conv1_1": True},
    "dict for a layer": {"conv1_1": {"conv1_1": 1.0}},
    "nested": nested(10),
    "deeply nested": nested(100_000),
    "function": print,
    "class": float,
}


def line(error, *parts):
    """Check that an error is one line of no great length that names all parts."""
    said = str(error.value)
    assert "\n" not in said and len(said) < 300
    assert all(part in said for part in parts), said


def accepted(name, value):
    """Say whether a value is none of those to refuse: weights may bear any name."""
    if name == "mix":
        return isinstance(value, list | tuple) and list(value) in ([], [1])
    if name == "keep_colors":
        return value is None
    return name == "weights" and isinstance(value, str)


@pytest.mark.parametrize("name", FIELDS)
def test_settings_refuse_junk_by_name(name):
    for value in JUNK.values():
        if accepted(name, value):
            kept = getattr(Settings(**{name: value}), name)
            assert kept == (tuple(value) if name == "mix" else value)
            continue
        with pytest.raises(InputError) as error:
            Settings(**{name: value})
        line(error, "layer" if name.endswith("_layers") else name)


NO_NUMBERS = ["nan", "inf", "-inf", "-1", "-0.5", "1e999", "9" * 400, "9" * 5000]
NO_NUMBERS += ["", " ", "None", "True", "[]", "{}", "1,5", "0x10", "1\n2", "½", "\0"]


@pytest.mark.parametrize("name", OPTIONS)
def test_options_refuse_junk_in_one_line(name, capsys):
    for text in NO_NUMBERS:
        said = refused(capsys, *OUT, f"--{name.replace('_', '-')}={text}")
        assert name in said.replace("-", "_")


def test_seconds_between_checkpoints(capsys):
    for text in ("nan", "inf", "-1", "soon"):
        given = ["--checkpoint", "c", f"--every={text}"]
        assert "--every" in refused(capsys, *OUT, *given)


def test_an_option_of_two_lines_is_refused_in_one(capsys):
    assert "--si ze" in refused(capsys, *OUT, "--si\nze")


JSON_JUNK = ["NaN", "Infinity", "-Infinity", "-1", "-0.5", "1e999", "9" * 400]
JSON_JUNK += ["null", "true", "false", '"nan"', '""', r'"\ud800"', '"\\n"']
JSON_JUNK += ["[]", "[1]", "[[[[1]]]]", "[" * 300 + "]" * 300, "{}", '{"a": 1}']
JSON_JUNK += ['{"conv1_1": NaN}', '{"conv1_1": -1}', '{"conv1_1": null}']


@pytest.mark.parametrize("name", FIELDS)
def test_recipes_refuse_junk_by_name(name):
    for text in JSON_JUNK:
        recipe = f'{{"{name}": {text}}}'.encode()
        if accepted(name, json.loads(text)):
            kept, value = getattr(Settings.from_json(recipe), name), json.loads(text)
            assert kept == (tuple(value) if name == "mix" else value)
            continue
        with pytest.raises(InputError) as error:
            Settings.from_json(recipe, "r.json")
        line(error, "r.json", "layer" if name.endswith("_layers") else name)


WHOLE = Settings(size=100).to_json().encode()
NO_RECIPES = {  # content, what the line says
    "empty": (b"", "not a recipe in JSON"),
    "blank": (b" \n", "not a recipe in JSON"),
    "cut off": (WHOLE[:-4], "not a recipe in JSON"),
    "two": (WHOLE + WHOLE, "not a recipe in JSON"),
    "latin-1": (b'{"start": "\xe9"}', "not a recipe in JSON"),
    "utf-16": (WHOLE.decode().encode("utf-16"), "not a recipe in JSON"),
    "two byte order marks": (b"\xef\xbb\xbf" * 2 + WHOLE, "not a recipe in JSON"),
    "picture": (b"\x89PNG\r\n\x1a\n", "not a recipe in JSON"),
    "web page": (b"<!DOCTYPE html>", "not a recipe in JSON"),
    "comment": (b'{"size": 100} // mine', "not a recipe in JSON"),
    "deep": (b"[" * 100_000, "not a recipe in JSON"),
    "deep names": (b'{"a":' * 40_000 + b"1" + b"}" * 40_000, "not a recipe in JSON"),
    "integer of 5000 digits": (b'{"size": %b}' % (b"9" * 5000), "not a recipe"),
    "size twice": (b'{"size": 100, "size": 200}', "twice"),
    "layer twice": (b'{"style_layers": {"conv1_1": 1, "conv1_1": 2}}', "twice"),
    "list": (b'[{"size": 100}]', "holds no {name: value}"),
    "number": (b"100", "holds no {name: value}"),
    "text": (b'"size"', "holds no {name: value}"),
    "null": (b"null", "holds no {name: value}"),
    "unknown name": (b'{"stile_weight": 1}', "no such setting: ['stile_weight']"),
    "lines for a name": (b'{"a\\nb": 1, "size": 100}', "no such setting"),
    "thousand names": (json.dumps(dict.fromkeys(map(str, range(1000)))).encode(), "no"),
    "other case": (b'{"Size": 100}', "no such setting: ['Size']"),
    "method": (b'{"save": 1}', "no such setting"),
    "dunder": (b'{"__class__": "x"}', "no such setting"),
    "newer": (b'{"version": %d}' % (RECIPE_VERSION + 1), "update nst_helpers"),
    "older": (b'{"version": %d}' % (RECIPE_VERSION - 1), "make the recipe anew"),
    "version of text": (b'{"version": "1"}', "version '1'"),
    "version true": (b'{"version": true}', "version True"),
    "version 1.0": (b'{"version": 1.0}', "version 1.0"),
    "version nan": (b'{"version": NaN}', "version nan"),
    "version null": (b'{"version": null}', "version None"),
    "version of a list": (b'{"version": [1]}', "version [1]"),
}


def test_no_recipes(capsys):
    for content, reason in NO_RECIPES.values():
        with pytest.raises(InputError) as error:
            Settings.from_json(content, "r.json")
        line(error, "r.json: ", reason)
        Path("r.json").write_bytes(content)
        said = refused(capsys, *OUT, "--recipe", "r.json")
        assert said == f"nst_helpers: {error.value}\n"


def test_no_depth_of_nesting_is_a_recipe():
    for depth in range(1, 1200):  # Python's limit lies somewhere between
        recipe = b'{"size": %b}' % (b"[" * depth + b"]" * depth)
        with pytest.raises(InputError) as error:
            Settings.from_json(recipe, "r.json")
        line(error, "r.json")


def test_a_file_that_never_ends_is_no_recipe():
    with pytest.raises(InputError, match="/dev/zero: not a recipe") as error:
        Settings.load("/dev/zero")
    line(error)


def test_what_is_no_file_of_a_recipe(tmp_path):
    for path in (tmp_path, tmp_path / "gone.json", tmp_path / ("n" * 300)):
        with pytest.raises(InputError, match="cannot be read"):
            Settings.load(path)


def test_a_recipe_from_before_a_setting_existed_loads():
    for name in FIELDS:
        recipe = json.loads(WHOLE)
        del recipe[name]
        settings = Settings.from_json(json.dumps(recipe).encode())
        default = getattr(Settings(), name)
        assert settings == dataclasses.replace(Settings(size=100), **{name: default})


def test_a_recipe_in_which_a_mix_was_one_number_loads():
    for share, mix in {"0": (1, 0), "0.25": (0.75, 0.25), "1.0": (0, 1)}.items():
        assert Settings.from_json(b'{"mix": %b}' % share.encode()).mix == mix


def test_recipes_as_editors_may_write_them_load():
    for content in (WHOLE, b"\xef\xbb\xbf" + WHOLE, WHOLE.replace(b"\n", b"\r\n")):
        assert Settings.from_json(content) == Settings(size=100)
    assert Settings.from_json(b"{}") == Settings()
