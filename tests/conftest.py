import functools
import os
import socket
import sys
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import hypothesis
import pytest

# Threads that wait in a loop would slow down the others. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from nst_helpers import VGG19, Loss, Settings, load_image  # noqa: E402

hypothesis.settings.register_profile("long", max_examples=5000)
IMAGES = Path(__file__).parent.parent / "images"

# The start of most runs: where depth and size do not matter, both are small.
TINY = Settings(
    size=32,
    steps=4,
    precision="float32",
    device="cpu",
    content_layers={"conv1_2": 1.0},
    style_layers={"conv2_1": 1.0},
)


class Watch(Loss):
    """See every evaluation of a run's losses without changing their sum.

    Args:
        see: called with (image, features) each time, from the first on.
    """

    name = "watch"
    weight = 1e-30
    layers = {"conv1_1": 1.0}

    def __init__(self, see=lambda image, features: None):
        self.see, self.count = see, 0

    def __call__(self, image, features):
        self.count += 1
        value = self.see(image, features)
        return 0 * image.sum() if value is None else value


def raise_at(evaluation, error=KeyboardInterrupt):
    """Return a Watch that breaks off the n-th evaluation, as Ctrl-C would."""

    def see(image, features):
        if watch.count == evaluation:
            raise error

    watch = Watch(see)
    return watch


def resident(pid="self"):
    """Return megabytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def full_disk(room):
    """Let no file grow over so many bytes: a write fails as on a full disk."""
    import resource  # which Windows has not

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def without_rights(folder):
    """Be nobody for a while if this is root, who may read and write everything."""
    root = os.geteuid() == 0
    if root:
        for parent in (folder, *folder.parents[:4]):
            parent.chmod(parent.stat().st_mode | 0o055)
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


@contextmanager
def ctrl_c_on_a_new_line(files, tried):
    """Press Ctrl-C, and hear it, on the first line that is not among those tried.

    Only lines of such files count, as in "nst_helpers/*.py".
    """

    def press(frame, event, _):
        if not Path(frame.f_code.co_filename).match(files):
            return None
        line = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and line not in tried:
            tried.add(line)
            raise KeyboardInterrupt
        return press

    sys.settrace(press)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)


@pytest.fixture(scope="session")
def photo():
    return load_image(IMAGES / "content" / "cat.jpg")


@pytest.fixture(scope="session")
def painting():
    return load_image(IMAGES / "style" / "hokusai_great_wave.jpg")


@pytest.fixture(scope="session")
def vgg():
    """Return the network with the weights in the box; nobody changes it."""
    return VGG19()


make_network = functools.cache(VGG19)


@pytest.fixture
def plain(monkeypatch):
    """Let runs take the plain network, each made once, so that they begin sooner."""
    monkeypatch.setattr("nst_helpers.device.quicken", None)
    monkeypatch.setattr("nst_helpers.device.VGG19", make_network)


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fail whatever would reach for the network; this machine is none."""
    connect = socket.socket.connect

    def refuse(self, address):
        if self.family == socket.AF_INET and address[0] == "127.0.0.1":
            return connect(self, address)
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


HEADINGS = {  # of the long run's table: a file of tests, or a test of test_long
    "test_corpus": "Files in",
    "test_numbers": "Numbers in",
    "test_weights": "Weights",
    "test_disk": "Runs",
    "test_hostile": "Command lines",
    "test_killed": "Runs",
    "test_ctrl_c": "Runs",
    "test_ctrl_c_on_any_line_of_a_step_that_grows_loses_nothing": "Runs",
    "test_ctrl_c_on_any_line_of_a_bend_takes_it_up_or_leaves_it": "Runs",
    "test_ctrl_c_on_any_line_of_an_evaluation_spoils_no_later_one": "Runs",
    "test_numbers_stay_finite": "Numerics",
    "test_defaults_paint_the_cat_and_torchvision_agrees": "Numerics",
    "test_a_kernel_interrupted_in_mid_run": "Kernel",
    "test_a_kernel_restarted_while_the_studio_paints": "Kernel",
    "test_thirty_runs_in_one_process_do_not_grow": "Load",
    "test_eight_processes_at_once": "Load",
    "test_a_run_that_was_left_holds_little_memory": "Load",
    "test_safety": "Safe by design",
}


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """After the whole of make test-long, write its table into README.md."""
    stats = terminalreporter.stats
    if config.getoption("hypothesis_profile") != "long" or "deselected" in stats:
        return
    table, seen = {}, set()
    for outcome in ("passed", "failed", "error"):
        for report in stats.get(outcome, []):
            file, test = report.nodeid.split("[")[0].split("::")
            key = test if test in HEADINGS else Path(file).stem
            seen.add(key)
            row = table.setdefault((HEADINGS.get(key, "Others"), test), [0, 0, 0.0])
            # An example that Hypothesis makes up is a case as well.
            cases = [name for name, _ in report.user_properties].count("example") or 1
            row[0] += cases
            row[1] += cases * (outcome == "passed")
            row[2] += report.duration
    if not HEADINGS.keys() <= seen or exitstatus > 1:  # a part, or broken off
        return
    lines = [f"{date.today()}, {os.cpu_count()} cores.", ""]
    lines += ["| | test | cases | passed | seconds |"]
    lines += ["|---|---|--:|--:|--:|"]
    order = [*HEADINGS.values(), "Others"]
    for heading, test in sorted(table, key=lambda row: order.index(row[0])):
        cases, passed, seconds = table[heading, test]
        lines += [f"| {heading} | {test} | {cases} | {passed} | {seconds:.1f} |"]
    cases, passed, seconds = map(sum, zip(*table.values(), strict=True))
    lines += [f"| | **all** | {cases} | {passed} | {seconds:.0f} |"]
    page = Path(__file__).parent / "README.md"
    text = page.read_text(encoding="utf-8").split("## The last long run")[0]
    text += "## The last long run\n\n" + "\n".join(lines) + "\n"
    page.write_text(text, encoding="utf-8")
