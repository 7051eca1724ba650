import socket
from pathlib import Path

import hypothesis
import pytest

from nst_helpers import load_image

hypothesis.settings.register_profile("long", max_examples=5000)
IMAGES = Path(__file__).parent.parent / "images"


@pytest.fixture(scope="session")
def photo():
    return load_image(IMAGES / "content" / "cat.jpg")


@pytest.fixture(scope="session")
def painting():
    return load_image(IMAGES / "style" / "hokusai_great_wave.jpg")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fail whatever would reach for the network; this machine is none."""
    connect = socket.socket.connect

    def refuse(self, address):
        if self.family == socket.AF_INET and address[0] == "127.0.0.1":
            return connect(self, address)
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
