"""Neural style transfer, small enough to be read in an afternoon.

Read losses, vgg, objective, frequencies and transfer, in this order: they are the
method. fast, arena and winograd only make it quicker, budget fits it to the computer;
the rest is settings, files, figures, the checks of the lessons and the studio.

Method: Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural
Networks", CVPR 2016.
"""

from .files import InputError
from .images import load_image, save_image
from .losses import content_loss, gram_matrix, style_loss, tv_loss
from .plots import (
    film_strip,
    save_gif,
    show_distances,
    show_images,
    show_losses,
    show_maps,
    show_triptych,
)
from .settings import Settings
from .transfer import Step, StyleTransfer, forecast, stylize
from .vgg import VGG19

__all__ = [
    "VGG19",
    "InputError",
    "Settings",
    "Step",
    "StyleTransfer",
    "content_loss",
    "film_strip",
    "forecast",
    "gram_matrix",
    "load_image",
    "save_gif",
    "save_image",
    "show_distances",
    "show_images",
    "show_losses",
    "show_maps",
    "show_triptych",
    "style_loss",
    "stylize",
    "tv_loss",
]
