"""The reference: style transfer as today's best-known code does it.

One scale, float32, pixels as the variables, torch.optim.LBFGS with its defaults and
strong Wolfe, a network written down layer by layer. Objective and weights are ours.
"""

import time

import torch
from torch.nn.functional import avg_pool2d, conv2d, relu

from nst_helpers import VGG19
from nst_helpers.layers import LAYERS
from nst_helpers.losses import range_loss, relative_error, tv_loss
from nst_helpers.pixels import resize
from nst_helpers.terms import RANGE_WEIGHT


class Enough(Exception):
    """Leave the optimiser."""


def load_network(settings, **kind):
    """Return {layer: (weight, bias)}."""
    convs = VGG19(settings.weights).convs
    return {
        name: (c.weight.contiguous().to(**kind), c.bias.to(kind.get("dtype")))
        for name, c in convs.items()
    }


def extract(network, image, last="conv5_1"):
    """Return {layer: features} up to the last one."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    x, features = ((image - mean) / std).to(network["conv1_1"][0].dtype), {}
    for name in LAYERS[: LAYERS.index(last) + 1]:
        if name.endswith("_1") and name != "conv1_1":
            x = avg_pool2d(x, 2)
        if name in network:
            x = relu(conv2d(x, *network[name], padding=1))
        features[name] = x
    return features


def gram(features):
    """Return F Fᵀ / (H·W)."""
    flat = features.view(features.shape[1], -1)
    return flat @ flat.T / flat.shape[1]


def together(settings):
    """Return the sum of the three weights."""
    return settings.content_weight + settings.style_weight + settings.tv_weight


def objective(photo, painting, settings):
    """Return the function from pixels to the loss, at the size of the settings."""
    network = load_network(settings)
    photo, painting = (resize(x, settings.size) for x in (photo, painting))
    layers = settings.style_layers
    with torch.no_grad():
        target = extract(network, photo)["conv4_2"]
        style = extract(network, painting)
        grams = {name: gram(style[name]) for name in layers}

    def total(pixels):
        features = extract(network, pixels)
        errors = [
            w * relative_error(gram(features[n]), grams[n]) for n, w in layers.items()
        ]
        terms = [
            (settings.content_weight, relative_error(features["conv4_2"], target)),
            (settings.style_weight, sum(errors) / sum(layers.values())),
            (settings.tv_weight, tv_loss(pixels, photo)),
        ]
        loss = sum(weight * term for weight, term in terms)
        return loss + RANGE_WEIGHT * together(settings) * range_loss(pixels)

    return total, photo


def paint(photo, painting, settings, evaluations):
    """Return the picture, and (seconds, loss) at each evaluation."""
    total, start = objective(photo, painting, settings)
    pixels, scale = start.clone().requires_grad_(), 100 / together(settings)
    optimizer = torch.optim.LBFGS(
        [pixels],
        max_iter=evaluations,
        max_eval=evaluations,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    found, began = [], time.perf_counter()

    def closure():
        if len(found) == evaluations:
            raise Enough
        optimizer.zero_grad()
        loss = total(pixels)
        (scale * loss).backward()
        found.append((time.perf_counter() - began, loss.item()))
        return scale * loss.item()

    try:
        optimizer.step(closure)
    except Enough:
        pass
    return pixels.detach().clamp(0, 1), found
