"""The benchmark's small version: its tables are complete; their times are no test."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "bench"


@pytest.mark.long
def test_the_tables_are_complete():
    done = subprocess.run(
        [sys.executable, FOLDER / "bench.py", "--small"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "not reached" not in report["equal loss"][0].values()
    results = sorted(FOLDER.glob("results-*.json"))  # by the precision that auto picks
    assert [path.stem[8:] for path in results] == ["bfloat16", "float32"]
    for path in results:
        stored = json.loads(path.read_text(encoding="utf-8"))
        assert report.keys() == stored.keys()
        # Else: make bench again. Settings have got more fields since.
        for name, value in stored["settings"].items():
            assert report["settings"][name] == value
        for kind in ("overhead", "equal loss", "memory"):
            assert f"## {kind}" in done.stderr
            assert report[kind] and len(stored[kind]) > len(report[kind])
            for row in report[kind] + stored[kind]:
                assert row.keys() == stored[kind][0].keys()
                for value in row.values():
                    assert isinstance(value, str) or 0 < value < math.inf
        # at the pairs and sizes that the benchmark promises
        raced = {(row["pair"], row["size"]) for row in stored["equal loss"]}
        assert len(raced) == 8 and {size for _, size in raced} == {256, 512}


@pytest.mark.long
def test_the_check_of_graphics_cards_runs_dry():
    command = [sys.executable, FOLDER.parent / "gpu_check.py", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" good") == 8 and "bfloat16" in done.stdout
