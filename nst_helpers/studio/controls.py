"""The studio's sliders: what each is, and what they say."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets

from ..files import InputError
from ..losses import Loss
from ..settings import TERMS, Settings
from .curves import label
from .gallery import ImagePicker
from .pace import SIZES
from .scene import Named, Scene, check_mix
from .view import LARGE_SIZES

COLOURS = ("as painted", ""), ("of the photo", "photo"), ("of the painting", "painting")
FIRST, SECOND = "hokusai great wave", "kandinsky composition viii"
ITSELF = ("by itself", 0)  # the size


class Controls:
    """Make the widgets that a scene is chosen by.

    Args:
        images: a folder with content/ and style/ in it.
        settings: where the sliders stand at first.
        extra: losses of one's own; each gets a slider.
        on_photo: called when another photo is chosen.
        on_change: called when anything else is changed.
        on_refuse: called with a line when a choice or an upload is no picture.

    Attributes:
        photo, painting: pickers.
        second: chooses the second painting.
        weights: {setting: slider}.
        extras: {name of a loss of one's own: slider}.
        mix, size, colours: the other choices.
        equaliser: one slider for each style layer.

    Raises:
        InputError: no pictures there.
    """

    def __init__(
        self,
        images: Path,
        settings: Settings,
        extra: Sequence[Loss],
        on_photo: Callable[[], None],
        on_change: Callable[[], None],
        on_refuse: Callable[[str], None],
    ) -> None:
        self._on_change, self._on_refuse = on_change, on_refuse
        self._quiet = False  # code moves the sliders: nothing is called
        self._first_size = settings.size
        size = LARGE_SIZES[-1]
        self.photo = ImagePicker(
            "photo", images / "content", "cat", size, on_photo, on_refuse
        )
        self.painting = ImagePicker(
            "painting", images / "style", FIRST, size, self._choose, on_refuse
        )
        self.second = widgets.Dropdown(description="second painting")
        self._first = self.painting.chosen
        self._offer_second(SECOND)
        self._second_image = self.painting.load(self.second.value)
        self.second.observe(self._choose_second, "value")
        defaults = {f"{term}_weight": term for term in TERMS}
        self.weights = {
            field: _weight(label(term), getattr(Settings(), field))
            for field, term in defaults.items()
        }
        self.extras = {loss.name: _weight(loss.name, loss.weight) for loss in extra}
        self.size = widgets.Dropdown(
            options=[ITSELF, *((f"{size} px", size) for size in SIZES)],
            description="size",
        )
        self.mix = widgets.FloatSlider(
            max=1.0, step=0.05, description="mix", readout_format=".0%"
        )
        self.colours = widgets.Dropdown(options=COLOURS, description="colours")
        others = *self.weights.values(), *self.extras.values()
        for choice in (self.mix, self.size, self.colours, *others):
            choice.observe(self._change, "value")
        self._layers, self.equaliser = {}, widgets.HBox()
        self.show(settings)

    @property
    def paintings(self) -> tuple[Named, Named]:
        """The two chosen."""
        return self.painting.chosen, Named(self.second.value, self._second_image)

    @property
    def grows(self) -> bool:
        """Whether the picture chooses its size by itself."""
        return not self.size.value

    def settings(self, base: Settings) -> Settings:
        """Read the sliders; base gives the rest. All weights at 0: an InputError."""
        said = {field: slider.value for field, slider in self.weights.items()}
        layers = {name: slider.value for name, slider in self._layers.items()}
        if any(layers.values()):
            said["style_layers"] = layers
        else:  # no layer counts: no style
            said["style_weight"] = 0.0
        said["mix"] = 1 - self.mix.value, self.mix.value
        said["keep_colors"] = self.colours.value or None
        return replace(base, size=self.size.value or self._first_size, **said)

    def show(self, settings: Settings, extra: dict[str, float] | None = None) -> None:
        """Put the sliders where settings have them, without calling on_change.

        Another size than the one that the studio began with is kept as it is.

        Args:
            settings: of a run.
            extra: {name: weight} of losses of one's own.

        Raises:
            InputError: they mix more than two paintings.
        """
        check_mix(settings)
        self._quiet = True
        for field, slider in self.weights.items():
            _move(slider, getattr(settings, field))
        for name, weight in (extra or {}).items():
            if name in self.extras:
                _move(self.extras[name], weight)
        if settings.size != self._first_size or self.size.value:
            self._choose_size(settings.size)
        self.colours.value = settings.keep_colors or ""
        mix = settings.mix
        self.mix.value = mix[1] / sum(mix) if len(mix) == 2 else 0.0
        if dict(settings.style_layers) != {n: s.value for n, s in self._layers.items()}:
            self._show_layers(settings.style_layers)
        self._quiet = False

    def show_scene(self, scene: Scene) -> None:
        """Put everything where a scene has it, without calling on_change.

        Args:
            scene: with pictures of these pickers.
        """
        self.photo.take(scene.photo)
        first, second = scene.paintings
        self.painting.take(first)
        self._offer_second(second.name)
        self._second_image = second.image
        size = scene.settings.size if self.size.value else self._first_size
        self.show(replace(scene.settings, size=size), dict(scene.extra))

    def let_grow(self, grows: bool) -> None:
        """Let the picture grow by itself, or stay in its first size; tell nobody."""
        self._quiet = True
        self._choose_size(0 if grows else self._first_size)
        self._quiet = False

    def _choose_size(self, size: int) -> None:
        """Choose a size, one of the list or not; 0 is that it grows."""
        if size not in (value for _, value in self.size.options):
            _, *sizes = self.size.options
            sizes = sorted([*sizes, (f"{size} px", size)], key=lambda pair: pair[1])
            self.size.options = [ITSELF, *sizes]
        self.size.value = size

    def _show_layers(self, layers: dict[str, float]) -> None:
        """Make a slider for each style layer."""
        for slider in self._layers.values():
            slider.close()
        self._layers = {
            name: widgets.FloatSlider(
                value=weight,
                max=max(20.0, 2 * weight),
                step=max(0.5, weight / 32),
                description=name,
                orientation="vertical",
                readout_format=".3g",
            )
            for name, weight in layers.items()
        }
        for slider in self._layers.values():
            slider.observe(self._change, "value")
        self.equaliser.children = list(self._layers.values())

    def _change(self, _: dict) -> None:
        """Hand a slider's move on."""
        if not self._quiet:
            self._on_change()

    def _choose(self) -> None:
        """Hand a choice of painting on; it may be a new one, or the second's."""
        if list(self.second.options) != self.painting.names:
            self._offer_second(self.second.value)
        if self.second.value == self.painting.value:
            self._offer_second(self._first.name)
            self._second_image = self._first.image
        self._first = self.painting.chosen
        self._on_change()

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
            self._on_change()

    def _offer_second(self, name: str) -> None:
        """List the paintings, one of them chosen."""
        names, self._quiet = self.painting.names, True
        self.second.options = names
        self.second.value = name if name in names else names[-1]
        self._quiet = False


def _weight(name: str, middle: float) -> widgets.SelectionSlider:
    """Make a slider from a hundredth to a hundredfold of a weight, and 0."""
    steps = (float(f"{(middle or 1) * 10 ** (k / 10):.2g}") for k in range(-20, 21))
    slider = widgets.SelectionSlider(options=_plain([0.0, *steps]), description=name)
    _move(slider, middle)
    return slider


def _plain(values: Sequence[float]) -> list[tuple[str, float]]:
    """Label values with plain numbers, in order."""
    return [(f"{value:g}", value) for value in sorted(set(values))]


def _move(slider: widgets.SelectionSlider, value: float) -> None:
    """Move a slider to a value, one of its own or not."""
    values = [v for _, v in slider.options]
    if value not in values:
        slider.options = _plain([*values, value])
    slider.value = value
