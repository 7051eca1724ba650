"""The studio's widgets: what each is, where it stands, and what the sliders say."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
from torch import Tensor

from ..files import InputError
from ..settings import TERMS, Settings
from .curves import label
from .gallery import LARGEST, ImagePicker
from .view import LARGE_SIZES, View, row

SIZES = (64, 96, 128, 160, 192, LARGEST)  # of the preview
COLOURS = ("as painted", ""), ("of the photo", "photo"), ("of the painting", "painting")
FIRST, SECOND = "hokusai great wave", "kandinsky composition viii"
WIDTHS = dict.fromkeys(("Start", "Pause", "Step", "Stop", "Reset"), 58)  # of buttons
WIDTHS |= {"Go on from here": 135, "Take home": 90, "Finish": 70}
CSS = Path(__file__).with_name("studio.css").read_text(encoding="utf-8")


class Controls:
    """Make the studio's widgets, but for those of the view, and arrange them all.

    Args:
        images: a folder with content/ and style/ in it.
        settings: where the sliders stand at first.
        on_photo: called when another photo is chosen.
        on_painting: called when another painting is chosen.
        on_change: called when a slider is moved.
        on_refuse: called with a line when a choice or an upload is no picture.

    Attributes:
        photo: picker of the photo.
        painting: picker of the painting.
        buttons: {what it says: widget}.
        recipe: widget to upload one.

    Raises:
        InputError: no pictures there.
    """

    def __init__(
        self,
        images: Path,
        settings: Settings,
        on_photo: Callable[[], None],
        on_painting: Callable[[], None],
        on_change: Callable[[], None],
        on_refuse: Callable[[str], None],
    ) -> None:
        self._on_painting, self._on_change = on_painting, on_change
        self._on_refuse = on_refuse
        self._quiet = False  # code moves the sliders: nothing is called
        size = LARGE_SIZES[-1]
        self.photo = ImagePicker(
            "photo", images / "content", "cat", size, on_photo, on_refuse
        )
        self.painting = ImagePicker(
            "painting", images / "style", FIRST, size, self._choose, on_refuse
        )
        self._second = widgets.Dropdown(description="mixed with", **row(310))
        self._offer_second(SECOND)
        self._second_image = self.painting.load(self._second.value)
        self._second.observe(self._choose_second, "value")
        self._weights = {
            f"{name}_weight": widgets.SelectionSlider(
                options=_plain(_around(getattr(Settings(), f"{name}_weight"))),
                description=label(name),
                **row(304, 98),
            )
            for name in TERMS
        }
        self._size = widgets.SelectionSlider(
            options=_plain(SIZES),
            description="size (px)",
            continuous_update=False,  # each change of size blurs a little
            **row(304, 98),
        )
        self._mix = widgets.FloatSlider(
            max=1.0, step=0.05, description="mix", readout_format=".0%", **row(310)
        )
        self._colours = widgets.Dropdown(
            options=COLOURS, description="colours", **row(220, 55)
        )
        choices = self._mix, self._size, self._colours, *self._weights.values()
        for slider in choices:
            slider.observe(self._change, "value")
        self._layers, self._equaliser = {}, widgets.HBox()
        self.show(settings)
        self.buttons = {
            name: widgets.Button(description=name, layout={"width": f"{width}px"})
            for name, width in WIDTHS.items()
        }
        self.buttons["Start"].button_style = "success"
        self.recipe = widgets.FileUpload(
            accept=".json",
            description="load recipe",
            tooltip="Move the sliders to where a classmate's recipe has them",
            layout={"width": "150px"},
        )

    @property
    def paintings(self) -> list[Tensor]:
        """The two chosen, each (1, 3, H, W) in [0, 1]."""
        return [self.painting.image, self._second_image]

    def settings(self, base: Settings) -> Settings:
        """Read the sliders; base gives the rest. All weights at 0: an InputError."""
        said = {field: slider.value for field, slider in self._weights.items()}
        layers = {name: slider.value for name, slider in self._layers.items()}
        if any(layers.values()):
            said["style_layers"] = layers
        else:  # no layer counts: no style
            said["style_weight"] = 0.0
        said["mix"] = 1 - self._mix.value, self._mix.value
        said["keep_colors"] = self._colours.value or None
        return replace(base, size=self._size.value, **said)

    def show(self, settings: Settings) -> None:
        """Put the sliders where settings have them, without calling on_change.

        Args:
            settings: of a run.

        Raises:
            InputError: they mix more than two paintings.
        """
        if len(settings.mix) > 2:
            count = len(settings.mix)
            raise InputError(f"the studio mixes two paintings, not {count}")
        self._quiet = True
        for field, slider in self._weights.items():
            _move(slider, getattr(settings, field))
        _move(self._size, settings.size)
        self._colours.value = settings.keep_colors or ""
        mix = settings.mix
        self._mix.value = mix[1] / sum(mix) if len(mix) == 2 else 0.0
        for slider in self._layers.values():
            slider.close()
        self._layers = {
            name: widgets.FloatSlider(
                value=weight,
                max=max(20.0, 2 * weight),
                step=0.5,
                description=name,
                orientation="vertical",
                readout_format=".3g",
                layout={"width": "56px", "height": "150px"},
            )
            for name, weight in settings.style_layers.items()
        }
        for slider in self._layers.values():
            slider.observe(self._change, "value")
        self._equaliser.children = list(self._layers.values())
        self._quiet = False

    def arrange(self, view: View) -> list[widgets.Widget]:
        """Put all widgets in their places.

        Args:
            view: has the others.

        Returns:
            What stands below each other.
        """
        *playing, resume, download, finish = self.buttons.values()
        left = _column(
            310,
            *self._weights.values(),
            widgets.HTML("How much each style layer counts"),
            self._equaliser,
            self._size,
            widgets.HBox(playing),
            view.status,
        )
        middle = _column(
            440,
            view.result,
            view.progress,
            widgets.HBox([view.time, resume]),
            _wrapped(view.compare, self._colours),
        )
        right = _column(
            350,
            view.originals,
            view.curves,
            widgets.HBox([view.large, finish, view.estimate]),
            widgets.HBox([download, self.recipe]),
            view.links,
        )
        mixing = widgets.VBox([self._second, self._mix])
        top = _wrapped(self.photo, self.painting, mixing)
        main = _wrapped(left, middle, right)
        for columns in (top, main):
            columns.add_class("nst-columns")
        style = widgets.HTML(f"<style>{CSS}</style>", layout={"display": "none"})
        return [style, top, view.alert, main]

    def _change(self, _: dict) -> None:
        """Hand a slider's move on."""
        if not self._quiet:
            self._on_change()

    def _choose(self) -> None:
        """Hand a choice of painting on; it may be a new one."""
        if list(self._second.options) != self.painting.names:
            self._offer_second(self._second.value)
        self._on_painting()

    def _choose_second(self, change: dict) -> None:
        """Hand a choice on; or go back to the one before, if its file is gone."""
        if self._quiet:
            return
        try:
            self._second_image = self.painting.load(change["new"])
        except InputError as error:
            self._offer_second(change["old"])
            self._on_refuse(str(error))
        else:
            self._on_painting()

    def _offer_second(self, name: str) -> None:
        """List the paintings that can be mixed in."""
        names, self._quiet = self.painting.names, True
        self._second.options = names
        self._second.value = name if name in names else names[-1]
        self._quiet = False


def _column(width: int, *parts: widgets.Widget) -> widgets.VBox:
    """Put widgets below each other."""
    return widgets.VBox(parts, layout={"width": f"{width}px"})


def _wrapped(*parts: widgets.Widget) -> widgets.HBox:
    """Put widgets beside each other, in more than one row where the page is narrow."""
    return widgets.HBox(parts, layout={"flex_flow": "row wrap"})


def _around(middle: float) -> list[float]:
    """List 0 and a hundredth to a hundredfold of a weight, ten to each power of ten."""
    steps = (float(f"{middle * 10 ** (k / 10):.2g}") for k in range(-20, 21))
    return [0.0, *steps]


def _plain(values: Sequence[float]) -> list[tuple[str, float]]:
    """Label values with plain numbers, in order."""
    return [(f"{value:g}", value) for value in sorted(set(values))]


def _move(slider: widgets.SelectionSlider, value: float) -> None:
    """Move a slider to a value, one of its own or not."""
    values = [v for _, v in slider.options]
    if value not in values:
        slider.options = _plain([*values, value])
    slider.value = value
