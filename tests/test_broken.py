"""Each broken program runs, and shows what an answer would name."""

import ast

import pytest

from nst_helpers import gram_matrix
from nst_helpers.lessons.broken import (
    MISTAKES,
    PAIRS,
    name_the_bug,
    run_program,
    show_runs,
    write_program,
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(k, marks=pytest.mark.long) for k in range(len(PAIRS))],
    ids=lambda k: PAIRS[k][0],
)
def runs(request):
    names = [None, *MISTAKES]
    return {n: run_program(request.param, n, 25) for n in names}


def cut_off(picture):
    """Return the share of values that are exactly 0 or 1."""
    return ((picture == 0) | (picture == 1)).float().mean()


def test_the_right_program_paints(runs):
    picture, losses = runs[None]
    assert losses[-1] < losses[0] / 200 and max(losses) == losses[0]
    assert cut_off(picture) < 0.25


def test_each_mistake_shows_in_the_picture(runs):
    right, _ = runs[None]
    for name in MISTAKES:
        picture, losses = runs[name]
        assert picture.shape == right.shape and 20 <= len(losses) <= 26
        assert (picture - right).abs().mean() > 0.04, name


def test_each_mistake_shows_as_it_is_said(runs, vgg):
    right, well = runs[None]
    curves = {name: losses for name, (_, losses) in runs.items()}
    assert max(curves["missing zero_grad"]) > 100 * well[0]
    assert min(curves["detached features"]) > 0.7 * well[0]
    assert curves["clamp"][-1] > 3 * well[-1]
    assert curves["raw sums"][0] > 1e6
    for lower in ("wrong divisor", "clamp"):
        assert curves[lower][0] < 0.5 * well[0]
    for smooth in ("wrong divisor", "BGR"):
        assert curves[smooth][-1] < 3 * well[-1]
    assert cut_off(runs["clamp"][0]) > 0.4
    too_strong, strength = (
        gram_matrix(vgg(x, ["conv2_1"])["conv2_1"]).norm()
        for x in (runs["wrong divisor"][0], right)
    )
    assert too_strong > 1.5 * strength
    red, _, blue = (right - runs["BGR"][0]).mean((0, 2, 3))
    assert red * blue < 0 and max(abs(red), abs(blue)) > 0.02  # one for the other


def test_six_seeds_in_a_row_have_all_mistakes():
    for first in (0, 6, 600):
        assert {name_the_bug(first + k) for k in range(6)} == MISTAKES.keys()
    assert [name_the_bug(k) for k in range(6)] != [
        name_the_bug(k) for k in range(6, 12)
    ]


def test_a_program_is_the_right_one_but_for_one_place():
    for seed in range(12):
        mistake, right = MISTAKES[name_the_bug(seed)], write_program(seed)
        program = write_program(seed, "by seed")
        assert program == write_program(seed, name_the_bug(seed)) != right
        assert right.count(mistake.right) == 1
        assert program == right.replace(mistake.right, mistake.wrong)
        ast.parse(program)
        assert max(map(len, program.splitlines())) <= 88
        assert name_the_bug(seed) not in program or name_the_bug(seed) == "clamp"


def test_two_runs_are_shown(runs):
    fig = show_runs({"right": runs[None], "A": runs["BGR"]})
    assert len(fig.axes) == 3 and len(fig.axes[2].lines) == 2
