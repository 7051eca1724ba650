"""The names of VGG19's layers, the channels of each, and how much each counts."""

from collections.abc import Mapping
from typing import Any, NoReturn

from .files import InputError, check_number, tell

# Convolutions and channels of each block; pooling stands between the blocks.
BLOCKS = {1: (2, 64), 2: (2, 128), 3: (4, 256), 4: (4, 512), 5: (4, 512)}
CHANNELS = {
    f"conv{block}_{i + 1}": channels
    for block, (count, channels) in BLOCKS.items()
    for i in range(count)
}
LAYERS = tuple(CHANNELS)


def layer_name(name: str) -> str:
    """Return the name that begins with conv; relu1_1 means conv1_1, after its ReLU."""
    layer = name.replace("relu", "conv") if isinstance(name, str) else name
    if layer not in LAYERS:
        raise InputError(f"no layer {name!r}; there are {', '.join(LAYERS)}")
    return layer


class LayerWeights(dict):
    """Hold {layer: weight} as a dict that cannot be changed.

    Each weight is 0 to 1e6, one at least above 0; the name, of the setting, is for the
    errors.
    """

    def __init__(self, layers: Mapping[str, float], name: str = "layers") -> None:
        try:
            given = dict(layers)
        except (TypeError, ValueError):
            line = f"{name} is {{layer: weight}}, not {tell(layers)}"
            raise InputError(line) from None
        super().__init__(
            {
                layer_name(layer): check_number(f"{name}[{layer!r}]", w, 0.0, 1e6)
                for layer, w in given.items()
            }
        )
        if len(self) < len(given):
            raise InputError(f"{name} names a layer twice, as conv and as relu")
        if not any(self.values()):
            raise InputError(f"{name} needs a layer with a weight above 0")

    def __hash__(self) -> int:
        """Hash what does not change; Settings are hashed with it."""
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as what it is."""
        return LayerWeights, (dict(self),)

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise InputError("settings do not change; make others with dataclasses.replace")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


CONTENT_LAYERS = LayerWeights({"conv4_2": 1.0})
STYLE_LAYERS = LayerWeights(
    {"conv1_1": 256.0, "conv2_1": 64.0, "conv3_1": 16.0, "conv4_1": 4.0, "conv5_1": 1.0}
)
