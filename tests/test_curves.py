import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch

from nst_helpers import Settings, Step
from nst_helpers.curves import BOTTOM, LEFT, RIGHT, TOP, draw_losses, draw_shares
from nst_helpers.plots import LOSS_LINES

WEIGHTS = Settings(content_weight=1.0, style_weight=10.0, tv_weight=2.0)


def make_steps(losses, every=1):
    return [
        Step(
            iteration=i * every,
            evaluations=i,
            seconds=float(i),
            image=torch.zeros(1, 3, 16, 16),
            losses=each,
            restarted=False,
            settings=WEIGHTS,
        )
        for i, each in enumerate(losses)
    ]


def lines(svg, colour):
    """Return the points of each line of a colour that is no frame and no legend."""
    found = ElementTree.fromstring(svg).iter("polyline")
    points = [
        np.array([p.split(",") for p in line.get("points").split()], dtype=float)
        for line in found
        if line.get("stroke") == colour
    ]
    return [p for p in points if p.size and p[-1, 0] <= RIGHT]


def test_losses_are_drawn_on_a_logarithmic_scale():
    losses = [{"style": s, "total": 1.0} for s in (1.0, 0.1, 0.01)]
    svg = draw_losses(make_steps(losses, every=5))
    (style,) = lines(svg, LOSS_LINES["style"][0])
    assert style[:, 0] == pytest.approx([LEFT, (LEFT + RIGHT) / 2, RIGHT], abs=0.1)
    # 1 and 0.01 are the frame's edges, 0.1 lies in the middle
    assert style[:, 1] == pytest.approx([TOP, (TOP + BOTTOM) / 2, BOTTOM], abs=0.1)
    assert not lines(svg, LOSS_LINES["content"][0])  # left out: weight 0
    texts = [t.text for t in ElementTree.fromstring(svg).iter("text")]
    assert texts[:3] == ["0.01", "0.1", "1"] and "smoothness" in texts


def test_a_loss_of_zero_has_no_place_on_a_logarithmic_scale():
    losses = [{"content": c, "total": 2.0} for c in (0.0, 1.0, 3.0)]
    (content,) = lines(draw_losses(make_steps(losses)), LOSS_LINES["content"][0])
    assert len(content) == 2 and content[0, 0] > LEFT


def test_bends_are_marked_where_they_were():
    steps = make_steps([{"total": 1.0}] * 11, every=2)
    svg = draw_losses(steps, bends=[5, 20])
    upright = [p for p in lines(svg, "currentColor") if p[0, 0] == p[-1, 0]]
    assert [p[0, 0] for p in upright] == pytest.approx(
        [LEFT + 0.25 * (RIGHT - LEFT), RIGHT], abs=1
    )


def test_shares_are_weighted_and_fill_the_frame():
    losses = [{"content": 2.0, "style": 0.5, "tv": 1.5, "total": 10.0}] * 3
    svg = draw_shares(make_steps(losses))
    heights = {}
    for area in ElementTree.fromstring(svg).iter("polygon"):
        y = [float(p.split(",")[1]) for p in area.get("points").split()]
        heights[area.get("fill")] = (max(y) - min(y)) / (BOTTOM - TOP)
    expected = {"content": 0.2, "style": 0.5, "tv": 0.3}  # 2 + 5 + 3 of 10
    for name, share in expected.items():
        assert heights[LOSS_LINES[name][0]] == pytest.approx(share, abs=0.01)
        assert f"{100 * share:.0f} %" in svg


def test_a_run_without_any_loss_has_an_empty_frame():
    svg = draw_losses(make_steps([{"content": 0.0, "total": 0.0}]))
    assert not lines(svg, LOSS_LINES["content"][0])
    assert "0 % content" in draw_shares(make_steps([{"content": 0.0, "total": 0.0}]))
