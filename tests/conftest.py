import os
import resource
import socket
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import hypothesis
import pytest

from nst_helpers import load_image

hypothesis.settings.register_profile("long", max_examples=5000)
IMAGES = Path(__file__).parent.parent / "images"


def resident(pid="self"):
    """Return megabytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def full_disk(room):
    """Let no file grow over so many bytes: a write fails as on a full disk."""
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
        for parent in (folder, *folder.parents[:2]):
            parent.chmod(0o755)
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture(scope="session")
def photo():
    return load_image(IMAGES / "content" / "cat.jpg")


@pytest.fixture(scope="session")
def painting():
    return load_image(IMAGES / "style" / "hokusai_great_wave.jpg")


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


def pytest_terminal_summary(terminalreporter, config):
    """After make test-long, write its table into README.md."""
    if config.option.markexpr != "long":
        return
    table = {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            name = report.nodeid.split("::")[-1].split("[")[0]
            row = table.setdefault(name, [0, 0, 0.0])
            row[0] += 1
            row[1] += outcome == "passed"
            row[2] += report.duration
    lines = [f"{date.today()}, {os.cpu_count()} cores.", ""]
    lines += ["| test | cases | passed | seconds |"]
    lines += ["|---|--:|--:|--:|"]
    lines += [
        f"| {name} | {cases} | {passed} | {seconds:.0f} |"
        for name, (cases, passed, seconds) in table.items()
    ]
    page = Path(__file__).parent / "README.md"
    text = page.read_text(encoding="utf-8").split("## The last long run")[0]
    text += "## The last long run\n\n" + "\n".join(lines) + "\n"
    page.write_text(text, encoding="utf-8")
