"""Measure what OpenMP's waiting threads cost others: print a table in Markdown.

Each figure is evaluations a second of whole runs at 128 pixels, the best of some rounds
(of two runs at once, the round in which they do most together).
"""

import os
import subprocess
import sys

RUN = """
import sys, time
import torch  # before nst_helpers, which would set OMP_WAIT_POLICY
from pathlib import Path
from nst_helpers import Settings, StyleTransfer, load_image

images = Path(sys.argv[1])
photo = load_image(images / "content" / "cat.jpg")
painting = load_image(images / "style" / "hokusai_great_wave.jpg")
transfer = StyleTransfer(photo, painting, Settings(size=128, steps=100_000))
next(transfer)
print("ready", flush=True)
sys.stdin.readline()
first, start = next(transfer), time.perf_counter()
for step in transfer:
    seconds = time.perf_counter() - start
    if seconds > 8:
        break
print((step.evaluations - first.evaluations) / seconds)
"""
IMAGES = os.path.join(os.path.dirname(__file__), "..", "..", "images")
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
CASES = {"alone": (1, 0), "two runs at once": (2, 0), "one core kept busy": (1, 1)}


def race(policy, runs, busy):
    """Return each run's evaluations a second, with so many busy programs beside."""
    variables = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | policy
    run = [sys.executable, "-c", RUN, IMAGES]
    racers = [subprocess.Popen(run, env=variables, **PIPES) for _ in range(runs)]
    for racer in racers:
        racer.stdout.readline()
    spin = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in range(busy)]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    rates = [float(racer.communicate()[0]) for racer in racers]
    for other in others:
        other.kill()
    return sorted(rates)


def main(rounds):
    """Print the table."""
    policies = {"as it is": {}, "PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"}}
    found = {}
    for _ in range(rounds):
        for case, (runs, busy) in CASES.items():
            for name, policy in policies.items():
                rates = race(policy, runs, busy)
                found[case, name] = max(found.get((case, name), []), rates, key=sum)
    print("| | " + " | ".join(policies) + " |\n|---|--:|--:|")
    for case in CASES:
        cells = [" and ".join(f"{r:.1f}" for r in found[case, n]) for n in policies]
        print(f"| {case} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 3)
