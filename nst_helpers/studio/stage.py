"""The stage: the picture in the page, as large as its place, and what lies over it."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import anywidget
import traitlets
from torch import Tensor

from ..images import encode


class Stage(anywidget.AnyWidget):
    """Show a picture, a second one wiped over it, and a veil; and present them large.

    Attributes:
        picture: JPEG.
        other: JPEG, laid over the left of the picture; or nothing.
        wipe: how much of the picture the other covers, 0 to 100 per cent.
        veil: PNG with transparency, laid over both; or nothing.
        alt: what the picture shows, for those who do not see it.
        badge: a few words in its corner.
        shape: width / height of the picture.
        asks: whether the page asks for what is new, five times a second.
    """

    _esm = Path(__file__).with_name("stage.js")
    picture = traitlets.Bytes(b"").tag(sync=True)
    other = traitlets.Bytes(b"").tag(sync=True)
    veil = traitlets.Bytes(b"").tag(sync=True)
    wipe = traitlets.Float(0.0).tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    badge = traitlets.Unicode("").tag(sync=True)
    shape = traitlets.Unicode("3 / 2").tag(sync=True)
    asks = traitlets.Bool(False).tag(sync=True)

    def show(self, image: Tensor, alt: str, badge: str, veil: bytes = b"") -> None:
        """Show a picture.

        Args:
            image: (1, 3, H, W) in [0, 1].
            alt: what it shows.
            badge: a few words in its corner.
            veil: PNG to lay over it.
        """
        height, width = image.shape[2:]
        with self.hold_sync():  # one message: nothing is older than the picture
            self.picture, self.veil = encode(image, "JPEG"), veil
            self.alt, self.badge, self.shape = alt, badge, f"{width} / {height}"

    def relay(self, show: Callable[[], None]) -> Callable[[], None]:
        """Let a thread have something shown.

        In Google Colab nothing reaches the page that a thread sends (colabtools issue
        3373). There, the page asks, and show is called in the kernel's answer.

        Args:
            show: sends what is new to the page.

        Returns:
            What the thread calls: show itself, but in Colab.
        """
        if "google.colab" not in sys.modules:
            return show
        self.asks, new = True, threading.Event()

        def answer(*_: object) -> None:
            if new.is_set():
                new.clear()  # first: what comes while it is shown waits its turn
                show()

        self.on_msg(answer)
        return new.set
