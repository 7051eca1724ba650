"""Make a kit: one folder from which a class sets up the course without a network.

It holds the course and, in packages/, the wheels of all that requirements.txt names.
Options that are not listed here are pip download's.
"""

import argparse
import platform
import shutil
import sys
from pathlib import Path

from pip._internal.cli.main import main as pip
from pip._vendor.packaging import markers

ROOT = Path(__file__).parent.parent
# What is not named stays at home: .git, .venv, build, and the folder that is made.
COURSE = ["docs", "images", "jupyterhub", "nst_helpers", "notebooks", "tests"]
COURSE += ["Makefile", "requirements.txt", "requirements-dev.txt", "pyproject.toml"]
COURSE += ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff"]
COURSE += ["LICENSE", "LICENSE-text"]
JUNK = shutil.ignore_patterns(".*", "__pycache__", "screenshots", "pictures")
BUILD = "setuptools>=77"  # pip builds the project with it, as pyproject.toml says

# By how a platform's name begins: gigabytes, and what the packages' conditions, such as
# "; os_name == 'nt'", call it. On Linux PyTorch brings NVIDIA's libraries.
SYSTEMS = {
    "win": (0.4, "nt", "win32", "Windows"),
    "macosx": (0.4, "posix", "darwin", "Darwin"),
    "": (3.3, "posix", "linux", "Linux"),  # manylinux, linux
}

IN_CLASS = """\
Neural style transfer: how to begin in class, without a network

1. Copy this folder from the stick to your disk, and open a terminal in it.
2. You need {pythons};
   python3 --version (on Windows python --version) says what you have.
3. On Linux and macOS type

    make lab

   or make lab PYTHON=/path/to/python3, if it is not the first that is found.
   On Windows, or without make:

    python -m venv .venv
    .venv\\Scripts\\activate          (on Linux and macOS: source .venv/bin/activate)
    python -m pip install --no-index --find-links packages -r requirements.txt
    jupyter lab notebooks/{first}

The first time takes some minutes and, on Linux, 6 GB of disk. After that, make lab
opens the course at once; without make, the second and the last line do.
"""


def copy_course(kit):
    """Copy the course, but for what its own tests and Python leave behind."""

    def left_out(folder, names):
        own = {name for name in names if Path(folder, name).resolve() == kit}
        return own | JUNK(folder, names)

    for path in (ROOT / name for name in COURSE):
        if path.is_dir():
            shutil.copytree(path, kit / path.name, ignore=left_out, dirs_exist_ok=True)
        else:
            shutil.copy(path, kit)


def set_conditions(system, version):
    """Let conditions ask for the learners' computers; with --platform pip does not."""
    there = markers.default_environment()
    there |= zip(("os_name", "sys_platform", "platform_system"), system, strict=True)
    if version:
        there |= {"python_version": version, "python_full_version": f"{version}.0"}
    markers.default_environment = lambda: there


def build_project(kit, packages):
    """Make the project's own wheel with nothing but what lies in the kit."""
    offline = ["--no-index", "--find-links", str(packages)]
    failed = pip(["wheel", "--no-deps", *offline, "-w", str(packages), str(kit)])
    for left in (kit / "build", *kit.glob("*.egg-info")):
        shutil.rmtree(left, ignore_errors=True)
    return failed


def main():
    """Make the kit, or say in one line why not."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("-d", "--dest", type=Path, default=ROOT / "kit", help="the kit")
    parser.add_argument("--platform", action="append", help="such as win_amd64")
    parser.add_argument("--python-version", choices=[f"3.{n}" for n in range(10, 30)])
    args, options = parser.parse_known_args()
    options += [f"--platform={name}" for name in args.platform or []]
    options += [f"--python-version={args.python_version}"] * bool(args.python_version)

    kit = args.dest.expanduser().resolve()
    packages = kit / "packages"
    again = packages.is_dir() and (kit / "notebooks" / "kit.py").is_file()
    if kit == ROOT.resolve() or (kit.exists() and not again):
        sys.exit(f"kit: {kit} is there and is no kit; name a folder that is not there")
    packages.mkdir(parents=True, exist_ok=True)
    here = {"Windows": "win", "Darwin": "macosx"}.get(platform.system(), "")
    name = args.platform[0] if args.platform else here
    size, *system = next(SYSTEMS[head] for head in SYSTEMS if name.startswith(head))
    free = shutil.disk_usage(kit).free / 1e9
    print(f"kit: about {size} GB into {kit}, where {free:.1f} GB are free", flush=True)

    copy_course(kit)
    set_conditions(system, args.python_version)
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    # Not "-e .": pip would pack the whole folder, and what it has just downloaded.
    names = [line for line in lines if line and not line.startswith(("#", "-e"))]
    options += ["--only-binary=:all:", "--dest", str(packages)]
    if pip(["download", *options, BUILD, *names]) or build_project(kit, packages):
        sys.exit("kit: not complete; the same again goes on from what is there")

    # A name such as torch-2.14.1-cp312-cp312-win_amd64.whl
    tags = sorted(path.stem.split("-")[2:] for path in packages.glob("torch-*.whl"))
    pythons = " or ".join(f"Python 3.{cp[3:]} ({place})" for cp, _, place in tags)
    first = min(path.name for path in (kit / "notebooks").glob("*.ipynb"))
    text = IN_CLASS.format(pythons=pythons, first=first)
    (kit / "IN_CLASS.txt").write_text(text, encoding="utf-8")
    size = sum(path.stat().st_size for path in kit.rglob("*") if path.is_file()) / 1e9
    print(f"kit: {size:.1f} GB for {pythons}; IN_CLASS.txt says what to type in class")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"kit: {error}")
