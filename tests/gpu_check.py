"""Check the method on a graphics card and time it, in at most 8 minutes.

    python tests/gpu_check.py                        # CUDA, or Apple's MPS
    python tests/gpu_check.py --device cpu --sizes 64 96 --steps 4    # a dry run

It runs where there is torch and what nst_helpers imports: NumPy, Pillow, psutil,
safetensors and Matplotlib. It does without make, .venv, a network, OpenCV, torchvision,
pytest and notebooks. It prints three tables and writes them, with the card's name, to
tests/bench/card-NAME.json; a dry run only prints.
"""

import argparse
import json
import platform
import re
import sys
import time
from datetime import date
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "bench")]

try:
    import numpy as np
    import plain
    import torch
    from PIL import Image

    from nst_helpers import VGG19, InputError, Settings, StyleTransfer
    from nst_helpers.device import accelerate, pick_device
    from nst_helpers.terms import Target, choose_losses
except ModuleNotFoundError as error:
    sys.exit(f"{error}; pip install torch numpy pillow psutil safetensors matplotlib")

BEGUN = time.perf_counter()
BUDGET = 400  # seconds: a size that is not begun by then is left out
# The precision of Settings (bfloat16 always has channels last), whether the card may
# round float32 to TF32, and how far losses and gradients may be off.
MODES = {
    "float32": ("float32", False, 1e-3),
    "TF32": ("float32", True, 3e-2),
    "bfloat16": ("bfloat16", True, 2e-1),
}
ENOUGH = 1.01  # of float32's loss at the end


def load_pair(size):
    """Return photo and painting, brought to a size by Pillow."""
    for name in ("content/cat.jpg", "style/hokusai_great_wave.jpg"):
        picture = Image.open(HERE.parent / "images" / name).convert("RGB")
        scale = size / max(picture.size)
        picture = picture.resize([round(side * scale) for side in picture.size])
        pixels = torch.from_numpy(np.array(picture, np.float32) / 255)
        yield pixels.permute(2, 0, 1)[None].contiguous()


def settings_of(mode, **changes):
    """Return settings with the reference's border, and let the card round, or not."""
    precision, tf32, _ = MODES[mode]
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    return Settings(padding="zeros", precision=precision, **changes)


def compute(vgg, photo, painting):
    """Return {loss: value, gradient} at the photo with noise over it."""
    target = Target(vgg, photo, choose_losses(painting, Settings()))
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    pixels = (photo + 0.1 * noise.to(photo)).requires_grad_()
    features, found = vgg(pixels, target.layers), {}
    for term in target.terms:
        loss = term(pixels, features)
        (gradient,) = torch.autograd.grad(loss, pixels, retain_graph=True)
        found[term.name] = loss.item(), gradient.double().cpu()
    return found


def check(device, modes, size):
    """Compare losses and gradients with those of a processor, in float64."""
    photo, painting = load_pair(size)
    exact = compute(VGG19(padding="zeros").double(), photo.double(), painting)
    for mode in modes:
        settings, tolerance = settings_of(mode), MODES[mode][2]
        vgg = VGG19(padding="zeros").to(device)
        vgg, precision = accelerate(vgg, settings.precision)
        found = compute(vgg, photo.to(device), painting)
        for name, (value, gradient) in exact.items():
            off = abs(found[name][0] / value - 1)
            turned = ((found[name][1] - gradient).norm() / gradient.norm()).item()
            good = max(off, turned) < tolerance and precision == settings.precision
            row = {"mode": mode, "loss": name, "value off": off}
            yield row | {"gradient off": turned, "verdict": "good" if good else "BAD"}


def time_reference(photo, painting, settings, device, repeats):
    """Return the seconds of the reference's fastest evaluation."""
    with device:
        total, _ = plain.objective(photo.to(device), painting.to(device), settings)
    pixels, times = photo.to(device).requires_grad_(), []
    for _ in range(repeats):
        began = time.perf_counter()
        (gradient,) = torch.autograd.grad(total(pixels), pixels)
        gradient.sum().item()  # waits for the card
        times.append(time.perf_counter() - began)
    return min(times)


def time_size(device, modes, size, repeats=8):
    """Time an evaluation of ours and of the reference, in each mode."""
    photo, painting = load_pair(size)
    for mode in modes:
        if time.perf_counter() - BEGUN > BUDGET:
            return
        settings = settings_of(mode, size=size, steps=repeats, device=str(device))
        row = {"size": size, "mode": mode}
        try:
            transfer = StyleTransfer(photo, painting, settings)
            clock = [(step.seconds, step.evaluations) for step in transfer]
            ours = [(t - s) / (n - m) for (s, m), (t, n) in pairwise(clock[1:])]
            row["ours, s"] = min(ours)
            if mode != "bfloat16":  # the reference is written in float32
                pace = time_reference(photo, painting, settings, device, repeats)
                row |= {"plain, s": pace, "ratio": min(ours) / pace}
        except (InputError, torch.OutOfMemoryError) as error:
            row["left out"] = " ".join(str(error).split())[:60]
        yield row


def race(device, modes, size, steps):
    """Paint to the end in each mode; measure each picture in float32."""
    photo, painting = load_pair(size)
    first = None
    for mode in modes:
        settings = settings_of(mode, size=size, steps=steps, device=str(device))
        *_, last = StyleTransfer(photo, painting, settings)
        with device, torch.no_grad():
            given = (
                photo.to(device),
                painting.to(device),
                settings_of("float32", size=size),
            )
            loss = plain.objective(*given)[0](last.image.to(device)).item()
        first = first or loss
        row = {"mode": mode, "seconds": last.seconds, "loss": loss}
        yield row | {"within 1 %": "yes" if loss <= ENOUGH * first else "no"}


def show(title, rows):
    """Print rows as they come, and return them."""
    print(f"\n{title}", flush=True)
    kept = []
    for row in rows:
        kept.append(row)
        cells = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values())
        if len(kept) == 1 or row.keys() != kept[-2].keys():
            print("".join(f"{name:>14}" for name in row))
        print("".join(f"{cell:>14}" for cell in cells), flush=True)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--steps", type=int, default=200, help="of the race")
    args = parser.parse_args()
    device = pick_device(args.device)
    modes = [mode for mode in MODES if mode != "TF32" or device.type == "cuda"]
    is_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_cuda else platform.processor()
    small, middle = args.sizes[0], args.sizes[min(1, len(args.sizes) - 1)]
    report = {"date": str(date.today()), "device": f"{device} {name}"}
    report |= {"torch": torch.__version__, "steps": args.steps}
    print(*report.values())
    report["checks"] = show("Against a processor", check(device, modes, small))
    title = f"{args.steps} steps at {middle} pixels"
    report["race"] = show(title, race(device, modes, middle, args.steps))
    rows = (row for size in args.sizes for row in time_size(device, modes, size))
    report["evaluation"] = show("Seconds an evaluation", rows)
    if device.type != "cpu":
        file = HERE / "bench" / f"card-{re.sub('[^A-Za-z0-9]+', '-', name)}.json"
        file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    bad = [row for row in report["checks"] if row["verdict"] != "good"]
    print(f"\n{time.perf_counter() - BEGUN:.0f} s; {len(bad)} of the checks are bad")
    sys.exit(len(bad) > 0)


if __name__ == "__main__":
    main()
