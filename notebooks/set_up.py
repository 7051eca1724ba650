"""Make this course usable by a notebook that was opened without it: set_up.py FOLDER

The notebook's first cell runs this where nst_helpers is not installed. What the course
needs and the host lacks is installed; nst_helpers becomes importable, and FOLDER of the
course the working directory, so that ../images is there.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

NEEDS = {  # to import: to install
    "anywidget": "anywidget",
    "cv2": "opencv-python-headless",
    "ipywidgets": "ipywidgets",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "PIL": "pillow",
    "psutil": "psutil",
    "safetensors": "safetensors",
    "torch": "torch",
    "tqdm": "tqdm",
}


def main(folder):
    """Install what is missing, and go to a folder of the course."""
    course = Path(__file__).resolve().parent.parent
    if missing := [NEEDS[name] for name in NEEDS if not find_spec(name)]:
        print(f"Installing {', '.join(missing)} …", flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *missing], check=True)
    sys.path.insert(0, str(course))
    os.chdir(course / folder)


if __name__ == "__main__":
    main(sys.argv[1])
