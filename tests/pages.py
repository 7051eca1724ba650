"""Notebooks in a real browser, served by JupyterLab, Notebook 7 or Voilà."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import nbformat
import pytest
from conftest import IMAGES
from playwright.sync_api import sync_playwright

QUIET = [
    "--no-sandbox",  # for root, in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_browser(playwright):
    """Return the path of Chromium or Chrome."""
    names = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
    paths = [playwright.chromium.executable_path, *map(shutil.which, names)]
    for path in paths:
        if path and Path(path).exists():
            return path
    pytest.fail(
        "no browser: apt-get install chromium, or .venv/bin/playwright install "
        "chromium; make test-fast leaves these tests out"
    )


@contextmanager
def browse(address, height=720):
    """Open an address in a browser, and give its page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(playwright), args=QUIET
        )
        page = browser.new_page(viewport={"width": 1280, "height": height})
        page.set_default_timeout(60_000)
        page.goto(address)
        yield page
        browser.close()


def run_cell(page, number=0):
    """Run a code cell; asked too early, before its kernel is there, it does not."""
    cell = page.locator(".jp-CodeCell").nth(number)
    cell.locator(".cm-content").click()
    while cell.locator(".jp-InputPrompt").text_content() == "[ ]:":
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(500)


@contextmanager
def jupyterlab(folder, notebook, theme="JupyterLab Light"):
    """Serve a copy of a notebook, images/ beside its folder, and give its address."""
    wishes = {"themes": {"theme": theme}, "notification": {"fetchNews": "false"}}
    for name, wish in wishes.items():
        file = folder / "settings/@jupyterlab/apputils-extension"
        file.mkdir(parents=True, exist_ok=True)
        (file / f"{name}.jupyterlab-settings").write_text(json.dumps(wish))
    with _jupyter("jupyterlab", folder, notebook) as address:
        yield f"{address}/lab/tree/notebooks/{notebook.name}?reset"


@contextmanager
def notebook7(folder, notebook):
    """Serve a copy of a notebook in Notebook 7, like jupyterlab."""
    with _jupyter("notebook", folder, notebook) as address:
        yield f"{address}/notebooks/notebooks/{notebook.name}"


@contextmanager
def voila(folder, notebook):
    """Serve a copy of a notebook as a page by Voilà, which runs it, like jupyterlab."""
    file = _copy(folder, notebook)
    with _serve("voila", folder, str(file), "--Voila.ip=127.0.0.1") as address:
        yield address


@contextmanager
def _jupyter(program, folder, notebook):
    _copy(folder, notebook)
    options = ["--allow-root", "--ip=127.0.0.1", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    with _serve(program, folder, *options) as address:
        yield address


def _copy(folder, notebook):
    """Copy a notebook, as if it had never been run."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / "images").symlink_to(IMAGES)
    book = nbformat.read(notebook, as_version=4)
    book.cells = [
        c for c in book.cells if "bootstrap" not in c.metadata.get("tags", [])
    ]
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(book, folder / "notebooks" / notebook.name)
    return folder / "notebooks" / notebook.name


@contextmanager
def _serve(program, folder, *options):
    """Run a server with a configuration of its own until it is left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "RUNTIME")}
    own["JUPYTERLAB_SETTINGS_DIR"] = str(folder / "settings")
    own["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / "workspaces")
    command = [sys.executable, "-m", program, "--no-browser", f"--port={port}"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, *options],
            env=os.environ | own,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(120):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


SERVERS = {
    "light": jupyterlab,
    "dark": partial(jupyterlab, theme="JupyterLab Dark"),
    "contrast": partial(jupyterlab, theme="JupyterLab Dark High Contrast"),
    "notebook": notebook7,
    "voila": voila,
}
