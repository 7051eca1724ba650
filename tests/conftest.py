import socket
from pathlib import Path

import pytest

from nst_helpers import load_image

IMAGES = Path(__file__).parent.parent / "images"


@pytest.fixture(scope="session")
def photo():
    return load_image(IMAGES / "content" / "cat.jpg")


@pytest.fixture(scope="session")
def painting():
    return load_image(IMAGES / "style" / "hokusai_great_wave.jpg")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fail whatever would reach for the network."""

    def refuse(*args):
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
