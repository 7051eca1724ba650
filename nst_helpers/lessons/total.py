"""Lesson 6's third step: the total of a picture, and its gradient."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..losses import range_loss, relative_error, total_variation, tv_loss
from ..settings import Settings
from ..terms import RANGE_WEIGHT
from ..vgg import VGG19
from .hints import Hint, call, check, compare


@check
def check_painting_loss(
    painting_loss: Callable[[Tensor], Tensor],
    vgg: VGG19,
    photo: Tensor,
    painting: Tensor,
) -> str:
    """Check lesson 6's total of a picture, and its gradient.

    L = 1 · content + 100 · style + 0.3 · total variation + 5000 · range

    Args:
        painting_loss: (1, 3, H, W) to one number, with the default weights; it knows
            the photo and the painting.
        vgg: the network.
        photo: (1, 3, H, W).
        painting: (1, 3, h, w).

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    # Unlike the photo in all four, and outside [0, 1] here and there.
    x = (photo.flip(3) * 1.3 - 0.1).requires_grad_()
    answer = call(lambda: painting_loss(x))
    parts, mistakes = _measure(x, vgg, photo, painting)
    right = sum(parts.values())
    compare(answer.detach() if isinstance(answer, Tensor) else answer, right, mistakes)
    if not isinstance(answer, Tensor) or not answer.requires_grad:
        raise Hint(
            "The number is right, but it has no gradient: something on the way has cut "
            "it off from the pixels. Look for .item(), .detach(), .data or no_grad()."
        )
    (gradient,) = torch.autograd.grad(answer, x, allow_unused=True)
    gradient = torch.zeros_like(x) if gradient is None else gradient
    if not _alike(gradient, *torch.autograd.grad(right, x, retain_graph=True)):
        for name, part in parts.items():
            rest = torch.autograd.grad(right - part, x, retain_graph=True)
            if _alike(gradient, *rest):
                raise Hint(
                    f"The number is right, but its gradient knows nothing of {name}: "
                    "there something is detached from the pixels."
                )
        seen = parts["tv"] + parts["range"]
        if _alike(gradient, *torch.autograd.grad(seen, x, retain_graph=True)):
            raise Hint(
                "The number is right, but its gradient knows nothing of content and "
                "style: the picture's features are detached. Only the targets may be."
            )
        raise Hint("The number is right, but its gradient is not: is a part detached?")
    return "Number and gradient are those of nst_helpers."


def _measure(
    x: Tensor, vgg: VGG19, photo: Tensor, painting: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Compute the four parts of the total of x, and the totals of likely mistakes."""
    settings = Settings()
    content, layers = settings.content_layers, settings.style_layers
    features = vgg(x, content.keys() | layers.keys())
    there, aim = vgg(painting, layers), vgg(photo, content)
    rows = {n: features[n][0].flatten(1) for n in layers}
    aims = {n: there[n][0].flatten(1) for n in layers}

    def sizes(n: str) -> tuple[int, int]:
        return rows[n].shape[1], aims[n].shape[1]

    def style_of(divide: bool, weights: dict[str, float], total: float) -> Tensor:
        errors = 0.0
        for name, weight in weights.items():
            here, goal = sizes(name) if divide else (1, 1)
            g = rows[name] @ rows[name].T / here
            target = aims[name] @ aims[name].T / goal
            errors = errors + weight * relative_error(g, target)
        return errors / total

    loud = sum(layers.values())
    near = sum(w * relative_error(features[n], aim[n]) for n, w in content.items())
    raw = {
        "content": near / sum(content.values()),
        "style": style_of(True, layers, loud),
        "tv": tv_loss(x, photo),
        "range": range_loss(x),
    }
    weights = {
        "content": settings.content_weight,
        "style": settings.style_weight,
        "tv": settings.tv_weight,
        "range": RANGE_WEIGHT * 100,
    }
    parts = {name: weights[name] * raw[name] for name in raw}
    total = sum(parts.values())

    def instead(style: Tensor) -> Tensor:
        return total - parts["style"] + weights["style"] * style

    # Beside the rest, a wrongly scaled tv or range is as good as none.
    small = {
        "tv": ", or not divided by the photo's",
        "range": ", or its weight of 5000 is",
    }
    mistakes = {
        f"{n} is missing from the sum{small.get(n, '')}.": total - parts[n]
        for n in parts
    }
    rough = weights["tv"] * total_variation(x)
    mistakes |= {
        "content and style are missing from the sum.": parts["tv"] + parts["range"],
        "total variation and range are missing from the sum.": parts["content"]
        + parts["style"],
        "You added the four without their weights 1, 100, 0.3 and 5000.": sum(
            raw.values()
        ),
        "The divisor of your Gram matrix is wrong: photo and painting have different "
        "numbers of places, so each divides by its own H·W.": instead(
            style_of(False, layers, loud)
        ),
        "In the style all layers count alike: use the weights 256, 64, 16, 4, "
        "1.": instead(style_of(True, dict.fromkeys(layers, 1.0), len(layers))),
        "Divide the style by the sum of its layers' weights.": instead(
            style_of(True, layers, 1.0)
        ),
        "Divide the style by the sum of its layers' weights, not by their "
        "number.": instead(style_of(True, layers, len(layers))),
        "Divide the total variation by the photo's.": total - parts["tv"] + rough,
    }
    # Compared without gradients; the parts keep theirs.
    return parts, {hint: value.detach() for hint, value in mistakes.items()}


def _alike(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).norm() <= 1e-3 * b.norm())
