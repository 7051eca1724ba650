"""Loss curves as SVG: quick enough to be drawn anew several times a second."""

from collections.abc import Sequence

import numpy as np

from .plots import LOSS_LINES
from .settings import TERMS
from .transfer import Step

WIDTH, HEIGHT = 348, 112  # of the drawing, in pixels
LEFT, RIGHT, TOP, BOTTOM = 40, 218, 8, 104  # of the frame in it
DASHES = {"-": "", "--": "6 3", "-.": "6 2 1 2", ":": "1 3"}
NAMES = {"content": "content", "style": "style", "tv": "smoothness", "total": "total"}


def draw_losses(steps: Sequence[Step], bends: Sequence[int] = ()) -> str:
    """Draw each loss against the iteration, on a logarithmic scale.

    Args:
        steps: of one run, in order, one or more.
        bends: iterations to mark with a dotted line.

    Returns:
        SVG.
    """
    values = np.array([[s.losses.get(n, 0) for n in LOSS_LINES] for s in steps])
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
    parts += _marks(steps, bends)
    for row, (name, (colour, dash)) in enumerate(LOSS_LINES.items()):
        colour = "currentColor" if name == "total" else colour
        heights = TOP + (high - logs[:, row]) * scale
        points = [p for p in zip(x, heights, strict=True) if np.isfinite(p[1])]
        legend = [(RIGHT + 6, 18 + 24 * row), (RIGHT + 22, 18 + 24 * row)]
        for path in (points, legend):
            parts += [_line(path, colour, DASHES[dash], width=2)]
        parts += [f'<text x="{RIGHT + 26}" y="{22 + 24 * row}">{NAMES[name]}</text>']
    return _svg(parts, "The losses against the iteration, on a logarithmic scale")


def draw_shares(steps: Sequence[Step], bends: Sequence[int] = ()) -> str:
    """Draw how much of the weighted sum each loss makes up, against the iteration.

    Args:
        steps: of one run, in order, one or more.
        bends: iterations to mark with a dotted line.

    Returns:
        SVG.
    """
    shares = np.array(
        [
            [getattr(s.settings, f"{n}_weight") * s.losses.get(n, 0) for n in TERMS]
            for s in steps
        ]
    )
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    edges = TOP + (BOTTOM - TOP) * np.cumsum(np.c_[np.zeros(len(steps)), shares], 1)
    x, parts = _across(steps), []
    for row, name in enumerate(TERMS):
        colour = LOSS_LINES[name][0]
        above = zip(x, edges[:, row], strict=True)
        below = zip(x[::-1], edges[::-1, row + 1], strict=True)
        outline = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*above, *below])
        parts += [f'<polygon points="{outline}" fill="{colour}" opacity="0.75"/>']
        share = f"{100 * shares[-1, row]:.0f} % {NAMES[name]}"
        y = 22 + 24 * row
        parts += [
            f'<rect x="{RIGHT + 6}" y="{y - 9}" width="10" height="10" '
            f'fill="{colour}"/><text x="{RIGHT + 20}" y="{y}">{share}</text>'
        ]
    parts += _marks(steps, bends)
    return _svg(parts, "The share of each weighted loss in their sum")


def _across(steps: Sequence[Step]) -> np.ndarray:
    """Place the iterations from left to right."""
    iterations = np.array([step.iteration for step in steps], dtype=float)
    span = max(iterations[-1] - iterations[0], 1)
    return LEFT + (iterations - iterations[0]) / span * (RIGHT - LEFT)


def _marks(steps: Sequence[Step], bends: Sequence[int]) -> list[str]:
    """Draw a dotted line where the run was bent."""
    places = np.interp(bends, [step.iteration for step in steps], _across(steps))
    ends = [[(x, TOP), (x, BOTTOM)] for x in dict.fromkeys(places.round())]
    return [_line(points, "currentColor", "2 3") for points in ends]


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
