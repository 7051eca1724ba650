"""Print how much a film flickers, over the same frames painted one by one.

python tests/bench/film.py [SIZE FRAMES], 256 and 24 without; the painted frames go to
build/film, to be looked at. The film is a crop that moves over a photo.
"""

import sys
from itertools import pairwise
from pathlib import Path

import torch

from nst_helpers import Settings, load_image, save_image, stylize
from nst_helpers.film import paint_film

IMAGES = Path(__file__).parents[2] / "images"
WAVE = IMAGES / "style" / "hokusai_great_wave.jpg"

size, count = map(int, sys.argv[1:] or (256, 24))
step = max(2, size // 64)  # pixels a frame
lake = load_image(IMAGES / "content" / "lake.jpg", size + step * count)
frames = [lake[..., step * t : step * t + size].clone() for t in range(count)]


def flicker(film):
    """Average what changes where the motion, which we know, leaves nothing new."""
    changes = [(b[..., :-step] - a[..., step:]).abs() for a, b in pairwise(film)]
    return torch.stack(changes).mean().item()


settings = Settings(size=size)
film = list(paint_film(frames, WAVE, settings))
alone = [stylize(frame, WAVE, settings) for frame in frames]
folder = Path("build/film")
folder.mkdir(parents=True, exist_ok=True)
for number, image in enumerate(film):
    save_image(image, folder / f"{number:02}.png")
print(f"film {flicker(film):.4f}, one by one {flicker(alone):.4f}")
print(f"ratio {flicker(film) / flicker(alone):.3f}")
