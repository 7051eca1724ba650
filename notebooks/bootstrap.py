"""Put the cell that fetches the course at the head of notebooks: bootstrap.py [FILE …]

It does nothing where nst_helpers is installed. Elsewhere, as on Colab, it unpacks
course.zip, which `make course.zip` writes, and hands over to set_up.py in it. Where the
cell was put in before, it is brought up to date; else the numbers of cells that were
run move up by one. The project's address, from which the cell can download the course,
is [project.urls] Repository in pyproject.toml; without one, it asks for course.zip.
"""

import re
import sys
from pathlib import Path

import nbformat

from nst_helpers.files import write_file

HERE = Path(__file__).resolve().parent
CELL = """\
from importlib.util import find_spec
from pathlib import Path
from shutil import unpack_archive

if not find_spec("nst_helpers"):  # as on Colab: the course comes in a file
    if not Path("course.zip").exists():
        raise SystemExit("Put course.zip beside this notebook, then run this again.")
    unpack_archive("course.zip", "course")
    %run {next(Path("course").glob("*/notebooks/set_up.py"))} FOLDER"""
ASK = 'raise SystemExit("Put course.zip beside this notebook, then run this again.")'
IMPORT = "from shutil import unpack_archive\n"
METADATA = {"tags": ["bootstrap", "hide-input"], "jupyter": {"source_hidden": True}}


def cell_of(notebook, project=HERE.parent / "pyproject.toml"):
    """Return the source of a notebook's first cell."""
    text = CELL.replace("FOLDER", notebook.parent.relative_to(HERE.parent).as_posix())
    found = re.search(r'^Repository = "(.*)"', project.read_text("utf-8"), re.MULTILINE)
    if found:  # GitHub packs any state of a repository
        fetch = f'urlretrieve("{found[1]}/archive/HEAD.zip", "course.zip")'
        text = text.replace(ASK, fetch)
        text = text.replace(IMPORT, f"{IMPORT}from urllib.request import urlretrieve\n")
    return text


def put(path, source):
    """Let a source be the first code cell of a notebook."""
    book = nbformat.read(path, as_version=4)
    first = [cell.cell_type for cell in book.cells].index("code")
    if "bootstrap" in book.cells[first].metadata.get("tags", []):
        book.cells[first].source = source
    else:
        more = {"id": "bootstrap", "metadata": METADATA}
        more["execution_count"] = book.cells[first].execution_count
        for cell in book.cells:
            for part in (cell, *cell.get("outputs", [])):
                if part.get("execution_count"):
                    part["execution_count"] += 1
        book.cells.insert(first, nbformat.v4.new_code_cell(source, **more))
    write_file(path, (nbformat.writes(book) + "\n").encode())


if __name__ == "__main__":
    every = [*HERE.glob("*.ipynb"), *HERE.glob("solutions/*.ipynb")]
    for path in (Path(name).resolve() for name in sys.argv[1:] or every):
        put(path, cell_of(path))
