"""Make an exam: the learners' sheet and the teacher's, with answers and points.

Both come from exam.ipynb, which is run with the seed given.
"""

import argparse
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell

from nst_helpers.files import write_file

SOURCE = Path(__file__).parent / "exam.ipynb"
ROOT = Path(__file__).parent.parent.parent


def run_with(seed):
    """Run the teacher's sheet with a seed, top to bottom."""
    notebook = nbformat.read(SOURCE, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("\nSEED = 0", f"\nSEED = {seed}")
    NotebookClient(
        notebook,
        timeout=1200,
        record_timing=False,
        resources={"metadata": {"path": SOURCE.parent}},
    ).execute()
    return notebook


def for_learners(cell):
    """List what a cell of the teacher's sheet is in the learners'."""
    tags = cell.metadata.get("tags", [])
    if "teacher" in tags:
        return []
    if "given" in tags:
        return [shown(output) for output in cell.outputs]
    if cell.cell_type == "code":
        return [new_code_cell(cell.source)]
    return [new_markdown_cell(cell.source)]


def shown(output):
    """Turn what a cell shows into a cell: printed lines are code."""
    if output.output_type == "stream":
        return new_code_cell(output.text.rstrip())
    if "image/jpeg" in output.data:
        alt = output.metadata["image/jpeg"]["alt"]
        cell = new_markdown_cell(f"![{alt}](attachment:figure.jpg)")
        picture = output.data["image/jpeg"].replace("\n", "")
        cell.attachments = {"figure.jpg": {"image/jpeg": picture}}
        return cell
    return new_markdown_cell(output.data["text/markdown"])


def main():
    """Make the two sheets of a seed."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("seed", type=int, help="a whole number, 0 or more; keep it")
    parser.add_argument("-d", "--dest", type=Path, default=ROOT / "exam")
    args = parser.parse_args()
    if args.seed < 0:
        sys.exit(f"make_exam: the seed is {args.seed}; give 0 or more")
    folder = args.dest / str(args.seed)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{folder}: about two minutes", flush=True)
    answers = run_with(args.seed)
    write_file(folder / "answers.ipynb", nbformat.writes(answers).encode())
    answers.cells = [new for cell in answers.cells for new in for_learners(cell)]
    write_file(folder / "exam.ipynb", nbformat.writes(answers).encode())


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"make_exam: {error}")
