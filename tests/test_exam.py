"""The exam's answers are right, whatever the seed, and the learners do not get them."""

import json
import sys

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from test_notebooks import FOLDER, text_of

from nst_helpers.lessons import exam
from nst_helpers.lessons.broken import name_the_bug

sys.path.append(str(FOLDER / "exam"))
import make_exam  # noqa: E402

SOURCE = FOLDER / "exam" / "exam.ipynb"
HEAD = "import torch\nfrom IPython.display import Markdown, display\n"
SEEDS = range(10)


@pytest.fixture(scope="module", params=SEEDS)
def answers(request):
    """Run the cells of the teacher's sheet that paint nothing; return their names."""
    cells = json.loads(SOURCE.read_text(encoding="utf-8"))["cells"]
    quick = [c for c in cells if "quick" in c["metadata"].get("tags", [])]
    code = HEAD + "\n".join(text_of(cell["source"]) for cell in quick)
    assert len(quick) == 7 and code.count("SEED = 0") == 1
    names = {}
    exec(code.replace("SEED = 0", f"SEED = {request.param}"), names)
    return names


def test_the_gram_matrix_is_right(answers):
    rows, order = answers["F"].long().tolist(), answers["order"]
    assert sorted(order) == [0, 1, 2, 3] and all(k != p for k, p in enumerate(order))
    assert all(0 <= x <= 3 for row in rows for x in row)
    second = [rows[1][place] for place in order]
    for i, row in enumerate(rows):
        for j, other in enumerate(rows):
            of_products = sum(a * b for a, b in zip(row, other, strict=True))
            assert answers["G"][i, j] == of_products / 4
            a, b = second if i == 1 else row, second if j == 1 else other
            moved = sum(x * y for x, y in zip(a, b, strict=True)) / 4
            assert answers["changed"][i, j] == moved


def test_the_gradient_is_right(answers):
    """By small differences of a loss written with other words."""
    torch.manual_seed(0)
    F, A = torch.rand(2, 5, dtype=torch.float64), torch.rand(2, 2, dtype=torch.float64)
    A = A @ A.T

    def loss(F):
        kind = answers["loss"].__name__.removeprefix("loss_of_")
        if kind == "covariance":
            G = torch.cov(F, correction=0)
        else:
            counts = torch.ones(5) if kind == "gram" else torch.arange(1.0, 6.0)
            G = torch.einsum("ik,jk,k->ij", F, F, (counts / counts.sum()).double())
        return (torch.linalg.norm(G - A) / torch.linalg.norm(A)) ** 2

    found, small = answers["gradient"](F, A), 1e-6
    for place in ((0, 0), (0, 3), (1, 4)):
        step = torch.zeros_like(F)
        step[place] = small
        slope = (loss(F + step) - loss(F - step)) / (2 * small)
        assert torch.isclose(found[place], slope, rtol=1e-6, atol=1e-9)


def test_the_difference_of_the_scores_is_right(answers):
    """By the likelihood: its highest place, and how it is curved there."""
    preferred = [
        {"L": left, "R": "GS"[left == "G"]}[chosen] == "G"
        for left, chosen in zip(answers["LEFT"], answers["CHOSEN"], strict=True)
    ]
    assert len(preferred) == 40 and 0 < sum(preferred) < 40
    signs = torch.tensor([1.0 if gram else -1.0 for gram in preferred]).double()

    def likelihood(d):
        return torch.nn.functional.logsigmoid(signs * d).sum()

    grid = torch.linspace(-5, 5, 20001).double()
    best = grid[torch.stack([likelihood(d) for d in grid[::10]]).argmax() * 10]
    curvature = torch.autograd.functional.hessian(likelihood, best)
    error = (-1 / curvature).sqrt().item()
    assert answers["difference"] == pytest.approx(best.item(), abs=0.01)
    assert answers["low"] == pytest.approx(best.item() - 1.96 * error, abs=0.02)
    assert answers["high"] == pytest.approx(best.item() + 1.96 * error, abs=0.02)


def test_seeds_make_different_exams():
    matrices = {str(exam.choose_matrix(seed)) for seed in SEEDS}
    programs = [exam.choose_programs(seed) for seed in SEEDS]
    bugs = [[name_the_bug(seed) for seed in three] for three in programs]
    assert len(matrices) == len(SEEDS) and len({str(p) for p in programs}) == len(SEEDS)
    assert all(len(set(three)) == 3 for three in bugs)
    assert len({name for three in bugs for name in three}) == 6
    assert {exam.choose_loss(seed) for seed in SEEDS} == set(exam.LOSSES)


def check_sheet(cells):
    """See that a learners' sheet asks everything, and answers nothing."""
    texts = [text_of(cell["source"]) for cell in cells]
    whole = "\n".join(texts)
    assert [f"## {k}. " in whole for k in (1, 2, 3, 4, 5)] == [True] * 5
    for told in ("SEED", "seed", "teacher", "**Points.**", "name_the_bug", "wins /"):
        assert told not in whole, told
    assert whole.count("(attachment:figure.jpg)") == 3
    assert "begin{pmatrix}" in whole and "def loss_of_" in whole and "LEFT = " in whole
    assert not [c for c in cells if c.get("outputs") or c["metadata"].get("tags")]


def test_the_learners_sheet_tells_no_answer():
    cells = nbformat.read(SOURCE, as_version=4).cells
    check_sheet([new for cell in cells for new in make_exam.for_learners(cell)])


@pytest.mark.long
def test_both_sheets_run(tmp_path, monkeypatch):
    monkeypatch.setenv("NST_STEPS", "3")
    monkeypatch.setattr("sys.argv", ["make_exam", "7", "-d", str(tmp_path)])
    make_exam.main()
    answers, sheet = (
        nbformat.read(tmp_path / "7" / f"{name}.ipynb", as_version=4)
        for name in ("answers", "exam")
    )
    assert any("SEED = 7" in cell.source for cell in answers.cells)
    check_sheet(sheet.cells)
    NotebookClient(sheet, timeout=600).execute()  # raises what a cell raises
    assert any("No picture yet" in str(cell.get("outputs")) for cell in sheet.cells)


def test_a_bad_seed_is_one_line(monkeypatch):
    monkeypatch.setattr("sys.argv", ["make_exam", "-1"])
    with pytest.raises(SystemExit, match="is -1; give 0 or more"):
        make_exam.main()
