"""Pictures judged blind: the order, the files, and the scores."""

import itertools
import json
import math
import re
from collections import Counter

import ipywidgets as widgets
import nbformat
import pytest
import torch
from pages import SERVERS, browse, run_cell
from playwright.sync_api import expect

from nst_helpers import InputError
from nst_helpers.studio import Ranking, bradley_terry, count_wins, read_answers
from nst_helpers.studio.judgements import mm_step, pair_up

NAMES = ["amber", "blue", "coral", "dove"]
PICTURES = {name: torch.full((1, 3, 20, 30), k / 4) for k, name in enumerate(NAMES)}
# Wins of the row over the column: American League East 1987, Milwaukee, Detroit,
# Toronto, New York, Boston, Cleveland, Baltimore; and the log scores that Agresti
# ("Categorical Data Analysis", 1990, section 10.6) found, Baltimore's being 0.
BASEBALL = torch.tensor(
    [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ]
)
AGRESTI = [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0]


def test_each_pair_comes_twice_once_either_way_round():
    shown = pair_up(NAMES, seed=3)
    assert Counter(shown) == Counter(itertools.permutations(NAMES, 2))
    first = {frozenset(pair) for pair in shown[: len(shown) // 2]}
    assert len(first) == len(shown) // 2  # all come once before any comes again
    assert shown == pair_up(NAMES, seed=3) != pair_up(NAMES, seed=4)


def test_of_two_the_ratio_is_that_of_the_wins_half_a_win_added():
    for a, b in [(3, 1), (20, 0), (7, 7)]:
        wins = torch.tensor([[0, a], [b, 0]])
        s, low, high = bradley_terry(wins)
        assert s[0] / s[1] == pytest.approx((a + 0.5) / (b + 0.5))
        # Woolf's standard error of a log ratio; each score has half of it
        error = math.sqrt(1 / (a + 0.5) + 1 / (b + 0.5)) / 2
        assert (high / s).log().tolist() == pytest.approx([1.96 * error] * 2)
        assert (s / low).log().tolist() == pytest.approx([1.96 * error] * 2)


def test_scores_of_a_season_are_those_of_the_textbook():
    s, _, _ = bradley_terry(BASEBALL)
    assert s.log().mean().item() == pytest.approx(0, abs=1e-9)
    # half a win more for each of 78 games moves them a little towards each other
    assert (s / s[-1]).log().tolist() == pytest.approx(AGRESTI, abs=0.03)


def test_at_the_best_scores_everyone_has_won_as_often_as_expected():
    """The gradient of the likelihood is 0, by plain loops."""
    s, _, _ = bradley_terry(BASEBALL)
    wins, scores, more = BASEBALL.tolist(), s.tolist(), 0.5 / 6
    for i, mine in enumerate(scores):
        expected = won = 0.0
        for j, other in enumerate(scores):
            if i != j:
                won += wins[i][j] + more
                games = wins[i][j] + wins[j][i] + 2 * more
                expected += games * mine / (mine + other)
        assert won == pytest.approx(expected)


def log_likelihood(s, wins):
    return sum(
        wins[i][j] * math.log(s[i] / (s[i] + s[j]))
        for i, j in itertools.permutations(range(len(s)), 2)
    )


def test_no_step_makes_the_answers_less_probable():
    wins, s = BASEBALL.double(), torch.linspace(0.2, 5, 7).double()
    found = [log_likelihood(s.tolist(), wins.tolist())]
    for _ in range(20):
        s = mm_step(s, wins)
        found.append(log_likelihood(s.tolist(), wins.tolist()))
    assert found == sorted(found) and found[-1] > found[0] + 1


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = torch.tensor([0.5, 1.0, 2.0]).double()
    draw, held = torch.Generator().manual_seed(0), 0
    for _ in range(200):
        wins = torch.zeros(3, 3)
        for i, j in itertools.combinations(range(3), 2):
            chance = truth[i] / (truth[i] + truth[j])
            wins[i, j] = (torch.rand(30, generator=draw) < chance).sum()
            wins[j, i] = 30 - wins[i, j]
        _, low, high = bradley_terry(wins)
        held += ((low < truth) & (truth < high)).sum().item()
    assert 0.92 < held / 600 < 0.98


@pytest.mark.parametrize(
    "wins, hint",
    [
        (torch.zeros(2, 3), "(2, 3)"),
        (torch.zeros(1, 1), "(1, 1)"),
        (torch.tensor([[0.0, -1.0], [2.0, 0.0]]), "0 or more"),
        (torch.tensor([[0.0, math.nan], [2.0, 0.0]]), "0 or more"),
    ],
)
def test_what_is_no_table_of_wins_is_refused_in_one_line(wins, hint):
    with pytest.raises(InputError, match=re.escape(hint)):
        bradley_terry(wins)


def judge(ranking, better=NAMES.index):
    """Answer all that is left: the name that comes first by some order wins."""
    while len(ranking.answers) < 12:
        left, right = ranking._pairs[len(ranking.answers)]
        ranking.choose("left" if better(left) < better(right) else "right")


def told(ranking):
    return " ".join(p.value for p in walk(ranking) if isinstance(p, widgets.HTML))


def walk(box):
    for part in box.children:
        yield part
        yield from walk(part) if hasattr(part, "children") else ()


def test_a_judge_sees_no_name_until_the_end(tmp_path):
    file = tmp_path / "results" / "ranking-anna.json"
    ranking = Ranking(PICTURES, file, "Which is calmer?")
    assert "Which is calmer?" in told(ranking) and not file.exists()
    for k in range(12):
        seen = told(ranking) + str(ranking._thumbs._buttons.get_state())
        assert not [name for name in NAMES if name in seen]
        assert f"{k} of 12 answered" in seen
        assert ranking._thumbs.value is None  # so that either can be clicked
        ranking._thumbs.value = "the left one" if k % 3 else "the right one"  # a click
        kept = json.loads(file.read_text(encoding="utf-8"))
        assert kept == {"question": "Which is calmer?", "answers": ranking.answers}
        assert len(ranking.answers) == k + 1
    assert all(name in told(ranking) for name in NAMES)
    assert "the left one 8 times of 12" in told(ranking)
    with pytest.raises(InputError, match="all pairs"):
        ranking.choose("left")
    with pytest.raises(InputError, match="left or right"):
        ranking.choose("up")


def test_the_best_is_told_first_with_its_wins(tmp_path):
    ranking = Ranking(PICTURES, tmp_path / "ranking-bo.json", seed=5)
    judge(ranking)
    rows = re.findall(r"(\w+): won (\d) of 6", told(ranking))
    assert rows == [("amber", "6"), ("blue", "4"), ("coral", "2"), ("dove", "0")]
    assert "of 6 pairs, 6 were answered alike twice" in told(ranking)


def test_an_answer_can_be_taken_back_and_a_ranking_gone_on_with(tmp_path):
    file = tmp_path / "ranking-cem.json"
    ranking = Ranking(PICTURES, file)
    ranking.choose("left")
    ranking.choose("right")
    ranking.take_back()
    assert Ranking(PICTURES, file).answers == ranking.answers
    assert len(ranking.answers) == 1
    for other in (
        lambda: Ranking(PICTURES, file, "Another?"),
        lambda: Ranking(PICTURES, file, seed=99),
        lambda: Ranking({"x": PICTURES["blue"], "y": PICTURES["dove"]}, file),
    ):
        with pytest.raises(InputError, match="choose another file"):
            other()


def test_a_file_that_cannot_be_written_loses_no_answer(tmp_path):
    ranking = Ranking(PICTURES, tmp_path / "results" / "ranking-di.json")
    (tmp_path / "results").write_text("a file stands for the folder")
    ranking.choose("left")
    assert 'role="alert"' in told(ranking) and len(ranking.answers) == 1
    with pytest.raises(InputError, match="choose another name"):
        Ranking(PICTURES, tmp_path / "results" / "ranking-eva.json")
    (tmp_path / "results").unlink()
    ranking.choose("left")
    assert 'role="alert"' not in told(ranking)
    found, refused = read_answers(tmp_path / "results", NAMES)
    assert found == {"di": ranking.answers} and not refused


def test_fewer_than_two_pictures_are_refused():
    with pytest.raises(InputError, match="give two"):
        Ranking({"amber": PICTURES["amber"]})


ANSWER = {"left": "amber", "right": "blue", "chosen": "blue"}
BAD = {
    "cut": b'{"question": "?", "ans',
    "list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "bytes": b"\xff\xfe\x00",
    "huge": b" " * 1_000_001,
    "asks": json.dumps({"question": 1, "answers": []}).encode(),
    "other": json.dumps(
        {"question": "?", "answers": [ANSWER | {"left": "x"}]}
    ).encode(),
    "third": json.dumps(
        {"question": "?", "answers": [ANSWER | {"chosen": "dove"}]}
    ).encode(),
    "same": json.dumps(
        {"question": "?", "answers": [ANSWER | {"left": "blue"}]}
    ).encode(),
    "text": json.dumps({"question": "?", "answers": ["amber"]}).encode(),
    "number": json.dumps(
        {"question": "?", "answers": [ANSWER | {"left": [1]}]}
    ).encode(),
}


def test_bad_files_of_a_class_get_a_line_each_and_stop_no_other(tmp_path):
    good = {"question": "?", "answers": [ANSWER, ANSWER]}
    for name in ("anna", "zoe"):
        (tmp_path / f"ranking-{name}.json").write_text(json.dumps(good))
    # first of all, and alone in what it answers
    elsewhere = json.dumps(good | {"question": "Which is louder?"})
    (tmp_path / "ranking-al.json").write_text(elsewhere)
    (tmp_path / "ranking-folder.json").mkdir()
    (tmp_path / "recipe.json").write_bytes(BAD["cut"])  # no ranking: left alone
    for name, content in BAD.items():
        (tmp_path / f"ranking-{name}.json").write_bytes(content)
    found, refused = read_answers(tmp_path, NAMES)
    assert found == {"anna": [ANSWER, ANSWER], "zoe": [ANSWER, ANSWER]}
    named = sorted(re.search(r"ranking-(\w+)\.json: \S", line)[1] for line in refused)
    assert named == sorted([*BAD, "al", "folder"])
    assert not [line for line in refused if "\n" in line or len(line) > 300]
    wins = count_wins(sum(found.values(), []), NAMES)
    assert wins[1, 0] == 4 and wins.sum() == 4


def test_a_folder_without_answers_has_none(tmp_path):
    assert read_answers(tmp_path / "nowhere", NAMES) == ({}, [])


CELL = """
from nst_helpers.studio import Ranking
photos = {name: f"../images/content/{name}.jpg" for name in ("cat", "lake", "temple")}
Ranking(photos)
"""


@pytest.mark.browser
@pytest.mark.long
def test_a_student_judges_by_mouse_and_keyboard(tmp_path):
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(CELL)]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": python})
    nbformat.write(book, tmp_path / "rank.ipynb")
    serve = SERVERS["dark"](tmp_path / "served", tmp_path / "rank.ipynb")
    with serve as address, browse(address) as page:
        run_cell(page)
        ranking = page.locator(".nst-studio")
        left, right = (ranking.locator(".nst-duel button").nth(k) for k in (0, 1))
        back = ranking.get_by_role("button", name="Take back")
        for box in (left.bounding_box(), right.bounding_box()):  # both in sight
            assert box["width"] > 300 and box["y"] + box["height"] < 720

        def next_one():
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")

        # The same side twice, by keys the other one, taken back, and on to the end.
        acts = [left.click, left.click, next_one, back.click, *[right.click] * 4]
        for act, count in zip(acts, (1, 2, 3, 2, 3, 4, 5, 6), strict=True):
            act()
            expect(ranking.get_by_text(f"{count} of 6 answered")).to_be_visible()
        expect(ranking.locator(".nst-ranks img")).to_have_count(3)
    file = tmp_path / "served/notebooks/results/ranking-me.json"
    answers = json.loads(file.read_text(encoding="utf-8"))["answers"]
    sides = ["left" if a["chosen"] == a["left"] else "right" for a in answers]
    assert sides == ["left"] * 2 + ["right"] * 4
