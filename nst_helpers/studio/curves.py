"""Loss curves as SVG: quick enough to be drawn anew several times a second."""

import html
from collections.abc import Iterable, Sequence

import numpy as np

from ..plots import LOSS_LINES, OTHER_COLOURS
from .moment import Moment

WIDTH, HEIGHT = 256, 90  # of the drawing, in pixels
LEFT, RIGHT, TOP, BOTTOM = 38, 116, 8, 82  # of the frame in it
DASHES = {"-": "", "--": "6 3", "-.": "6 2 1 2", ":": "1 3"}


def label(name: str) -> str:
    """Write a loss's name out.

    Args:
        name: key in Moment.losses.

    Returns:
        The name, for people.
    """
    return "total variation" if name == "tv" else name


def loss_names(steps: Iterable[Moment]) -> list[str]:
    """List the losses of steps, as they come.

    Args:
        steps: of one run, in order.

    Returns:
        Their names, without "total", and without "range": nobody steers that.
    """
    names = dict.fromkeys(name for step in steps for name in step.losses)
    return [name for name in names if name not in ("range", "total")]


def draw_losses(
    steps: Sequence[Moment], restarts: Sequence[int] = (), cursor: int | None = None
) -> str:
    """Draw each loss against the iteration, on a logarithmic scale.

    Args:
        steps: of one run, in order, one or more.
        restarts: iterations to mark with a dotted line.
        cursor: iteration to mark with a line through; or None.

    Returns:
        SVG.
    """
    names = [*loss_names(steps), "total"]
    values = np.array([[step.losses.get(n, 0) for n in names] for step in steps])
    logs = np.log10(np.where(values > 0, values, np.nan))
    low, high = 0.0, 1.0  # where every loss is 0
    if np.isfinite(logs).any():
        low, high = np.floor(np.nanmin(logs)), np.ceil(np.nanmax(logs))
    x, scale = _across(steps), (BOTTOM - TOP) / max(high - low, 1)
    parts = []
    for power in np.arange(low, high + 1):
        y = TOP + (high - power) * scale
        parts += [_line([(LEFT, y), (RIGHT, y)], "currentColor", opacity=0.2)]
        parts += [
            f'<text x="{LEFT - 4}" y="{y + 4}" text-anchor="end">{10.0**power:g}</text>'
        ]
    parts += _marks(steps, restarts, cursor)
    lines = _lines(names)
    for name, row, y in zip(names, logs.T, _legend(names), strict=True):
        colour, dashes = lines[name]
        colour = "currentColor" if name == "total" else colour
        heights = TOP + (high - row) * scale
        points = [p for p in zip(x, heights, strict=True) if np.isfinite(p[1])]
        for path in (points, [(RIGHT + 6, y), (RIGHT + 22, y)]):
            parts += [_line(path, colour, dashes, width=2)]
        text = html.escape(label(name))
        parts += [f'<text x="{RIGHT + 26}" y="{y + 4}">{text}</text>']
    return _svg(parts, "The losses against the iteration, on a logarithmic scale")


def draw_shares(
    steps: Sequence[Moment], restarts: Sequence[int] = (), cursor: int | None = None
) -> str:
    """Draw how much of the weighted sum each loss makes up, against the iteration.

    Args:
        steps: of one run, in order, one or more.
        restarts: iterations to mark with a dotted line.
        cursor: iteration to mark with a line through; or None.

    Returns:
        SVG.
    """
    names = loss_names(steps)
    shares = np.array(
        [[s.weights.get(n, 0) * s.losses.get(n, 0) for n in names] for s in steps]
    )
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    edges = TOP + (BOTTOM - TOP) * np.cumsum(np.c_[np.zeros(len(steps)), shares], 1)
    x, lines, parts = _across(steps), _lines(names), []
    for row, (name, y) in enumerate(zip(names, _legend(names), strict=True)):
        colour, _ = lines[name]
        above = zip(x, edges[:, row], strict=True)
        below = zip(x[::-1], edges[::-1, row + 1], strict=True)
        outline = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*above, *below])
        parts += [f'<polygon points="{outline}" fill="{colour}" opacity="0.75"/>']
        share = f"{100 * shares[-1, row]:.0f} % {html.escape(label(name))}"
        parts += [
            f'<rect x="{RIGHT + 6}" y="{y - 5}" width="10" height="10" '
            f'fill="{colour}"/><text x="{RIGHT + 20}" y="{y + 4}">{share}</text>'
        ]
    parts += _marks(steps, restarts, cursor)
    return _svg(parts, "The share of each weighted loss in their sum")


def _lines(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Choose a colour and dashes for each loss, as show_losses does."""
    lines = {
        name: (colour, DASHES[dash]) for name, (colour, dash) in LOSS_LINES.items()
    }
    for k, name in enumerate(sorted(set(names) - lines.keys())):
        lines[name] = OTHER_COLOURS[k % len(OTHER_COLOURS)], f"{4 * k + 2} 2"
    return lines


def _legend(names: Sequence[str]) -> list[float]:
    """Place the lines of a legend from top to bottom."""
    return [15 + row * min(20, 76 / len(names)) for row in range(len(names))]


def _across(steps: Sequence[Moment]) -> np.ndarray:
    """Place the iterations from left to right."""
    iterations = np.array([step.iteration for step in steps], dtype=float)
    span = max(iterations[-1] - iterations[0], 1)
    return LEFT + (iterations - iterations[0]) / span * (RIGHT - LEFT)


def _marks(
    steps: Sequence[Moment], restarts: Sequence[int], cursor: int | None
) -> list[str]:
    """Draw a dotted line where the optimiser began anew, and one for the cursor."""

    def upright(iterations: Sequence[int], dashes: str, width: float) -> list[str]:
        found = np.interp(
            iterations, [step.iteration for step in steps], _across(steps)
        )
        ends = [[(x, TOP), (x, BOTTOM)] for x in dict.fromkeys(found.round())]
        return [_line(points, "currentColor", dashes, width) for points in ends]

    now = [] if cursor is None else [cursor]
    return upright(restarts, "2 3", 1) + upright(now, "", 2)


def _line(
    points: Sequence[tuple[float, float]],
    colour: str,
    dashes: str = "",
    width: float = 1,
    opacity: float = 1,
) -> str:
    """Draw a line through points."""
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{through}" fill="none" stroke="{colour}" '
        f'stroke-width="{width}" stroke-dasharray="{dashes}" opacity="{opacity}"/>'
    )


def _svg(parts: Sequence[str], label: str) -> str:
    """Put a drawing together; its text and total have the colour of the page's text."""
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{label}" '
        'font-size="12" style="color: var(--jp-ui-font-color1, black); '
        'fill: currentColor">' + "".join(parts) + "</svg>"
    )
