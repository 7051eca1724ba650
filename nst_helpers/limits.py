"""What this process may use where a container or a hub gives it less than all.

Linux has control groups for it: folders, each bound by the limits of those above it.
"""

import ctypes
import os
import re
import sys
from pathlib import Path

import psutil
import torch

ROOT = Path("/")


def use_cores() -> None:
    """Let PyTorch have no more threads than the quota of cores; taskset it obeys."""
    for group in _groups("cpu"):
        # "200000 100000" is two cores; "max 100000" and "-1 100000" are no limit.
        numbers = _numbers(group, "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")
        if len(numbers) == 2 and numbers[0] > 0:
            cores = max(1, numbers[0] // numbers[1])
            torch.set_num_threads(min(cores, torch.get_num_threads()))


def keep_freed_memory() -> None:
    """Let the C library reuse what is freed; Dask tells it to give all back to Linux.

    Each tensor would wait for new pages then: a third of the time of a small picture.
    """
    if sys.platform == "linux" and "MALLOC_TRIM_THRESHOLD_" in os.environ:
        library = ctypes.CDLL(None)
        library.mallopt(-1, 2**30)  # M_TRIM_THRESHOLD, bytes
        library.mallopt(-3, 2**25)  # M_MMAP_THRESHOLD, the most it takes


def free_memory() -> int:
    """Count the bytes that are free for this process."""
    free = psutil.virtual_memory().available
    for group in _groups("memory"):
        limit = _numbers(group, "memory.max", "memory.limit_in_bytes")
        used = _numbers(group, "memory.current", "memory.usage_in_bytes")
        if limit and used:
            # Copies of files, dropped when there is need, were counted as used.
            copies = re.findall(r"inactive_file (\d+)", _text(group / "memory.stat"))
            rest = limit[0] - used[0] + max(map(int, copies), default=0)
            free = min(free, max(0, rest))
    return free


def _groups(kind: str) -> list[Path]:
    """List the folders of this process's group of one kind, and of those above it."""
    groups, tree = [], ROOT / "sys/fs/cgroup"  # v1 has one tree for each kind, v2 one
    for line in _text(ROOT / "proc/self/cgroup").splitlines():
        _, kinds, path = line.split(":", 2)
        if not kinds or kind in kinds.split(","):
            group = tree / (kind if kinds else "") / path.lstrip("/")
            groups += [group, *group.parents]  # of which a container sees the top
    return groups


def _numbers(group: Path, *names: str) -> list[int]:
    """Read the numbers in a group's files, as far as they are there."""
    texts = [_text(group / name) for name in names]
    return [int(number) for number in re.findall(r"-?\d+", " ".join(texts))]


def _text(path: Path) -> str:
    """Read a file; what cannot be read is empty."""
    try:
        return path.read_text()
    except OSError:
        return ""
