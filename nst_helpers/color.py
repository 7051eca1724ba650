"""The colours of one picture, the brightness of another."""

from torch import Tensor

from .pixels import stretch


def recolour(image: Tensor, colours: Tensor) -> Tensor:
    """Give an image the colours of another, and keep its brightness.

    x = colours + Y(image) − Y(colours), where Y = 0.299 R + 0.587 G + 0.114 B.

    Args:
        image: (1, 3, H, W) in [0, 1].
        colours: (1, 3, h, w) in [0, 1], stretched to the image's size.

    Returns:
        (1, 3, H, W) in [0, 1].

    Source: Gatys et al. 2017, "Controlling Perceptual Factors in Neural Style
    Transfer", CVPR, section 5.1; the brightness is that of ITU-R BT.601.
    """
    colours = stretch(colours, *image.shape[2:])
    weights = colours.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    lighter = ((image - colours) * weights).sum(1, keepdim=True)
    return (colours + lighter).clamp(0, 1)
