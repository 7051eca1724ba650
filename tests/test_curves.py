import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch

from nst_helpers import Settings, Step
from nst_helpers.plots import LOSS_LINES, OTHER_COLOURS
from nst_helpers.studio.curves import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    draw_losses,
    draw_shares,
)

WEIGHTS = {"content": 1.0, "style": 10.0, "tv": 2.0, "range": 1e6}


def make_steps(losses, every=1, weights=WEIGHTS):
    return [
        Step(
            iteration=i * every,
            evaluations=i,
            seconds=float(i),
            image=torch.zeros(1, 3, 16, 16),
            losses=each,
            weights=weights,
            restarted=False,
            settings=Settings(),
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


def texts(svg):
    return [text.text for text in ElementTree.fromstring(svg).iter("text")]


def heights(svg):
    """Return the height of each area, {colour: part of the frame}."""
    areas = {}
    for area in ElementTree.fromstring(svg).iter("polygon"):
        y = [float(p.split(",")[1]) for p in area.get("points").split()]
        areas[area.get("fill")] = (max(y) - min(y)) / (BOTTOM - TOP)
    return areas


def test_losses_are_drawn_on_a_logarithmic_scale():
    losses = [{"style": s, "tv": 1.0, "total": 1.0} for s in (1.0, 0.1, 0.01)]
    svg = draw_losses(make_steps(losses, every=5))
    (style,) = lines(svg, LOSS_LINES["style"][0])
    assert style[:, 0] == pytest.approx([LEFT, (LEFT + RIGHT) / 2, RIGHT], abs=0.1)
    # 1 and 0.01 are the frame's edges, 0.1 lies in the middle
    assert style[:, 1] == pytest.approx([TOP, (TOP + BOTTOM) / 2, BOTTOM], abs=0.1)
    assert not lines(svg, LOSS_LINES["content"][0])  # left out: weight 0
    assert texts(svg) == ["0.01", "0.1", "1", "style", "total variation", "total"]


def test_a_loss_of_zero_has_no_place_on_a_logarithmic_scale():
    losses = [{"content": c, "total": 2.0} for c in (0.0, 1.0, 3.0)]
    (content,) = lines(draw_losses(make_steps(losses)), LOSS_LINES["content"][0])
    assert len(content) == 2 and content[0, 0] > LEFT


def test_restarts_are_marked_where_they_were():
    steps = make_steps([{"total": 1.0}] * 11, every=2)
    svg = draw_losses(steps, restarts=[5, 20])
    upright = [p for p in lines(svg, "currentColor") if p[0, 0] == p[-1, 0]]
    assert [p[0, 0] for p in upright] == pytest.approx(
        [LEFT + 0.25 * (RIGHT - LEFT), RIGHT], abs=1
    )


def test_shares_are_weighted_and_fill_the_frame():
    losses = [{"content": 2.0, "style": 0.5, "tv": 1.5, "range": 1.0, "total": 10.0}]
    svg = draw_shares(make_steps(losses * 3))
    found = heights(svg)
    expected = {"content": 0.2, "style": 0.5, "tv": 0.3}  # 2 + 5 + 3 of 10
    for name, share in expected.items():
        assert found[LOSS_LINES[name][0]] == pytest.approx(share, abs=0.01)
    assert texts(svg) == ["20 % content", "50 % style", "30 % total variation"]


def test_a_loss_of_ones_own_appears_by_itself():
    names = ["content", "style", "style 2", "<sky>", "tv", "range", "total"]
    weights = dict.fromkeys(names[:-1], 1.0)
    losses = [dict.fromkeys(names, 0.2), dict.fromkeys(names, 0.1)]
    steps = make_steps(losses, weights=weights)
    curves, shares = draw_losses(steps), draw_shares(steps)
    drawn = ["content", "style", "style 2", "<sky>", "total variation"]
    assert texts(curves) == ["0.1", "1", *drawn, "total"]
    assert texts(shares) == [f"20 % {name}" for name in drawn]
    colours = {LOSS_LINES[name][0] for name in ("content", "style", "tv")}
    colours |= set(OTHER_COLOURS[:2])
    assert all(len(lines(curves, colour)) == 1 for colour in colours)
    assert heights(shares) == pytest.approx(dict.fromkeys(colours, 0.2), abs=0.01)


def test_a_legend_of_many_losses_fits():
    names = [f"loss {i}" for i in range(9)]
    steps = make_steps([dict.fromkeys([*names, "total"], 1.0)] * 2)
    for svg in (draw_losses(steps), draw_shares(steps)):
        places = [float(t.get("y")) for t in ElementTree.fromstring(svg).iter("text")]
        assert all(0 < y < HEIGHT for y in places) and f'width="{WIDTH}"' in svg


def test_a_loss_left_out_later_has_no_share_left():
    steps = make_steps([{"style": 1.0, "content": 1.0, "total": 2.0}, {"total": 0.0}])
    assert texts(draw_shares(steps)) == ["0 % style", "0 % content"]


def test_a_run_without_any_loss_has_an_empty_frame():
    steps = make_steps([{"content": 0.0, "total": 0.0}])
    assert not lines(draw_losses(steps), LOSS_LINES["content"][0])
    assert "0 % content" in draw_shares(steps)
