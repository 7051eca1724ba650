"""Measure overhead, time to equal loss, and memory: make bench prints the tables.

Every figure is of one run on one machine; only the ratios mean something elsewhere.
With --reference it first runs the plain reference 300 evaluations long on every pair
and writes what it reached into reference.json (half an hour).
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import date
from itertools import pairwise
from pathlib import Path

import plain
import psutil
import torch

from nst_helpers import Settings, StyleTransfer
from nst_helpers.device import accelerate
from nst_helpers.images import load_image, save_image
from nst_helpers.plots import show_images
from nst_helpers.run import forecast
from nst_helpers.vgg import VGG19

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"
IMAGES = HERE.parent.parent / "images"
PAIRS = {
    "cat": "hokusai_great_wave",
    "temple": "van_gogh_village_street_in_auvers",
    "coffee": "kandinsky_composition_viii",
    "rocket": "bruegel_harvesters",
}
RACES = [(name, size) for size in (256, 512) for name in PAIRS]
SMALL = 32  # pixels, where only the tables are tested
MARKS = 100, 300  # evaluations of the reference
OURS = {"steps": 500}  # to its loss
# What the stored losses are of: the defaults of version 0.1.
OBJECTIVE = {
    "padding": "zeros",
    "style_layers": {f"conv{k}_1": 2.0 ** (5 - k) for k in range(1, 6)},
}


def settings_of(**changes):
    """Return settings with the stored losses' objective."""
    return Settings(**OBJECTIVE | changes)


def load_pair(name):
    """Return photo and painting."""
    return (
        load_image(IMAGES / "content" / f"{name}.jpg"),
        load_image(IMAGES / "style" / f"{PAIRS[name]}.jpg"),
    )


def fastest(transfer):
    """Run to the end; return seconds: of the fastest step's evaluation, and of all."""
    clock = [(step.seconds, step.evaluations) for step in transfer]  # no pictures kept
    each = [(t - s) / (n - m) for (s, m), (t, n) in pairwise(clock[1:])]
    return min(each), clock[-1][0]


def overhead(size, precision):
    """Compare an evaluation of a whole run with the network alone."""
    photo, painting = load_pair("cat")
    steps = 6 if size == SMALL else 6 * 1024 // size  # quick ones more often
    settings = settings_of(size=size, steps=steps, precision=precision)
    transfer = StyleTransfer(photo, painting, settings)
    whole, _ = fastest(transfer)
    kind = {"dtype": getattr(torch, precision), "memory_format": torch.channels_last}
    network = plain.load_network(settings, **kind)
    image = transfer.image.requires_grad_()

    def alone(extract):
        """Time a pass forward and backward, the fastest of several."""
        times = []
        for _ in range(steps):
            began = time.perf_counter()
            top = extract()["conv5_1"]
            torch.autograd.grad(top.float().mean(), image)
            times.append(time.perf_counter() - began)
        return min(times)

    ours, _ = accelerate(VGG19(padding=settings.padding), precision)
    bare = alone(lambda: plain.extract(network, image))
    return {
        "size": size,
        "precision": precision,
        "network alone, s": bare,
        "our network, s": alone(lambda: ours(image, ["conv5_1"])),
        "whole, s": whole,
        "ratio": whole / bare,
    }


def reference(name, size, evaluations):
    """Run the reference; return picture, losses, and seconds of an evaluation."""
    picture, found = plain.paint(*load_pair(name), settings_of(size=size), evaluations)
    moments, losses = zip(*found, strict=True)
    return picture, losses, min(b - a for a, b in pairwise(moments))


def equal_loss(name, size, reached, a_reference):
    """Time a run until it is as low as the reference was at its marks.

    Losses are measured by the reference's own objective, in float32.
    """
    photo, painting = load_pair(name)
    settings = settings_of(size=size, **OURS)
    total, _ = plain.objective(photo, painting, settings)
    transfer, found, marks = StyleTransfer(photo, painting, settings), {}, list(MARKS)
    for step in transfer:
        if max(step.image.shape) < size:
            continue
        while marks and step.losses["total"] <= 1.002 * reached[str(marks[0])]:
            with torch.no_grad():
                loss = total(step.image).item()
            if loss > reached[str(marks[0])]:
                break
            found[marks.pop(0)] = step
            save_image(step.image, PICTURES / f"{name}-{size}.png")
        if not marks:
            break
    row = {"pair": name, "size": size, "precision at the end": transfer.precision}
    row["reference, s an evaluation"] = a_reference
    for n in MARKS:
        row[f"evaluations for its {n}"] = row[f"ratio at {n}"] = "not reached"
        if n in found:
            row[f"evaluations for its {n}"] = found[n].evaluations
            row[f"ratio at {n}"] = found[n].seconds / (n * a_reference)
    return row


def memory(size, precision, steps=9):
    """Paint a few steps; compare time and memory with what was forecast."""
    photo, painting = load_pair("cat")
    settings = settings_of(size=size, steps=steps, precision=precision)
    before = psutil.Process().memory_info().rss / 1e9
    seconds, gigabytes = forecast(photo, painting, settings)
    transfer = StyleTransfer(photo, painting, settings)
    an_evaluation, whole = fastest(transfer)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    pixels = transfer.image[0, 0].numel() / 1e6
    return {
        "size": size,
        "precision": precision,
        "s per megapixel": an_evaluation / pixels,
        "peak, GB": peak,
        "forecast, GB": before + gigabytes,
        "seconds": whole,
        "forecast, s": seconds,
    }


WORK = {
    "overhead": overhead,
    "memory": memory,
    "equal_loss": equal_loss,
    "reference": lambda races, n: [reference(*race, n)[2] for race in races],
}


def alone(work, *given):
    """Do one measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, work, json.dumps(given)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def here(work, *given):
    """Do one measurement in this process, which is quicker to begin."""
    return WORK[work](*given)


def as_table(rows):
    """Return rows of one kind as a table in Markdown."""

    def show(value):
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[show(value) for value in row.values()] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def measure(small=False):
    """Measure everything; return the tables by name."""
    stored = json.loads((HERE / "reference.json").read_text(encoding="utf-8"))
    if small:  # half of the way will do
        stored = {
            race: {n: 2 * loss for n, loss in reached.items()}
            for race, reached in stored.items()
        }
    quick = StyleTransfer(*load_pair("cat"), Settings(size=64)).precision
    kinds = list(dict.fromkeys([quick, "float32"]))
    overheads = [SMALL] if small else [256, 512, 1024]
    races = [("cat", SMALL)] if small else RACES
    sizes = [SMALL] if small else [256, 512, 1024, 2048]
    do = here if small else alone
    paces = do("reference", races, 6)
    return {
        "overhead": [do("overhead", s, kind) for s in overheads for kind in kinds],
        "equal loss": [
            do("equal_loss", name, size, stored[f"{name}-{size}"], pace)
            for (name, size), pace in zip(races, paces, strict=True)
        ],
        "memory": [do("memory", s, kind) for s in sizes for kind in kinds],
    }


def store_references():
    """Write what the reference reaches, and its last pictures."""
    stored = {}
    for name, size in [("cat", SMALL), *RACES]:
        picture, losses = reference(name, size, MARKS[-1])[:2]
        stored[f"{name}-{size}"] = {n: min(losses[:n]) for n in MARKS}
        save_image(picture, PICTURES / f"{name}-{size}-reference.png")
    text = json.dumps(stored, indent=1) + "\n"
    (HERE / "reference.json").write_text(text, encoding="utf-8")


def show_pictures():
    """Put the reference's pictures beside ours, where both were painted."""
    names = [f"{name}-{size}" for name, size in RACES]
    both = [PICTURES / f"{n}{end}.png" for n in names for end in ("", "-reference")]
    if all(path.exists() for path in both):
        images = [load_image(path, 256) for path in both]
        figure = show_images(images, [path.stem for path in both], columns=4)
        figure.savefig(HERE / "side_by_side.jpg", dpi=110)


def main(arguments):
    """Do one measurement, or all."""
    PICTURES.mkdir(exist_ok=True)
    if arguments and arguments[0] in WORK:
        work, given = arguments
        print(json.dumps(WORK[work](*json.loads(given))))
        return
    if "--reference" in arguments:
        store_references()
    tables = measure("--small" in arguments)
    report = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        + torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "settings": asdict(settings_of()),
        "settings to equal loss": OURS,
        **tables,
    }
    if "--small" not in arguments:
        text = json.dumps(report, indent=1) + "\n"
        faster = tables["overhead"][0]["precision"]
        (HERE / f"results-{faster}.json").write_text(text, encoding="utf-8")
        show_pictures()
    print(json.dumps(report) if "--small" in arguments else "")
    for name, rows in tables.items():
        print(f"\n## {name}\n\n{as_table(rows)}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
