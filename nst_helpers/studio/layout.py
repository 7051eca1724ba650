"""Where everything stands in the studio's page."""

from pathlib import Path

import ipywidgets as widgets

from .brush import Brush
from .controls import Controls
from .home import home_folder
from .shelf import Shelf
from .view import View

PAINT = "Paint where this shall be. Until then, it is mixed."
PULLS = "Bright: there it pulls hard."
CSS = Path(__file__).with_name("studio.css").read_text(encoding="utf-8")


def style() -> widgets.HTML:
    """Make the widget that brings the studio's looks to a page."""
    return widgets.HTML(f"<style>{CSS}</style>", layout={"display": "none"})


class Buttons:
    """Make the studio's buttons, and what is written in beside them.

    Attributes:
        start, step, anew, go_back: paint, one step, from the photo, from this moment.
        keep, finish, take, folder: the picture on the shelf, larger, and home to where.
        recipe, links: a recipe to load; where what was taken home lies.
    """

    def __init__(self) -> None:
        self.start = _button("Start", "Paint, and rest", button_style="success")
        self.step = _button("One step", "Paint one iteration")
        self.anew = _button(
            "Begin again", "Bring the photo back; sliders and region stay"
        )
        self.go_back = _button("Go on from here", "Paint on from the moment shown")
        self.keep = _button("Keep this moment", "Put the picture shown on the shelf")
        self.finish = _button("Finish", "Paint 40 more iterations, large")
        self.take = _button("Take home", "Write picture, film and recipe")
        self.folder = widgets.Text(home_folder(), description="folder")
        self.recipe = widgets.FileUpload(
            accept=".json",
            description="load recipe",
            tooltip="Move everything to where a classmate's recipe has it",
        ).add_class("nst-upload")
        self.links = widgets.HTML()


def arrange(
    view: View, controls: Controls, buttons: Buttons, brush: Brush, shelf: Shelf
) -> list[widgets.Widget]:
    """Put all widgets in their places.

    Args:
        view: has the picture, its curves and its numbers.
        controls: has the sliders.
        buttons: has the buttons.
        brush: paints the region.
        shelf: has the moments kept.

    Returns:
        What stands below each other.
    """
    left = _box(
        "nst-left",
        view.originals,
        *controls.weights.values(),
        *controls.extras.values(),
        buttons.start,
        _row(buttons.step, buttons.anew),
        view.status,
    )
    # The brush has two views: its canvas over the picture, its tools in a tab.
    screen = widgets.Box([view.stage, brush, view.alert]).add_class("nst-screen")
    time_line = _row(view.film, view.time, buttons.go_back)
    middle = _box("nst-middle", screen, view.progress, time_line)
    tabs = {
        "Pictures": (controls.photo, controls.painting),
        "Mix": (
            controls.equaliser,
            widgets.VBox([controls.second, controls.mix]),
            widgets.VBox([controls.size, controls.colours]),
        ),
        "Region": (_row(controls.second, widgets.HTML(PAINT)), brush),
        "Moments": (_row(buttons.keep, view.compare, view.wipe), shelf),
        "Curves": (view.curves, widgets.VBox([view.pull, widgets.HTML(PULLS)])),
        "Finish": (
            _row(view.large, buttons.finish, view.estimate),
            _row(buttons.folder, buttons.take, buttons.recipe),
            buttons.links,
        ),
    }
    panels = widgets.Tab([_box("nst-panel", *parts) for parts in tabs.values()])
    for number, title in enumerate(tabs):
        panels.set_title(number, title)
    panels.add_class("nst-tabs")
    main = widgets.Box([left, middle, panels]).add_class("nst-main")

    def open_tab(_: dict) -> None:
        opened = list(tabs)[panels.selected_index]
        brushing = main.add_class if opened == "Region" else main.remove_class
        brushing("nst-brushing")
        if opened != "Moments":
            view.wipe.value = 0.0  # there is nothing else to switch it off by

    panels.observe(open_tab, "selected_index")
    return [style(), main]


def _button(text: str, tooltip: str, **more: str) -> widgets.Button:
    """Make a button as wide as what stands on it."""
    layout = {"width": "auto"}
    return widgets.Button(description=text, tooltip=tooltip, layout=layout, **more)


def _box(name: str, *parts: widgets.Widget) -> widgets.VBox:
    """Put widgets below each other."""
    return widgets.VBox(parts).add_class(name)


def _row(*parts: widgets.Widget) -> widgets.HBox:
    """Put widgets beside each other, in more than one row where there is no room."""
    return widgets.HBox(parts, layout={"flex_flow": "row wrap"}).add_class("nst-row")
