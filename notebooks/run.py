"""Run notebooks in place, top to bottom, and keep their outputs: run.py FILE …

The picture of a cell tagged "hero" is also written to images/results/, for the lesson's
first cell to show.
"""

import base64
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from nst_helpers.files import write_file

RESULTS = Path(__file__).parent.parent / "images" / "results"
WIDGET = "application/vnd.jupyter.widget-view+json"

for path in map(Path, sys.argv[1:]):
    print(path, flush=True)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=1200,  # now and then a reply is lost, and it would wait for ever
        record_timing=False,
        resources={"metadata": {"path": path.parent}},
    ).execute()
    # Sliders do not live in a file; the still picture above them does.
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {})]
        if "hero" in cell.metadata.get("tags", []):
            hero = base64.b64decode(cell.outputs[-1].data["image/jpeg"])
            write_file(RESULTS / f"{path.stem}.jpg", hero)
    write_file(path, (nbformat.writes(notebook) + "\n").encode())
