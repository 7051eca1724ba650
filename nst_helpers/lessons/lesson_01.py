"""Lesson 1: VGG-19's first layer and its pooling."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from ..vgg import VGG19
from .hints import call, check, compare, draw


@check
def check_first_layer(first_layer: Callable[[Tensor], Tensor], vgg: VGG19) -> str:
    """Check lesson 1's first layer: relu(conv((image − mean) / std)).

    Args:
        first_layer: (1, 3, H, W) in [0, 1] to (1, 64, H, W).
        vgg: whose conv1_1 it is.

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    image, conv = draw(1, 3, 8, 10), vgg.convs["conv1_1"]
    centred = image - vgg.mean
    mistakes = {
        "You left out the mean and the deviation: the weights expect numbers from "
        "about -2 to 2.6, not from 0 to 1.": relu(conv(image)),
        "You subtract the mean, but do not divide by std.": relu(conv(centred)),
        "You divide by std, but do not subtract the mean.": relu(conv(image / vgg.std)),
        "You multiply by std: divide by it.": relu(conv(centred * vgg.std)),
        "The ReLU is missing: there are numbers below 0.": conv(centred / vgg.std),
        "The ReLU comes last: it acts on what the convolution gives.": conv(
            relu(centred / vgg.std)
        ),
    }
    compare(call(first_layer, image), vgg(image, ["conv1_1"])["conv1_1"], mistakes)
    return "vgg(photo, ['conv1_1']) does the same."


@check
def check_halve(halve: Callable[[Tensor], Tensor]) -> str:
    """Check lesson 1's average pooling: the mean of every 2 × 2 square.

    Args:
        halve: (1, C, H, W), H and W even, to (1, C, H/2, W/2).

    Returns:
        One sentence; it begins with "Right" if it is.
    """
    x = draw(1, 3, 6, 8)
    right = avg_pool2d(x, 2)
    mistakes = {
        "That is the largest of the four, max pooling: take their mean.": max_pool2d(
            x, 2
        ),
        "You added the four, but did not divide by 4.": 4 * right,
        "You keep one of the four and forget the other three.": x[..., ::2, ::2],
        "You halved the width only.": (x[..., ::2] + x[..., 1::2]) / 2,
        "You halved the height only.": (x[..., ::2, :] + x[..., 1::2, :]) / 2,
    }
    compare(call(halve, x), right, mistakes)
    return "avg_pool2d(x, 2), which nst_helpers uses, gives the same."
