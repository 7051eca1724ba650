"""make kit, and what a class types; no index is asked."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution, distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
COURSE = "docs images jupyterhub nst_helpers notebooks tests Makefile pyproject.toml"
COURSE = [*COURSE.split(), "requirements.txt", "requirements-dev.txt"]
COURSE += ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff"]
COURSE += ["LICENSE", "LICENSE-text"]
CP = f"cp3{sys.version_info.minor}"
HERE = f"{CP}-{CP}-{re.sub('[-.]', '_', sysconfig.get_platform())}"
WINDOWS = "cp312-cp312-win_amd64"
NEEDS = """\
Requires-Dist: for-windows; os_name == "nt" and sys_platform == "win32"
Requires-Dist: for-linux; platform_system == "Linux" and sys_platform == "linux"
Requires-Dist: for-old; python_version < "3.10"
Requires-Dist: for-new; python_full_version >= "3.10"
"""
LEFT_AT_HOME = [".venv/lib/torch.py", ".git/HEAD", "build/lib/old.py", "old/torch.whl"]
LEFT_AT_HOME += ["demo.png", "nst_helpers/__pycache__/vgg.pyc", ".hypothesis/examples"]
LEFT_AT_HOME += ["notebooks/.ipynb_checkpoints/01.ipynb", "tests/screenshots/1.png"]


def write_wheel(folder, name, version, files, tag="py3-none-any", needs=""):
    """Write a wheel of such files: {name: bytes}."""
    name = re.sub("[-.]+", "_", name)
    info = f"{name}-{version}.dist-info"
    files[f"{info}/METADATA"] = f"Name: {name}\nVersion: {version}\n{needs}".encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nTag: {tag}\n".encode()
    with ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        for path, content in {**files, f"{info}/RECORD": b""}.items():
            wheel.writestr(path, content)


def write_stand_in(folder, name, version="1.0", **more):
    """Write a wheel of nothing but its name, and the program that make calls."""
    files = {f"{name.replace('-', '_')}.py": b""}
    if name == "jupyterlab":
        files[f"{name}-{version}.data/scripts/jupyter"] = b"#!/bin/sh\n"
    write_wheel(folder, name, version, files, **more)


def write_real(folder, package):
    """Write the wheel from which a package here was installed, but for its programs."""
    name, version = re.sub("[-.]+", "_", package.name), package.version
    files = {}
    for path in package.files:
        parts = [part for part in path.parts if part != ".."]
        if parts[0] == "bin":
            continue
        if path.parts[0] == "..":
            parts = [f"{name}-{version}.data", "data", *parts]
        elif parts[0].endswith(".dist-info"):
            parts[0] = f"{name}-{version}.dist-info"
        if "__pycache__" not in parts and parts[-1] not in ("RECORD", "METADATA"):
            files["/".join(parts)] = path.read_binary()
    tag = re.findall("^Tag: (.+)", package.read_text("WHEEL"), re.MULTILINE)[-1]
    needs = "".join(f"Requires-Dist: {line}\n" for line in package.requires or [])
    write_wheel(folder, name, version, files, tag, needs)


def requirements():
    """List (name, version) in requirements.txt."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return re.findall(r"^([\w-]+)[=>]=([\d.]+)", text, re.MULTILINE)


@pytest.fixture
def course(tmp_path):
    """Copy the course, its weights but a few bytes, and lay about what is no part."""
    course = tmp_path / "course"
    course.mkdir()
    made = shutil.ignore_patterns("__pycache__", "screenshots", "pictures")
    for name in COURSE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, course / name, ignore=made)
        else:
            shutil.copy2(ROOT / name, course / name)
    next(course.glob("nst_helpers/weights/*.safetensors")).write_bytes(b"weights")
    yield course
    shutil.rmtree(tmp_path)  # real packages are large


@pytest.fixture
def wheels(tmp_path):
    """Return a folder with wheels of all requirements that are nothing but a name."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, version in requirements():
        tags = [HERE, WINDOWS] if name == "torch" else ["py3-none-any"]
        for tag in tags:
            needs = NEEDS if name == "torch" else ""
            write_stand_in(folder, name, version, tag=tag, needs=needs)
    for name in ("for-windows", "for-linux", "for-old", "for-new"):
        write_stand_in(folder, name)
    write_real(folder, distribution("setuptools"))
    return folder


def files_of(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def names_of(packages):
    return {path.name.split("-")[0] for path in packages.iterdir()}


def call(folder, *command):
    """Run a command as in a class: the only index that pip knows does not answer."""
    wrong = ("PIP_", "PYTHONPATH", "MAKE", "MFLAGS")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(wrong)}
    variables |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    variables["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=600
    )


def make_kit(course, options=""):
    """Say make kit where everything is set up."""
    python = course / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (course / ".venv" / "ready").touch()
    return call(course, "make", "kit", f"KIT=--find-links ../wheels {options}")


@pytest.mark.long
def test_a_class_sets_up_from_a_kit_without_an_index(course, wheels, tmp_path):
    whole = files_of(course)
    for name in LEFT_AT_HOME:
        (course / name).parent.mkdir(parents=True, exist_ok=True)
        (course / name).write_text("none of the course")

    done = make_kit(course, "--no-index")
    assert done.returncode == 0, done.stderr
    assert "kit: about 3.3 GB into " in done.stdout
    stick = (course / "kit").rename(tmp_path / "a stick")
    wheels.rename(tmp_path / "elsewhere")
    own = {path for path in files_of(stick) if not path.startswith("packages/")}
    assert own == whole | {"IN_CLASS.txt"}
    names = {name.replace("-", "_") for name, _ in requirements()}
    more = {"for_linux", "for_new", "setuptools", "nst_helpers"}
    assert names_of(stick / "packages") == names | more
    with ZipFile(next(stick.glob("packages/nst_helpers-*.whl"))) as wheel:
        ours = {path for path in whole if path.startswith("nst_helpers/")}
        assert ours <= set(wheel.namelist())

    done = call(stick, "make", ".venv/ready", f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stdout + done.stderr
    show = "import torch, for_linux, importlib.util as i; print(torch.__file__)"
    show += "; print(i.find_spec('nst_helpers').origin)"
    done = call(stick, ".venv/bin/python", "-c", show)
    torch, ours = map(Path, done.stdout.splitlines())
    assert stick / ".venv" in torch.parents
    assert ours == stick / "nst_helpers" / "__init__.py"


@pytest.mark.long
def test_a_kit_for_two_systems(course, wheels):
    done = make_kit(course, "--no-index --platform win_amd64 --python-version 3.12")
    assert done.returncode == 0, done.stderr
    assert "kit: about 0.4 GB into " in done.stdout
    packages = course / "kit" / "packages"
    assert {"for_windows", "for_new"} < names_of(packages)
    assert not {"for_linux", "for_old"} & names_of(packages)

    assert make_kit(course, "--no-index").returncode == 0
    assert {"for_windows", "for_new", "for_linux"} < names_of(packages)
    text = (course / "kit" / "IN_CLASS.txt").read_text(encoding="utf-8")
    assert f"Python 3.{sys.version_info.minor} (linux_" in text
    assert "Python 3.12 (win_amd64)" in text


def test_nothing_of_the_course_is_forgotten():
    done = call(ROOT, "git", "ls-files")
    if done.returncode:
        pytest.skip("the project without its history")
    names = {line.split("/")[0] for line in done.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} == set(COURSE)


def test_a_folder_that_is_no_kit_is_left_alone(course, wheels, tmp_path):
    mine = tmp_path / "mine"
    (mine / "packages").mkdir(parents=True)
    (course / "packages").mkdir()
    for folder in mine, course:
        done = make_kit(course, f"--no-index -d {folder}")
        assert done.returncode == 2 and "is no kit" in done.stderr.splitlines()[0]
    assert files_of(mine) == set()
    for folder in "/dev/null/kit", f"{course}/README.md/kit":
        done = make_kit(course, f"--no-index -d {folder}")
        assert done.returncode == 2 and done.stderr.startswith("kit: [Errno ")


@pytest.mark.long
def test_the_real_packages_install_from_a_kit_by_hand(course, wheels, tmp_path):
    """All but PyTorch, by what IN_CLASS.txt says for those without make."""
    for package in distributions():
        if not re.match("nvidia|cuda|torch|triton|nst_|pip$", package.name):
            for stand_in in wheels.glob(package.name.replace("-", "_") + "-[0-9]*"):
                stand_in.unlink()
            write_real(wheels, package)
    done = make_kit(course, "--no-index -d ../kit")
    assert done.returncode == 0, done.stderr
    kit = tmp_path / "kit"
    text = (kit / "IN_CLASS.txt").read_text(encoding="utf-8")
    lines = re.findall("^    (python .*)", text, re.MULTILINE)
    assert len(lines) == 2
    script = "\n".join([lines[0], ". .venv/bin/activate", lines[1]])
    path = f"PATH={Path(sys.executable).parent}:$PATH\n"
    done = call(kit, "sh", "-ec", path + script)
    assert done.returncode == 0, done.stdout + done.stderr
    check = "import cv2, IPython, ipywidgets, jupyterlab, matplotlib.pyplot, PIL, torch"
    done = call(kit, ".venv/bin/python", "-c", check)
    assert done.returncode == 0, done.stderr
    assert call(kit, ".venv/bin/jupyter", "lab", "--version").returncode == 0
