"""The form of the notebooks as they lie in git; nbval runs them."""

import json
import re
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
LESSONS = [p for p in sorted(FOLDER.glob("*.ipynb")) if p.name[:2] != "11"]
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb")) + sorted(FOLDER.glob("*/*.ipynb"))
LOCAL_PATH = re.compile(r"/(home|root|tmp|Users|work|usr|opt|mnt)/|[A-Z]:\\")
HEADINGS = ["**You will make**", "**You will learn**", "**You need**"]
HEADINGS += ["## Quick questions", "## Recap", "## Exercises"]
HEADINGS += ["**1. Predict.**", "**2. Modify.**", "**3. Implement.**"]
HEADINGS += ["## References and credits"]
WIDGET = "application/vnd.jupyter.widget-view+json"


def name_of(path):
    return str(path.relative_to(FOLDER))


def text_of(part):
    return part if isinstance(part, str) else "".join(part)


@pytest.fixture(params=NOTEBOOKS, ids=name_of)
def path(request):
    return request.param


def cells_of(path, kind):
    """List a notebook's cells of one kind."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == kind]


@pytest.fixture
def code(path):
    return cells_of(path, "code")


def test_there_are_notebooks_and_each_lesson_has_solutions():
    numbers = [lesson.name[:2] for lesson in LESSONS]
    assert len(numbers) >= 8 and numbers == [f"{k:02}" for k in range(len(numbers))]
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
            assert WIDGET not in output.get("data", {})
            data = output.get("data", {})
            texts = [data[kind] for kind in data if kind.startswith("text/")]
            texts.append(output.get("text", ""))
            assert not [t for t in texts if LOCAL_PATH.search(text_of(t))]


def test_cells_are_short(code):
    assert all(len(text_of(cell["source"]).splitlines()) <= 25 for cell in code)


def test_waiting_threads_sleep_before_torch_is_loaded(code):
    """The package sees to it as well, but most lessons import torch first."""
    text = "\n".join(text_of(cell["source"]) for cell in code)
    loads = re.search(r"^(import|from) (torch|nst_helpers)\b.*", text, re.MULTILINE)
    sets = text.find('os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")')
    assert loads[2] == "nst_helpers" or -1 < sets < loads.start()


@pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if p.parent.name != "exam"], ids=name_of
)
def test_the_first_cell_brings_the_course_along(path):
    """`python notebooks/bootstrap.py` puts it there; elsewhere it is silent."""
    code = cells_of(path, "code")
    source = runpy.run_path(str(FOLDER / "bootstrap.py"))["cell_of"](path)
    assert text_of(code[0]["source"]) == source
    assert {"bootstrap", "hide-input"} == set(code[0]["metadata"]["tags"])
    assert code[0]["metadata"]["jupyter"]["source_hidden"] and not code[0]["outputs"]


def source_of(path, kind):
    return "\n".join(text_of(cell["source"]) for cell in cells_of(path, kind))


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_lessons_follow_the_skeleton(lesson):
    prose = source_of(lesson, "markdown")
    places = [prose.find(heading) for heading in HEADINGS]
    assert -1 not in places and places == sorted(places)
    sections = len(re.findall(r"^## [1-9]", prose, re.MULTILINE))
    predictions = len(re.findall(r"\*(Predict|Question)\.\*", prose))
    assert predictions >= sections - 1  # one section may only point at the code
    assert re.search(r"!\[[^\]]{40,}\]\(\.\./images/results/", prose)


@pytest.mark.parametrize("lesson", sorted(FOLDER.glob("*.ipynb")), ids=name_of)
def test_what_is_to_be_predicted_is_not_given_away(lesson):
    """The answer is folded, and so is what is said of it."""
    cells, folded = json.loads(lesson.read_text(encoding="utf-8"))["cells"], 0
    for k, cell in enumerate(cells):
        text = text_of(cell["source"])
        if cell["cell_type"] == "markdown" and "*Predict.*" in text:
            words = ["What to notice" in text_of(c["source"]) for c in cells[k + 1 :]]
            between = cells[k + 1 : k + 1 + words.index(True)]
            shown = [c for c in between if c.get("outputs") and not is_learners(c)]
            assert any(map(is_folded, shown)) or not shown, text
            folded += 1
        if cell["cell_type"] == "markdown":
            outside = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
            assert "*What to notice.*" not in outside
    assert folded >= (3 if lesson in LESSONS else 1)


def is_learners(cell):
    return {"exercise", "check"} & set(cell["metadata"].get("tags", []))


def is_folded(cell):
    is_hidden = cell["metadata"].get("jupyter", {}).get("outputs_hidden")
    return is_hidden and "hide-output" in cell["metadata"]["tags"]


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_lessons_ask_move_and_show_the_whole(lesson):
    prose = source_of(lesson, "markdown")
    questions = prose.split("## Quick questions")[1].split("## Recap")[0]
    assert questions.count("<details><summary>") == questions.count("</details>") == 3
    assert f"../images/loop/{lesson.name[:2]}.svg" in prose
    assert re.search(r"\b(interact|widgets)\b", source_of(lesson, "code"))


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_pictures_say_what_can_be_seen(lesson):
    told = []
    for cell in cells_of(lesson, "code"):
        if re.search(r"\b(show_\w+|film_strip)\(", text_of(cell["source"])):
            pictures = [o for o in cell["outputs"] if "image/jpeg" in o.get("data", {})]
            told += [o["metadata"].get("image/jpeg", {}).get("alt") for o in pictures]
    assert told and all(alt and len(alt) >= 20 for alt in told)


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_solutions_pass_every_check_of_their_lesson(lesson):
    lesson_checks = re.findall(r"^check_\w+\(", source_of(lesson, "code"), re.MULTILINE)
    solutions = source_of(FOLDER / "solutions" / lesson.name, "code")
    assert len(lesson_checks) >= 2
    for check in lesson_checks:
        passed = re.escape(f"verdict = {check}") + r".*\)\nassert verdict.startswith"
        assert re.search(passed, solutions)


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_pictures_and_links_of_a_lesson_are_there(lesson):
    prose = source_of(lesson, "markdown")
    assert f"solutions/{lesson.name}" in prose
    check_links(prose, FOLDER)


@pytest.mark.parametrize(
    "page", ["README.md", "notebooks/README.md", "notebooks/exam/README.md"]
)
def test_links_of_the_pages_are_there(page):
    page = FOLDER.parent / page
    check_links(page.read_text(encoding="utf-8"), page.parent)


def check_links(text, folder):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert targets
    for target in targets:
        assert (folder / target).exists(), target
