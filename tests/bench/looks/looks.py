"""Paint variants of the defaults, measure them, and make sheets to judge them blind.

    python looks.py paint before replicate     # 8 pairs each, and a table of numbers
    python looks.py sheets before replicate    # two pictures a sheet, in both orders
    python looks.py tally                      # who won, from judgements.json

With --held-out, of the eight pairs that nothing was chosen on. README.md has the
protocol and what came of it.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
from artefacts import beads, frame, speckle
from PIL import Image

from nst_helpers import Settings, StyleTransfer, load_image, save_image

HERE = Path(__file__).parent
IMAGES = HERE.parents[2] / "images"
PICTURES = HERE.parent / "pictures" / "looks"
JUDGEMENTS = HERE / "judgements.json"
PAIRS = json.loads((HERE / "pairs.json").read_text(encoding="utf-8"))
# Of commit f52b8c0: by its total loss, too, all are measured.
BEFORE = {"padding": "zeros", "tv_weight": 0.3, "steps": 80}
VARIANTS = {
    "before": BEFORE,
    "replicate": BEFORE | {"padding": "replicate"},
}


def load(pair, size):
    photo, painting = pair
    photo = load_image(IMAGES / "content" / f"{photo}.jpg", size)
    return photo, load_image(IMAGES / "style" / f"{painting}.jpg", size)


def picture_of(variant, pair, size):
    """Return the file of a picture, painted if it is not there."""
    path = PICTURES / f"{variant}-{size}" / f"{'-'.join(pair)}.png"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        transfer = StyleTransfer(
            *load(pair, size), Settings(size=size, **VARIANTS[variant])
        )
        for _ in transfer:
            pass
        save_image(transfer.image, path)
    return path


def measure(path, pair, size):
    """Return total loss, frame, beads and speckle."""
    photo, painting = load(pair, size)
    transfer = StyleTransfer(photo, painting, Settings(size=size, **BEFORE))
    transfer.image = load_image(path)
    total = next(transfer).losses["total"]
    image, strokes = (
        np.asarray(x[0].permute(1, 2, 0)) for x in (transfer.image, painting)
    )
    return total, frame(image), beads(image), speckle(image, strokes)


def paint(variants, pairs, size):
    print("| variant | total loss | frame | beads | speckle |\n|---|--:|--:|--:|--:|")
    for variant in variants:
        found = [measure(picture_of(variant, p, size), p, size) for p in pairs]
        total, *artefacts = np.mean(found, axis=0)
        print(
            f"| {variant}, {size} px | {total:.3f} |",
            *(f"{a:.3f} |" for a in artefacts),
        )


def sheets(variants, pairs, size, seed):
    """Lay each pair's two pictures side by side, both ways round, in random order."""
    folder = PICTURES / f"sheets-{'-'.join(variants)}-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    rounds = [(pair, order) for pair in pairs for order in (variants, variants[::-1])]
    random.Random(seed).shuffle(rounds)
    key = {}
    for number, (pair, order) in enumerate(rounds, start=1):
        found = [Image.open(picture_of(v, pair, size)) for v in order]
        scale = 760 / max(found[0].size)
        width, height = (round(side * scale) for side in found[0].size)
        sheet = Image.new("RGB", (2 * width + 30, height), "white")
        for k, picture in enumerate(found):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(picture, (k * (width + 30), 0))
        sheet.save(folder / f"{number:02}.png")
        key[number] = {"pair": "-".join(pair), "first": order[0], "second": order[1]}
    (folder.parent / f"{folder.name}-key.json").write_text(json.dumps(key, indent=1))
    print(folder)


def tally():
    """Count wins, with the 95 % interval of Wilson."""
    print("| comparison | judgements | wins | share | 95 % interval |")
    print("|---|--:|--:|--:|--:|")
    for comparison, given in json.loads(JUDGEMENTS.read_text(encoding="utf-8")).items():
        winner = comparison.split(" against ")[0]
        count, wins = len(given), sum(one["chosen"] == winner for one in given)
        share, z = wins / count, 1.96
        middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        spread = share * (1 - share) / count + z**2 / (4 * count**2)
        half = z * spread**0.5 / (1 + z**2 / count)
        print(
            f"| {comparison} | {count} | {wins} | {share:.0%} "
            f"| {middle - half:.0%} to {middle + half:.0%} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("paint", "sheets", "tally"))
    parser.add_argument("variants", nargs="*", help=", ".join(VARIANTS))
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chosen = PAIRS["held out" if options.held_out else "to choose on"]
    if options.what == "paint":
        paint(options.variants, chosen, options.size)
    elif options.what == "sheets":
        sheets(options.variants, chosen, options.size, options.seed)
    else:
        tally()
