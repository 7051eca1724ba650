"""A notebook alone in a folder: what its first cell does where nst_helpers is not."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
EVERY = sorted(NOTEBOOKS.glob("*.ipynb")) + sorted(NOTEBOOKS.glob("solutions/*.ipynb"))
LOOK = """\
from pathlib import Path
print(find_spec("nst_helpers").origin, Path("IMAGES").is_dir())"""


def load(name):
    spec = spec_from_file_location(name, NOTEBOOKS / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load("bootstrap")


@pytest.fixture(scope="module")
def course_zip():
    subprocess.run(["make", "--silent", "course.zip"], cwd=NOTEBOOKS.parent, check=True)
    return NOTEBOOKS.parent / "course.zip"


def run_alone(folder, book):
    """Run a notebook; packages are at hand, but for those that are linked to."""
    nbformat.write(book, folder / "alone.ipynb")
    python = str(Path(sys.base_prefix, "bin", "python3"))  # knows no .venv
    command = [python, "-m", "nbconvert", "--to=notebook", "--execute"]
    command += ["--ExecutePreprocessor.timeout=300", "--output=done", "alone.ipynb"]
    packages = {"PYTHONPATH": sysconfig.get_path("purelib"), "NST_STEPS": "3"}
    return subprocess.run(
        command, cwd=folder, env=os.environ | packages, capture_output=True, text=True
    )


SOLUTION = pytest.param("solutions/00_paint_first", marks=pytest.mark.long)


@pytest.mark.parametrize("name", ["00_paint_first", SOLUTION])
def test_it_finds_the_course_in_the_zip_beside_it(name, course_zip, tmp_path):
    (tmp_path / "course.zip").symlink_to(course_zip)
    first = new_code_cell(bootstrap.cell_of(NOTEBOOKS / f"{name}.ipynb"))
    images = "../../images" if "/" in name else "../images"
    book = new_notebook(cells=[first, new_code_cell(LOOK.replace("IMAGES", images))])
    done = run_alone(tmp_path, book)
    assert done.returncode == 0, done.stderr
    silent, told = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    assert silent.outputs == []
    module = tmp_path.resolve() / "course" / "course" / "nst_helpers" / "__init__.py"
    assert told.outputs[0].text == f"{module} True\n"


@pytest.mark.long
def test_without_the_zip_it_asks_for_it(tmp_path):
    first = new_code_cell(bootstrap.cell_of(EVERY[0]))
    done = run_alone(tmp_path, new_notebook(cells=[first]))
    line = "Put course.zip beside this notebook, then run this again."
    assert done.returncode and line in done.stderr.strip().splitlines()[-1]


@pytest.mark.long
@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_every_notebook_runs_alone(path, course_zip, tmp_path):
    (tmp_path / "course.zip").symlink_to(course_zip)
    copy = Path(shutil.copy(path, tmp_path))
    bootstrap.put(copy, bootstrap.cell_of(path))
    done = run_alone(tmp_path, nbformat.read(copy, as_version=4))
    assert done.returncode == 0, done.stderr


def test_with_an_address_it_fetches_the_course(tmp_path):
    project = tmp_path / "pyproject.toml"
    project.write_text('[project.urls]\nRepository = "https://example.org/nst"\n')
    cell = bootstrap.cell_of(EVERY[0], project)
    address = "https://example.org/nst/archive/HEAD.zip"
    assert f'urlretrieve("{address}", "course.zip")' in cell
    assert "import urlretrieve" in cell and "SystemExit" not in cell
    assert len(cell.splitlines()) <= 12


def test_the_tool_keeps_one_clean_run_and_may_be_used_again(tmp_path):
    path, result = tmp_path / "some.ipynb", [new_output("execute_result")]
    result[0].execution_count = 1
    cells = [
        new_markdown_cell("# A title"),
        new_code_cell("1", execution_count=1, outputs=result),
        new_code_cell("2", execution_count=2),
    ]
    nbformat.write(new_notebook(cells=cells), path)
    bootstrap.put(path, "an older cell")
    bootstrap.put(path, "pass")
    _, first, second, third = nbformat.read(path, as_version=4).cells
    assert first.source == "pass" and first.metadata == bootstrap.METADATA
    assert [c.execution_count for c in (first, second, third)] == [1, 2, 3]
    assert second.outputs[0].execution_count == 2


def test_what_the_host_lacks_is_installed_and_nothing_else(monkeypatch, capsys):
    set_up, asked = load("set_up"), []
    project = (NOTEBOOKS.parent / "pyproject.toml").read_text(encoding="utf-8")
    for name in set_up.NEEDS.values():
        assert f'"{name.removesuffix("-headless")}' in project
    monkeypatch.setattr(set_up, "find_spec", lambda name: name not in ("cv2", "PIL"))
    monkeypatch.setattr(set_up.subprocess, "run", lambda line, **_: asked.append(line))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(NOTEBOOKS)  # and back, in the end
    set_up.main("images")
    assert asked[0][-2:] == ["opencv-python-headless", "pillow"] and len(asked) == 1
    assert capsys.readouterr().out == "Installing opencv-python-headless, pillow …\n"
    assert sys.path[0] == str(NOTEBOOKS.parent.resolve())
    assert Path.cwd() == NOTEBOOKS.parent.resolve() / "images"
