"""The form of the notebooks as they lie in git; nbval runs them."""

import json
import re
from pathlib import Path

import pytest

from nst_helpers import Settings

FOLDER = Path(__file__).parent.parent / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))
NOTEBOOKS = LESSONS + sorted(FOLDER.glob("solutions/*.ipynb"))
LOCAL_PATH = re.compile(r"/(home|root|tmp|Users|work|usr|opt|mnt)/|[A-Z]:\\\\")
HEADINGS = ["**You will make**", "**You will learn**", "**You need**"]
HEADINGS += ["## Recap", "## Exercises", "## References and credits"]


def name_of(path):
    return str(path.relative_to(FOLDER))


def text_of(part):
    return part if isinstance(part, str) else "".join(part)


@pytest.fixture(params=NOTEBOOKS, ids=name_of)
def path(request):
    return request.param


@pytest.fixture
def code(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks_and_each_lesson_has_solutions():
    assert LESSONS
    for lesson in LESSONS:
        assert (FOLDER / "solutions" / lesson.name).exists()


def test_one_clean_run_from_the_first_cell_to_the_last(code):
    counts = [cell["execution_count"] for cell in code]
    assert counts == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]


def test_small_portable_and_without_widget_state(path, code):
    assert path.stat().st_size <= 1_500_000
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    assert metadata["kernelspec"]["name"] == "python3" and "widgets" not in metadata
    for cell in code:
        for output in cell["outputs"]:
            texts = [output.get("text", ""), *output.get("data", {}).values()]
            assert not [t for t in texts if LOCAL_PATH.search(text_of(t)[:10_000])]


def test_cells_are_short(code):
    assert all(len(text_of(cell["source"]).splitlines()) <= 25 for cell in code)


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_lessons_follow_the_skeleton(lesson):
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    prose = "\n".join(text_of(c["source"]) for c in cells if c["cell_type"] != "code")
    places = [prose.find(heading) for heading in HEADINGS]
    assert -1 not in places and places == sorted(places)


def check_in(notebook, function):
    """Return a check function out of a notebook's cells tagged "check"."""
    cells = json.loads((FOLDER / notebook).read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        source = text_of(cell["source"])
        if f"def {function}(" in source:
            definition = source.rsplit("\n\n\n", 1)[0]
            names = {"Settings": Settings}
            exec(definition, names)
            return names[function]
    raise AssertionError(f"no {function} in {notebook}")


def weighted(content=1, style=1, tv=1, by=1):
    """Make a total loss, right or wrong."""
    return lambda losses, s: (
        (
            content * s.content_weight * losses["content"]
            + style * s.style_weight * losses["style"]
            + tv * s.tv_weight * losses["tv"]
        )
        / by
    )


WRONG_TOTALS = [
    (lambda losses, s: ..., "Nothing"),
    (lambda losses, s: None, "return"),
    (lambda losses, s: sum(losses.values()), "without their weights"),
    (weighted(tv=0), "Total variation"),
    (weighted(style=0), "style is missing"),
    (weighted(content=0), "content is missing"),
    (weighted(by=3), "2956"),
    (weighted(style=-1), "2956"),
    (lambda losses, s: 2956.0, "2956"),
    (
        lambda losses, s: s.content_weight + s.style_weight + s.tv_weight,
        "weights without",
    ),
]
WRONG_DESCENTS = [
    (lambda before, slope, t, after: ..., "Nothing"),
    (lambda before, slope, t, after: None, "Nothing"),
    (lambda before, slope, t, after: False, "compare"),
    (lambda before, slope, t, after: True, "compare"),
    (lambda before, slope, t, after: after < 9.5, "compare"),
    (lambda before, slope, t, after: after <= before + 0.2 * t * slope, "1e-4"),
    (lambda before, slope, t, after: after <= before - 4e-4 * t, "use slope"),
    (lambda before, slope, t, after: after < before, "slope"),
    (
        lambda before, slope, t, after: after <= before - 1e-4 * t * slope,
        "accept|Use the slope",
    ),
    (lambda before, slope, t, after: after <= before + 1e-4 * slope, "use t"),
]


@pytest.mark.parametrize("folder", ["", "solutions/"])
def test_lesson_6_checks_tell_what_is_wrong(folder):
    notebook = f"{folder}06_optimise_with_lbfgs.ipynb"
    check = check_in(notebook, "check_total")
    assert check(weighted()).startswith("Right")
    for answer, hint in WRONG_TOTALS:
        assert re.search(hint, check(answer)) and "Right" not in check(answer)
    check = check_in(notebook, "check_goes_down")
    right = lambda before, slope, t, after: after <= before + 1e-4 * t * slope  # noqa: E731
    assert check(right).startswith("Right")
    for answer, hint in WRONG_DESCENTS:
        assert re.search(hint, check(answer)) and "Right" not in check(answer)
