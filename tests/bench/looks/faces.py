"""Look for the faces of three photos in the pictures painted of them.

    python looks.py paint --of faces --size 512 before default
    python faces.py ../pictures/looks/default-512

OpenCV 5 has no Haar cascades any more; an environment of its own has the last that
had: pip install "opencv-python-headless<5".
"""

import json
import sys
from pathlib import Path

import cv2

HERE = Path(__file__).parent
PAIRS = json.loads((HERE / "pairs.json").read_text(encoding="utf-8"))["faces"]
PLACES = HERE / "faces", HERE.parents[2] / "images" / "content"
SIZE, STEP, NEIGHBOURS, SMALLEST = 512, 1.1, 5, (40, 40)  # fixed before choosing
CASCADE = cv2.CascadeClassifier(
    cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
)


def faces(path):
    """Return boxes of faces, (x, y, width, height), in a picture of 512 pixels."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    scale = SIZE / max(grey.shape)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return CASCADE.detectMultiScale(grey, STEP, NEIGHBOURS, minSize=SMALLEST)


def overlap(a, b):
    """Return the common part of two boxes, of what they cover together."""
    width, height = (
        max(0, min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k])) for k in (0, 1)
    )
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        for photo, painting in PAIRS:
            (original,) = (p for d in PLACES if (p := d / f"{photo}.jpg").exists())
            (face,) = faces(original)
            found = faces(folder / f"{photo}-{painting}.png")
            best = max((overlap(face, other) for other in found), default=0.0)
            said = "found" if best >= 0.5 else "not found"
            print(f"{folder.name}: {photo}, {painting}: {said} (overlap {best:.2f})")
