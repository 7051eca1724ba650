"""Check the method on a graphics card and time it, in at most 8 minutes.

`python tests/gpu_check.py` takes the best card there is, `--device` another; `--device
cpu` is a dry run at small sizes. It runs where there is torch and what nst_helpers
imports: NumPy, Pillow, psutil, safetensors and Matplotlib. It does without make, .venv,
a network, OpenCV, torchvision, pytest and notebooks. What it prints goes to
tests/bench/card-NAME.json too. The plain reference, bench/plain.py, has no bfloat16.
"""

import argparse
import json
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

# The precision of Settings (bfloat16 comes with channels last), whether the card may
# round float32 to TF32, and how far a loss or a gradient may be off: where a ReLU falls
# to its other side, a rounding becomes a hundredth.
MODES = {
    "float32": ("float32", False, 1e-2),
    "TF32": ("float32", True, 5e-2),
    "bfloat16": ("bfloat16", True, 2e-1),
}
STEPS = {256: 200, 512: 200, 1024: 40, 2048: 20}  # at each size
BEGUN, BUDGET = time.perf_counter(), 400  # seconds: what comes later is left out


def load_pair(size):
    """Return photo and painting, brought to a size by Pillow."""
    for name in ("content/cat.jpg", "style/hokusai_great_wave.jpg"):
        picture = Image.open(HERE.parent / "images" / name).convert("RGB")
        sides = [round(side * size / max(picture.size)) for side in picture.size]
        pixels = np.array(picture.resize(sides), np.float32) / 255
        yield torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def settings_of(mode, **changes):
    """Return settings with the reference's border, and let the card round, or not."""
    precision, tf32, _ = MODES[mode]
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    return Settings(padding="zeros", precision=precision, **changes)


def compute(vgg, photo, painting):
    """Return {loss: (value, gradient)} at the photo with noise over it."""
    target = Target(vgg, photo, choose_losses(painting, Settings()))
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    pixels = (photo + 0.1 * noise.to(photo)).requires_grad_()
    features, found = vgg(pixels, target.layers), {}
    for term in target.terms:
        loss = term(pixels, features)
        (gradient,) = torch.autograd.grad(loss, pixels, retain_graph=True)
        found[term.name] = loss.item(), gradient.cpu().double()
    return found


def check(device, modes, size):
    """Compare losses and gradients with a processor's, in float64."""
    photo, painting = load_pair(size)
    exact = compute(VGG19(padding="zeros").double(), photo.double(), painting)
    for mode in modes:
        wanted, tolerance = settings_of(mode).precision, MODES[mode][2]
        vgg, precision = accelerate(VGG19(padding="zeros").to(device), wanted)
        found = compute(vgg, photo.to(device), painting)
        for name, (value, gradient) in exact.items():
            off = abs(found[name][0] / value - 1)
            turned = ((found[name][1] - gradient).norm() / gradient.norm()).item()
            good = off < tolerance and turned < tolerance and precision == wanted
            row = {"mode": mode, "loss": name, "value off": off}
            yield row | {"gradient off": turned, "verdict": "good" if good else "BAD"}


def race(device, modes, size, steps):
    """Paint in each mode; time evaluations, and measure the end in exact float32."""
    photo, painting = load_pair(size)
    there, float32s = [photo.to(device), painting.to(device)], None
    for mode in modes:
        settings = settings_of(mode, size=size, steps=steps, device=str(device))
        _, second, *_, last = StyleTransfer(photo, painting, settings)
        took = last.seconds - second.seconds
        row = {"size": size, "mode": mode}
        row["ours, s"] = took / (last.evaluations - second.evaluations)
        with device:
            times = [seconds for seconds, _ in plain.paint(*there, settings, 7)[1]]
            pace = min(after - before for before, after in pairwise(times))
            row["plain, s"] = "-" if mode == "bfloat16" else pace
            total, _ = plain.objective(*there, settings_of("float32", size=size))
            loss = total(last.image.to(device)).item()
        float32s = float32s or loss
        yield row | {"loss": loss, "over float32's": loss / float32s}


def show(rows):
    """Print rows, and return them."""
    rows = list(rows)
    for line in (rows[0], *(row.values() for row in rows)):
        cells = (f"{x:.4g}" if isinstance(x, float) else x for x in line)
        print("".join(f"{cell:>15}" for cell in cells), flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="cuda, cuda:1, mps, or cpu: a dry run")
    asked = parser.parse_args().device
    device = pick_device(asked or "auto")
    is_cuda, is_dry = device.type == "cuda", device.type == "cpu"
    if is_dry and not asked:
        sys.exit("no graphics card here; --device cpu is a dry run")
    modes = [mode for mode in MODES if is_cuda or mode != "TF32"]
    name = torch.cuda.get_device_name(device) if is_cuda else device.type
    print(name, torch.__version__)
    checks, races = show(check(device, modes, 96 if is_dry else 256)), []
    for size, steps in {64: 4, 96: 4}.items() if is_dry else STEPS.items():
        try:
            if time.perf_counter() - BEGUN < BUDGET:
                races += show(race(device, modes, size, steps))
        except (InputError, RuntimeError) as error:  # no room, mostly
            print(size, "px:", error)
    if not is_dry:
        report = {"card": name, "torch": torch.__version__, "date": str(date.today())}
        report |= {"checks": checks, "races": races}
        file = HERE / "bench" / f"card-{re.sub('[^A-Za-z0-9]+', '-', name)}.json"
        file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.exit("BAD" in (row["verdict"] for row in checks))


if __name__ == "__main__":
    main()
