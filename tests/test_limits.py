"""What a container, a hub or taskset allows; files of its limits are made up."""

import dataclasses
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import TINY

from nst_helpers import InputError, StyleTransfer, limits
from nst_helpers.limits import free_memory

GB = 10**9
COUNT = "import nst_helpers, torch; print(torch.get_num_threads())"
CGROUP = Path("/sys/fs/cgroup/cpu")  # of version 1, where the system has it


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return a folder that stands for the system's root."""
    monkeypatch.setattr("nst_helpers.limits.ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def threads():
    """Let PyTorch have four threads, and afterwards what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield torch.get_num_threads
    torch.set_num_threads(before)


def write(folder, group, **texts):
    """Say in which groups this process is; write the files of a limit, _ for a dot."""
    (folder / "proc/self").mkdir(parents=True, exist_ok=True)
    lines = "4:memory:/a/b\n3:cpu,cpuacct:/a/b\n1:name=systemd:/c\n0::/a/b\n"
    (folder / "proc/self/cgroup").write_text(lines)
    group = folder / "sys/fs/cgroup" / group
    group.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (group / name.replace("_", ".", 1)).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        (".", {"cpu_max": "200000 100000"}, 2),  # version 2, as a container sees it
        ("a/b", {"cpu_max": "100000 100000"}, 1),  # a hub without containers
        ("a", {"cpu_max": "350000 100000"}, 3),  # the group above; a part is no core
        ("a/b", {"cpu_max": "20000 100000"}, 1),
        ("a/b", {"cpu_max": "max 100000"}, 4),
        ("a/b", {"cpu_max": "800000 100000"}, 4),  # more than it would take
        ("other", {"cpu_max": "100000 100000"}, 4),
        ("cpu", {"cpu_cfs_quota_us": 200000, "cpu_cfs_period_us": 100000}, 2),
        ("cpu/a/b", {"cpu_cfs_quota_us": 50000, "cpu_cfs_period_us": 50000}, 1),
        ("cpu/a/b", {"cpu_cfs_quota_us": -1, "cpu_cfs_period_us": 100000}, 4),
    ],
)
def test_a_network_takes_the_cores_of_its_container(
    root, threads, group, files, expected
):
    write(root, group, **files)
    limits.use_cores()
    assert threads() == expected


def test_without_limits_nothing_changes(root, threads):
    limits.use_cores()  # a system without these files
    assert threads() == 4


STAT = "anon 1\ninactive_file 300000000\n"


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        (".", {"memory_max": 2 * GB, "memory_current": 500_000_000}, 1.5),
        ("a", {"memory_max": 2 * GB, "memory_current": GB, "memory_stat": STAT}, 1.3),
        ("a/b", {"memory_max": GB, "memory_current": 2 * GB}, 0.0),
        ("a/b", {"memory_max": "max", "memory_current": GB}, 8.0),
        ("a/b", {"memory_max": 20 * GB, "memory_current": GB}, 8.0),
        ("a/b", {"memory_max": GB}, 8.0),  # no file says what is used
        (
            "memory/a/b",
            {
                "memory_limit_in_bytes": 2 * GB,
                "memory_usage_in_bytes": GB,
                "memory_stat": f"{STAT}total_inactive_file 400000000\n",
            },
            1.4,
        ),
        (
            "memory",
            {
                "memory_limit_in_bytes": 9223372036854771712,
                "memory_usage_in_bytes": GB,
            },
            8.0,
        ),
    ],
)
def test_free_is_what_is_left_of_the_containers_memory(
    root, monkeypatch, group, files, expected
):
    computer = dataclasses.make_dataclass("Memory", ["available"])(8 * GB)
    monkeypatch.setattr("psutil.virtual_memory", lambda: computer)
    write(root, group, **files)
    assert free_memory() / 1e9 == pytest.approx(expected)


@pytest.mark.usefixtures("plain")
def test_a_container_of_two_gigabytes_refuses_2048_pixels_in_one_line(
    root, photo, painting
):
    write(root, ".", memory_max=2 * GB, memory_current=400_000_000)
    with pytest.raises(InputError) as error:
        StyleTransfer(photo, painting, dataclasses.replace(TINY, size=2048))
    line = str(error.value)
    assert "1.6 GB are free; choose a size up to" in line and "\n" not in line
    StyleTransfer(photo, painting, dataclasses.replace(TINY, size=512))


FAULTS = """
import resource
import numpy as np
from nst_helpers.limits import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(2**18, np.float32)  # 256 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.long
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_what_is_freed_is_reused_although_dask_asks_for_another_thing():
    dask = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", FAULTS]
    told = subprocess.check_output(command, env=dask, text=True, timeout=600)
    before, after = map(int, told.split())
    assert before > 20_000 and after < 100


def count_threads(*before):
    """Count the threads of a new Python, started by another command or none."""
    free = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    command = [*before, sys.executable, "-c", COUNT]
    return int(subprocess.check_output(command, env=free, text=True, timeout=600))


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="taskset is Linux's")
def test_one_core_by_taskset():
    core = min(os.sched_getaffinity(0))
    assert count_threads("taskset", "-c", str(core)) == 1


@pytest.mark.long
@pytest.mark.skipif(
    not os.access(CGROUP / "cgroup.procs", os.W_OK) or os.cpu_count() < 2,
    reason="needs root, control groups of version 1 and two cores",
)
def test_one_core_by_a_control_group():
    """The limit is real: Linux enforces it."""
    group = CGROUP / f"nst-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text("100000")
        join = f'echo $$ > {group}/cgroup.procs && exec "$0" "$@"'
        assert count_threads("sh", "-c", join) == 1
        assert count_threads() > 1
    finally:
        group.rmdir()
