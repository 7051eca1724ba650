"""Every solution runs, from its first cell to its last."""

from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks" / "solutions"


@pytest.fixture(scope="module")
def kernel():
    """Share a kernel: to start one for each takes longer than most of them run."""
    kernel = AsyncKernelManager()
    yield kernel
    run_sync(kernel.shutdown_kernel)(now=True)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_solution_runs(path, kernel):
    book = nbformat.read(path, as_version=4)
    book.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    client = NotebookClient(book, km=kernel, timeout=300)
    client.execute(cwd=FOLDER)  # raises what a cell raises
    client.kc.stop_channels()
