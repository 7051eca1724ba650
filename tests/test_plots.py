from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbclient
import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import select_figure_formats
from matplotlib.text import Text
from nbformat import v4
from PIL import Image

from nst_helpers import (
    InputError,
    Settings,
    Step,
    film_strip,
    load_image,
    save_gif,
    save_image,
    show_distances,
    show_images,
    show_losses,
    show_maps,
    show_triptych,
)
from nst_helpers.pixels import to_array, to_bytes
from nst_helpers.plots import FONT, LOSS_LINES, WIDEST, encode_gif


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def make_steps(count):
    """Make steps whose picture and losses tell the iteration."""
    return [
        Step(
            iteration=i,
            evaluations=i + 1,
            seconds=float(i),
            image=torch.full((1, 3, 20, 30), i / count),
            losses={
                "content": i / 10,
                "style": 1 / (i + 1),
                "total": 5.0,
                "range": 0.0,
            },
            weights={"content": 1.0, "style": 100.0, "range": 5000.0},
            restarted=i == 3,
            settings=Settings(),
        )
        for i in range(count)
    ]


def test_images_are_shown_as_they_are_with_their_titles():
    images = [torch.rand(1, 3, 20, 30), torch.rand(1, 3, 40, 20)]
    axes = show_images(images, ["a", "b"]).axes
    assert [axis.get_title() for axis in axes] == ["a", "b"]
    for axis, image in zip(axes, images, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), to_array(image))
        assert not axis.axison
    assert len(show_images(images).axes) == 2


def test_one_image_is_shown_without_a_list():
    image = torch.rand(1, 3, 20, 30)
    (axis,) = show_images(image, ["a"]).axes
    np.testing.assert_array_equal(axis.images[0].get_array(), to_array(image))
    assert axis.get_title() == "a"


def test_pictures_are_shown_in_whatever_form_they_are_given(tmp_path):
    image = torch.rand(1, 3, 20, 30)
    save_image(image, tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    array, picture = to_bytes(image), Image.open(tmp_path / "a.png")
    forms = [str(tmp_path / "a.png"), tmp_path / "a.png", array, picture, image]
    for form in forms:
        (axis,) = show_images(form).axes
        np.testing.assert_array_equal(axis.images[0].get_array(), to_array(image))
    figures = [show_images(forms), show_triptych(*forms[:3])]
    figures += [show_distances(torch.ones(5, 5), forms)]
    for figure in figures:
        for axis in figure.axes:
            for shown in axis.images[:1] if axis is not figure.axes[-1] else []:
                np.testing.assert_array_equal(shown.get_array(), to_array(image))
    over = show_maps([torch.ones(2, 3)], over=forms[0]).axes[0].images[0]
    np.testing.assert_allclose(over.get_array(), image[0].mean(0), atol=1e-6)
    save_gif(forms, tmp_path / "a.gif")
    assert Image.open(tmp_path / "a.gif").size == (30, 20)
    for other in (image[0], 5, None, "nothing.png", [array, None]):
        with pytest.raises(InputError, match="the image"):
            show_images(other)
    (axis,) = show_images(image + 1).axes  # cut off
    assert axis.images[0].get_array().max() == 1


def test_plt_show_finds_every_figure_and_a_notebook_shows_it_once():
    image, steps = torch.rand(1, 3, 20, 30), make_steps(2)
    figures = [show_images(image), show_maps([image[0, 0]]), show_losses(steps)]
    figures += [show_distances(torch.ones(1, 1), [image]), film_strip(steps)]
    assert [plt.figure(number) for number in plt.get_fignums()] == figures
    jupyter = DisplayFormatter()
    select_figure_formats(SimpleNamespace(display_formatter=jupyter), {"png"})
    for figure in figures:
        shown, _ = jupyter.format(figure)
        assert shown["image/png"]
        assert not plt.fignum_exists(figure.number)  # not once more at the cell's end
        assert jupyter.format(figure)[0]["image/png"]  # but whenever it is asked for


def test_figures_say_what_can_be_seen():
    image, steps = torch.rand(1, 3, 20, 30), make_steps(2)
    figures = [
        show_images(image, alt="a"),
        show_maps([image[0, 0]], alt="b"),
        show_distances(torch.ones(1, 1), [image], alt="c"),
        show_triptych(image, image, image, alt="d"),
        show_losses(steps, alt="e"),
        film_strip(steps, alt="f"),
        show_images(image),
    ]
    jupyter = DisplayFormatter()
    select_figure_formats(SimpleNamespace(display_formatter=jupyter), {"png"})
    told = [jupyter.format(figure)[1].get("image/png", {}) for figure in figures]
    assert [metadata.get("alt") for metadata in told] == [*"abcdef", None]


def test_a_cell_shows_one_picture_wherever_the_figure_stands():
    first = "import torch; from nst_helpers import *; x = torch.rand(1, 3, 20, 30)"
    first += "; import matplotlib.pyplot as plt"
    sources = ["show_images(x)", "show_images(x);", "show_images(x)\nprint(1)"]
    sources += ["display(show_images(x))\nprint(1)", "fig = show_images(x)\nfig", "fig"]
    sources += ["show_images(x)\nplt.show()", "display(show_images(x))\nplt.show()"]
    sources += ["fig, ax = plt.subplots()\nshow_losses([], ax=ax)"]
    cells = [v4.new_code_cell(source) for source in (first, *sources)]
    nbclient.NotebookClient(v4.new_notebook(cells=cells), timeout=120).execute()
    for cell in cells[1:]:
        pictures = ["image/png" in output.get("data", {}) for output in cell.outputs]
        assert pictures.count(True) == 1, cell.source


def test_losses_are_drawn_into_axes_that_are_given():
    fig, (left, right) = plt.subplots(1, 2)
    assert show_losses(make_steps(5), ax=right) is None  # the notebook shows fig anyway
    assert fig.axes == [left, right] and right.lines and not left.lines
    assert plt.get_fignums() == [fig.number]


def test_letters_are_of_14_pixels_in_a_lesson_on_a_screen_1280_pixels_wide():
    many = [torch.rand(1, 3, 20, 30)] * 12
    figures = [show_images(many, ["a"] * 12), show_images(many[:2], ["a", "b\nc"])]
    figures += [film_strip(make_steps(81)), show_losses(make_steps(5))]
    for figure in figures:
        figure.canvas.draw()
        shown = [a.findobj(Text) if a.axison else [a.title] for a in figure.axes]
        texts = [text for text in sum(shown, []) if text.get_text()]
        assert min(text.get_fontsize() for text in texts) >= FONT
        assert not any("$" in text.get_text() for text in texts)  # no small exponents
        pixels = 100 * figure.get_figwidth() + 12  # a notebook adds a rim
        assert FONT * 100 / 72 * min(1, 821 / pixels) >= 14
    assert figures[0].get_figwidth() == pytest.approx(WIDEST)
    assert figures[1].get_figwidth() < WIDEST


def test_images_without_enough_titles_are_an_error():
    with pytest.raises(ValueError):
        show_images([torch.rand(1, 3, 20, 30)], ["a", "b"])


def test_triptych():
    images = [torch.rand(1, 3, 20, 30) for _ in range(3)]
    axes = show_triptych(*images).axes
    assert [axis.get_title() for axis in axes] == ["photo", "painting", "result"]
    for axis, image in zip(axes, images, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), to_array(image))


def test_loss_curves_are_labelled_logarithmic_and_tell_terms_apart():
    (axis,) = show_losses(make_steps(5)).axes
    lines = {line.get_label(): line for line in axis.lines}
    np.testing.assert_allclose(
        lines["style"].get_ydata(), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    )
    np.testing.assert_allclose(
        lines["content"].get_ydata(), [np.nan, 0.1, 0.2, 0.3, 0.4]
    )
    np.testing.assert_allclose(lines["weighted total"].get_ydata(), 5)
    assert "total variation" not in lines  # it had no weight
    assert "range" not in lines  # as good as always 0, and not of this scale
    assert axis.get_yscale() == "log" and axis.get_xlabel() and axis.get_ylabel()
    looks = {(lines[n].get_color(), lines[n].get_linestyle()) for n in lines}
    assert len(looks) == len(lines)
    assert any(list(line.get_xdata()) == [3, 3] for line in axis.lines)


def test_losses_of_any_name_have_a_line_and_the_known_ones_their_own():
    steps = make_steps(3)
    for step in steps:
        step.losses.update({"tv": 0.5, "style 2": 0.4, "mine": 0.3})
    steps[1].losses["late"] = 0.1
    (axis,) = show_losses(steps).axes
    lines = {line.get_label(): line for line in axis.lines}
    known = {"content", "style", "total variation", "weighted total"}
    assert lines.keys() == known | {"style 2", "mine", "late"}
    assert len({line.get_color() for line in axis.lines}) == len(lines)
    for label, name in [("content",) * 2, ("style",) * 2, ("total variation", "tv")]:
        look = lines[label].get_color(), lines[label].get_linestyle()
        assert look == LOSS_LINES[name]
    np.testing.assert_array_equal(lines["late"].get_ydata(), [np.nan, 0.1, np.nan])


def test_film_strip_runs_from_the_first_to_the_last():
    axes = film_strip(make_steps(81)).axes
    shown = [int(axis.get_title().split()[-1]) for axis in axes]
    assert len(shown) == 6 and shown[0] == 0 and shown[-1] == 80
    greys = [axis.images[0].get_array().max() for axis in axes]
    assert greys == pytest.approx([number / 81 for number in shown])
    gaps = np.diff(shown)
    assert (np.diff(gaps) >= 0).all()
    assert len(film_strip(make_steps(2)).axes) == 2
    assert len(film_strip(make_steps(1)).axes) == 1


def test_gif_holds_every_picture_and_rests_on_the_last(tmp_path):
    steps = make_steps(7)
    save_gif([step.image for step in steps], tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 7 and gif.info["loop"] == 0
        for i, step in enumerate(steps):
            gif.seek(i)
            frame = np.asarray(gif.convert("RGB"))
            np.testing.assert_allclose(frame, to_bytes(step.image), atol=4)
            assert gif.info["duration"] == (2000 if i == 6 else 1000)


def test_images_stand_in_rows_of_so_many_columns():
    fig = show_images([torch.rand(1, 3, 20, 30)] * 5, list("abcde"), columns=3)
    rows = {round(axis.get_position().y0, 2) for axis in fig.axes[:5]}
    assert len(rows) == 2
    assert [axis.get_title() for axis in fig.axes] == ["a", "b", "c", "d", "e", ""]
    assert not any(axis.axison for axis in fig.axes)


def test_maps_show_their_numbers_each_on_its_own_scale():
    maps = [torch.arange(12.0).view(3, 4), torch.tensor([[7.0, 9.0]])]
    axes = show_maps(maps, ["a", "b"], columns=1).axes
    assert axes[0].get_position().y0 > axes[1].get_position().y0
    for axis, values in zip(axes, maps, strict=True):
        (shown,) = axis.images
        np.testing.assert_array_equal(shown.get_array(), values.numpy())
        assert shown.get_clim() == (values.min(), values.max())


def test_maps_over_a_picture_cover_it_and_let_it_through_where_they_are_low():
    picture = torch.rand(1, 3, 30, 40)
    (axis,) = show_maps([torch.tensor([[0.0, 1.0], [4.0, 2.0]])], over=picture).axes
    grey, heat = axis.images
    np.testing.assert_allclose(grey.get_array(), picture[0].mean(0).numpy(), atol=1e-6)
    assert heat.get_extent() == grey.get_extent()
    alpha = heat.get_alpha()
    assert alpha[0, 0] == 0 and alpha[1, 0] == alpha.max() < 1


def test_distances_stand_in_a_table_beside_their_images():
    images = [torch.rand(1, 3, 20, 30) for _ in range(3)]
    distances = torch.arange(1, 10.0).view(3, 3) / 9
    fig = show_distances(distances, images, "how far")
    table = fig.axes[-1]
    assert table.images[0].get_clim() == (0, 1)
    same = show_distances(distances, images, largest=2.0)
    assert same.axes[-1].images[0].get_clim() == (0, 2)
    np.testing.assert_array_equal(table.images[0].get_array(), distances.numpy())
    texts = {t.get_position(): t.get_text() for t in table.texts}
    assert texts[(2, 1)] == "0.67" and texts[(1, 2)] == "0.89"  # column, row
    for i, image in enumerate(images):
        for axis in (fig.axes[i + 1], fig.axes[4 * (i + 1)]):  # above, beside
            np.testing.assert_array_equal(axis.images[0].get_array(), to_array(image))
    assert fig.get_suptitle() == "how far"


def test_no_pictures_are_one_line():
    for show in (show_images, show_maps, film_strip, encode_gif):
        with pytest.raises(InputError, match="no pictures to"):
            show([])
