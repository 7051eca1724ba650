"""No code of ours runs what it reads: no pickles, no text, no other programs."""

import ast
from pathlib import Path

import pytest
from test_notebooks import FOLDER, NOTEBOOKS, source_of

import nst_helpers

# Modules, functions and arguments that run what they are given.
DANGERS = {
    *("eval", "exec", "compile", "__import__", "builtins", "runpy"),
    *("pickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("subprocess", "os.system", "os.popen", "os.startfile", "pty"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("torch.load", "torch.jit.load", "torch.hub.load"),
    *("shell=", "allow_pickle="),
}


def dangers(code):
    """List the names in some code of what could run what it reads."""
    tree = ast.parse(code)
    imported, found, safe = {}, [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                found.append(module + alias.name)
                if module or alias.asname:
                    imported[alias.asname or alias.name] = module + alias.name

    def name_of(node):
        if isinstance(node, ast.Attribute):
            return f"{name_of(node.value)}.{node.attr}"
        return imported.get(node.id, node.id) if isinstance(node, ast.Name) else "?"

    for node in ast.walk(tree):  # a call comes before its parts
        if isinstance(node, ast.Call):
            given = {k.arg: getattr(k.value, "value", "?") for k in node.keywords}
            found += [f"{name}=" for name in given if given[name] is not False]
            if name_of(node.func) == "torch.load" and given.get("weights_only") is True:
                safe.add(node.func)
        elif isinstance(node, ast.Name | ast.Attribute) and node not in safe:
            found.append(name_of(node))
    return [name for name in found if dangerous(name)]


def dangerous(name):
    if name.startswith(("os.exec", "os.spawn", "os.posix_spawn")):  # of many endings
        return True
    parts = name.split(".")
    return any(".".join(parts[:k]) in DANGERS for k in range(1, len(parts) + 1))


BAD = [
    "eval(text)",
    "exec(text)",
    "run = eval",
    "compile(text, '', 'exec')",
    "__import__(name)",
    "import builtins\nbuiltins.eval(text)",
    "import pickle",
    "import pickle as p",
    "from pickle import loads",
    "def read(path):\n    import pickle",
    "import marshal",
    "import shelve",
    "import joblib",
    "import subprocess",
    "from subprocess import run as go",
    "import os\nos.system(text)",
    "import os as o\no.system(text)",
    "from os import system",
    "from os import popen as p\np(text)",
    "import os\nos.execv(path, [])",
    "from os import spawnl",
    "run(text, shell=True)",
    "run(text, shell=flag)",
    "import numpy as np\nnp.load(path, allow_pickle=True)",
    "import yaml\nyaml.load(text)",
    "from yaml import load",
    "import yaml\nyaml.unsafe_load(text)",
    "import torch\ntorch.load(path)",
    "import torch\ntorch.load(path, weights_only=False)",
    "import torch\ntorch.load(path, weights_only=flag)",
    "import torch as t\nt.load(path)",
    "from torch import load\nload(path)",
    "import torch\nread = torch.load",
    "import torch\ntorch.hub.load(place, name)",
    "import torch\ntorch.jit.load(path)",
]
GOOD = """
import os, re, json, numpy as np, torch
from torch import Tensor, nn
def read(path):
    '''Neither eval(text) nor pickle.'''
    pattern = re.compile("exec")
    model.eval()
    np.load(path, allow_pickle=False)
    yaml.safe_load(text)
    os.path.join(os.environ["HOME"], "eval")
    torch.hub.download_url_to_file(url, path)
    return torch.load(path, map_location="cpu", weights_only=True)
"""


@pytest.mark.parametrize("code", BAD)
def test_the_search_finds_what_is_dangerous(code):
    assert dangers(code)


def test_the_search_finds_nothing_else():
    assert dangers(GOOD) == []
    assert dangers(GOOD.replace("True", "False")) == ["torch.load"]


OURS = sorted(Path(nst_helpers.__file__).parent.rglob("*.py"))
OURS += sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_module_runs_what_it_reads(path):
    own = {"broken.py": {"exec"}, "set_up.py": {"subprocess", "subprocess.run"}}
    # One runs programs that it has written, the other pip.
    found = set(dangers(path.read_text(encoding="utf-8")))
    assert found == own.get(path.name, set())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_notebook_runs_what_it_reads(path):
    code = source_of(path, "code").replace("%config Inline", "# %config Inline")
    code = code.replace("    %run {next", "    # %run {next")  # set_up.py, in every one
    assert dangers(code) == []  # other magic, or a shell's "!", is no Python at all


def test_there_is_code_to_search():
    assert len(OURS) >= 15 and len(NOTEBOOKS) >= 13
