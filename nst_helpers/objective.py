"""The whole loss of a picture and its gradient: a pass forward, and a pass back.

`loss.backward()` on the sum of the losses would give the same; the lessons do that, and
the tests compare. But nearly all of the work is the network, and autograd keeps more of
it and copies more than it must. So here only what is small is left to autograd, and the
way back through the network is gone by hand, layer by layer: each layer's features are
freed once they have been used.
"""

import torch
from torch import Tensor

from .losses import (
    content_loss,
    gram_matrix,
    range_loss,
    relative_error,
    tv_loss,
    weighted_mean,
)
from .settings import TERMS, Settings
from .vgg import VGG19

RANGE_WEIGHT = 50.0  # times the other three: cutting off then moves no loss by 1 %


def losses_and_gradient(
    vgg: VGG19,
    pixels: Tensor,
    photo: Tensor,
    content: dict[str, Tensor],
    style: dict[str, Tensor],
    settings: Settings,
) -> tuple[dict[str, Tensor], Tensor]:
    """Compute the losses of a picture, and the gradient of their weighted sum.

    L = α L_content + β L_style + γ L_tv + 50 (α + β + γ) L_range

    Args:
        vgg: measures the picture.
        pixels: (1, 3, H, W), the picture.
        photo: (1, 3, H, W).
        content: {layer: (1, C, h, w)}, features of the photo; none: no such term.
        style: {layer: (C, C)}, Gram matrices of the painting; none: no such term.
        settings: give the weights.

    Returns:
        {"content", "style", "tv", "range", "total"}, each (), without terms of weight
        0; and (1, 3, H, W), dL / d pixels.

    Source: Gatys et al. 2016, equation 7, with a smoothness and a range term.
    """
    names = content.keys() | style.keys()
    with torch.no_grad(), vgg.in_arena(pixels, names) as is_large:
        # The losses are functions of features, Gram matrices and pixels: by these three
        # autograd differentiates them.
        layers, features, grams = [], {}, {}
        for name, f in vgg.walk(pixels, names):
            # The first layer of a large picture is not kept but computed again.
            is_kept = not (is_large and name == "conv1_1")
            if name in content:
                features[name] = f.detach() if is_kept else f.clone()
            if name in style:
                grams[name] = gram_matrix(f).float()
            layers.append((name, f if is_kept else None))
        picture = pixels.detach()
        inputs = *features.values(), *grams.values(), picture
        weights = {name: getattr(settings, f"{name}_weight") for name in TERMS}
        weights["range"] = RANGE_WEIGHT * sum(weights.values())
        terms = {}
        with torch.enable_grad():
            for x in inputs:
                x.requires_grad_()
            if content:
                wanted = {name: settings.content_layers[name] for name in content}
                terms["content"] = content_loss(features, content, wanted)
            if style:
                wanted = {name: settings.style_layers[name] for name in style}
                errors = {n: relative_error(grams[n], style[n]) for n in style}
                terms["style"] = weighted_mean(errors, wanted)
            if weights["tv"]:
                terms["tv"] = tv_loss(picture, photo)
            terms["range"] = range_loss(picture)
            terms["total"] = sum(weights[name] * terms[name] for name in terms)
            *pulls, of_pixels = torch.autograd.grad(terms["total"], inputs)
        of_features = dict(zip(features, pulls, strict=False))
        of_grams = dict(zip(grams, pulls[len(features) :], strict=True))
        del features, inputs  # the walk back frees them one by one
        gradient = torch.zeros_like(f if layers else pixels)
        while layers:
            name, f = layers.pop()
            if f is None:
                f = vgg(pixels, [name])[name]
            if name in content:
                gradient += of_features.pop(name)
            if name in style:
                _add_pull(gradient, f, of_grams[name])
            below = layers[-1][1] if layers else None
            gradient = vgg.pull_back(name, f, gradient, below)
        gradient = gradient + of_pixels
    return {name: term.detach() for name, term in terms.items()}, gradient


def _add_pull(gradient: Tensor, features: Tensor, of_gram: Tensor) -> None:
    """Add to a gradient what a Gram matrix pulls its features by.

    dL/dF = (dL/dG + dL/dGᵀ) F / (H·W), by the product rule.
    """
    places = gradient.squeeze(0).flatten(1).T  # (H·W, C), as they lie in memory
    pull = (of_gram + of_gram.T) / len(places)
    places.addmm_(features.squeeze(0).flatten(1).T, pull.to(features.dtype))
