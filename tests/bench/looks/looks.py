"""Paint variants of the defaults, measure them, and make sheets to judge them blind.

    python looks.py paint before replicate     # 8 pairs each, and a table of numbers
    python looks.py contact before             # 8 photos × 4 paintings, one sheet
    python looks.py sheets before replicate    # two pictures a sheet, in both orders
    python looks.py judge one.json another.json     # add what judges answered
    python looks.py tally                      # who won, from judgements.json

With --of "held out", of the eight pairs that nothing was chosen on; with --of faces, of
three faces, for faces.py. README.md has the protocol and what came of it.
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


def weights(*of_layers):
    """Return style layers conv1_1 … conv5_1 with these weights."""
    return {f"conv{k}_1": w for k, w in enumerate(of_layers, start=1)}


# Of commit f52b8c0: by its total loss, too, all are measured.
BEFORE = {
    "padding": "zeros",
    "style_layers": weights(16, 8, 4, 2, 1),
    "tv_weight": 0.3,
    "steps": 80,
}
REPLICATE = BEFORE | {"padding": "replicate"}
W256 = REPLICATE | {"style_layers": weights(256, 64, 16, 4, 1)}
REFLECT = W256 | {"padding": "reflect"}
VARIANTS = {  # one change at a time
    "before": BEFORE,
    "replicate": REPLICATE,
    "w64": REPLICATE | {"style_layers": weights(81, 27, 9, 3, 1)},
    "w256": W256,
    "tv1": REPLICATE | {"tv_weight": 1.0},
    "two": REPLICATE | {"scales": 2},
    "three": REPLICATE | {"scales": 3, "steps": 120},
    "matched": REPLICATE | {"keep_colors": "painting"},
    "content two layers": REPLICATE | {"content_layers": {"conv3_2": 1, "conv4_2": 1}},
    "large strokes": REPLICATE | {"style_scale": 1.5},
    "w256 two": W256 | {"scales": 2},
    "w256 three": W256 | {"scales": 3, "steps": 120},
    "reflect": REFLECT,
    "reflect two": REFLECT | {"scales": 2},
    "reflect three": REFLECT | {"scales": 3},
    "reflect noise": REFLECT | {"start": "noise"},
}


def load(pair, size):
    photo, painting = (f"{name}.jpg" for name in pair)
    face = HERE / "faces" / photo
    photo = load_image(face if face.exists() else IMAGES / "content" / photo, size)
    return photo, load_image(IMAGES / "style" / painting, size)


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
    image, photo, painting = (
        np.asarray(x[0].permute(1, 2, 0)) for x in (transfer.image, photo, painting)
    )
    return total, frame(image, photo), beads(image), speckle(image, painting)


def paint(variants, pairs, size):
    print("| variant | total loss | frame | beads | speckle |\n|---|--:|--:|--:|--:|")
    for variant in variants:
        found = [measure(picture_of(variant, p, size), p, size) for p in pairs]
        total, *artefacts = np.mean(found, axis=0)
        print(
            f"| {variant}, {size} px | {total:.3f} |",
            *(f"{a:.3f} |" for a in artefacts),
        )


def contact(variants, size):
    """Lay 8 photos × 4 paintings out on one sheet for each variant."""
    photos = sorted(path.stem for path in (IMAGES / "content").glob("*.jpg"))
    for variant in variants:
        found = [
            Image.open(picture_of(variant, (photo, painting), size)).convert("RGB")
            for photo in photos
            for painting in PAIRS["contact sheet"]
        ]
        sheet = Image.new("RGB", (4 * 410, len(photos) * 280), "white")
        for k, picture in enumerate(found):
            picture.thumbnail((400, 270), Image.Resampling.LANCZOS)
            sheet.paste(picture, (k % 4 * 410, k // 4 * 280))
        sheet.save(PICTURES / f"contact-{variant.replace(' ', '-')}-{size}.png")


def sheets(variants, of, size, seed):
    """Lay each pair's two pictures side by side, both ways round, in random order."""
    folder = PICTURES / f"sheets-{seed}"  # a name that tells judges nothing
    folder.mkdir(parents=True, exist_ok=True)
    rounds = [
        (pair, order) for pair in PAIRS[of] for order in (variants, variants[::-1])
    ]
    random.Random(seed).shuffle(rounds)
    key = {"comparison": f"{variants[0]} against {variants[1]}, {size} px, {of}"}
    for number, (pair, order) in enumerate(rounds, start=1):
        found = [Image.open(picture_of(v, pair, size)) for v in order]
        scale = 760 / max(found[0].size)
        width, height = (round(side * scale) for side in found[0].size)
        sheet = Image.new("RGB", (2 * width + 30, height), "white")
        for k, picture in enumerate(found):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(picture, (k * (width + 30), 0))
        sheet.save(folder / f"{number:02}.png")
        key[f"{number:02}"] = {"pair": "-".join(pair), "1": order[0], "2": order[1]}
    (folder.parent / f"{folder.name}-key.json").write_text(json.dumps(key, indent=1))
    print(folder)


def judge(answers, seed):
    """Add a judge's answers, {"01": [1 or 2, why], …}, to judgements.json."""
    key = json.loads((PICTURES / f"sheets-{seed}-key.json").read_text())
    comparison, given = key.pop("comparison"), json.loads(Path(answers).read_text())
    kept = json.loads(JUDGEMENTS.read_text()) if JUDGEMENTS.exists() else {}
    for sheet, shown in key.items():
        choice, why = given[sheet]
        one = {"chosen": shown[str(choice)], "pair": shown["pair"], "first": shown["1"]}
        kept.setdefault(comparison, []).append(one | {"why": why})
    JUDGEMENTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


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
    parser.add_argument(
        "what", choices=("paint", "contact", "sheets", "judge", "tally")
    )
    parser.add_argument("variants", nargs="*", help=", ".join(VARIANTS))
    parser.add_argument(
        "--of", choices=("to choose on", "held out", "faces"), default="to choose on"
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0, help="one for each comparison")
    options = parser.parse_intermixed_args()
    if options.what == "paint":
        paint(options.variants, PAIRS[options.of], options.size)
    elif options.what == "contact":
        contact(options.variants, options.size)
    elif options.what == "sheets":
        sheets(options.variants, options.of, options.size, options.seed)
    elif options.what == "judge":
        for answers in options.variants:
            judge(answers, options.seed)
    else:
        tally()
