"""VGG19 as a function: an image and names of layers in, features by name out."""

import os
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .files import InputError
from .layers import LAYERS, layer_name
from .limits import use_cores
from .pretrained import read_parameters
from .settings import CHOICES


class VGG19(nn.Module):
    """Compute what a network trained on ImageNet sees in a picture.

    `vgg(image, ["conv1_1", "conv4_2"])` returns these layers' activations after their
    ReLU, {name: features}. The weights ask for no gradient: only the pixels learn.

    Args:
        weights: "bundled" (in the package: VGG-16's), "imagenet" (torchvision's VGG-19,
            downloaded once, or where $NST_WEIGHTS points), "random"
            (untrained), or a .safetensors or .pth file in torchvision's layout.
        pooling: "avg", which Gatys et al. recommend for pictures, or "max", as trained.
        padding: beyond the border: "reflect", "replicate" or "zeros", as trained.
        seed: chooses the random weights.

    Raises:
        InputError: weights that cannot be had or used, unknown pooling or padding.

    Source: Simonyan and Zisserman 2015; Gatys et al. 2016, section 2.
    """

    def __init__(
        self,
        weights: str | os.PathLike = "bundled",
        pooling: str = "avg",
        padding: str = "reflect",
        seed: int = 0,
    ) -> None:
        super().__init__()
        use_cores()
        for value, name in ((pooling, "pooling"), (padding, "padding")):
            if value not in CHOICES[name]:
                raise InputError(f"{name} is {' or '.join(CHOICES[name])}, not {value}")
        # The average of ImageNet's pixels, and how far they lie from it.
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        self.convs = nn.ModuleDict()
        for name, parameters in read_parameters(weights, seed).items():
            D, C = parameters["weight"].shape[:2]
            tiny = name > "conv5"  # features of one pixel, perhaps: nothing to mirror
            mode = "replicate" if tiny and padding == "reflect" else padding
            with torch.device("meta"):  # no time spent on numbers replaced at once
                conv = nn.Conv2d(C, D, 3, padding=1, padding_mode=mode)
            alike = {key: value.to(self.mean) for key, value in parameters.items()}
            conv.load_state_dict(alike, assign=True)  # of this type, on this device
            self.convs[name] = conv
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(2) if pooling == "avg" else nn.MaxPool2d(2)
        # Each pixel's channels side by side: convolutions on processors want them so.
        self.requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, image: Tensor, layers: Iterable[str] | str) -> dict[str, Tensor]:
        """Compute the features of some layers, running no deeper than the deepest.

        Args:
            image: (1, 3, H, W) RGB in [0, 1]; mean and deviation are handled here.
            layers: names out of conv1_1 … conv5_4, or one; relu1_1 means conv1_1.

        Returns:
            {name: (1, C, h, w)}, 0 or more; blocks 2 to 5 halve h and w, rounded down.

        Raises:
            InputError: an unknown layer; the line lists the sixteen.
        """
        layers = [layers] if isinstance(layers, str) else list(layers)
        wanted = {name: layer_name(name) for name in layers}
        deepest = max(map(LAYERS.index, wanted.values()), default=-1)
        features, x = {}, (image - self.mean) / self.std
        for name in LAYERS[: deepest + 1]:
            if name.endswith("_1") and name != "conv1_1":  # a new block
                x = self.pool(x)
            if name in self.convs:  # VGG-16 has no conv3_4, conv4_4 and conv5_4
                x = self.relu(self.convs[name](x))
            if name in wanted.values():
                features[name] = x
        return {name: features[layer] for name, layer in wanted.items()}
