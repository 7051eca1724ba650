"""Neural style transfer, small enough to be read in an afternoon.

Read vgg, losses, spectrum and transfer, in this order: they are the method. fast only
makes it quicker; the rest is settings, files, figures, the checks of the lessons and
the studio.

Method: Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural
Networks", CVPR 2016.
"""

import os

# Threads that wait in a loop would take the cores from other programs. Torch reads it
# when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from .files import InputError
from .images import load_image, save_image
from .limits import use_cores
from .losses import (
    ContentLoss,
    Loss,
    RangeLoss,
    StyleLoss,
    TotalVariationLoss,
    content_loss,
    gram_matrix,
    style_loss,
    tv_loss,
)
from .plots import (
    film_strip,
    save_gif,
    show_distances,
    show_images,
    show_losses,
    show_maps,
    show_triptych,
)
from .run import forecast, stylize
from .settings import Settings
from .step import Step
from .transfer import StyleTransfer
from .vgg import VGG19

use_cores()
