"""The losses of neural style transfer: pure functions of tensors.

Each is an L2 distance with its unit removed: 0 is a perfect match and 1 is "as wrong as
drawing nothing" (for total variation, "as rough as the photo"). So a weight means the
same for every picture, size, layer and network.
"""

from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import mse_loss

# What the relative losses divide by is at least this (mean square per entry), so that
# a flat photo or a black painting divides by no zero. Features of photos lie between
# 0.1 and 3, entries of their Gram matrices between 1e-3 and 1; a photo's total
# variation lies between 1e-4 and 1e-2 and falls as it is enlarged.
FLOOR = 1e-8
TV_FLOOR = 1e-4


def gram_matrix(features: Tensor) -> Tensor:
    """Measure how strongly each two channels of a layer light up together.

    G = F Fᵀ / (H·W), where row i of F, of shape (C, H·W), is channel i laid flat.

    Args:
        features: (1, C, H, W), one layer's activations.

    Returns:
        (C, C), symmetric; entry (i, j) is the mean over positions of channel i times
        channel j. Where things are is gone.

    Raises:
        RuntimeError: features of more than one picture.

    Source: Gatys et al. 2016, section 2.2, equation 3; they divide later, by 4N²M².
    """
    _, channels, height, width = features.shape
    flat = features.reshape(channels, height * width)
    return flat @ flat.T / (height * width)


def relative_error(x: Tensor, target: Tensor) -> Tensor:
    """Compute ‖x − target‖² / ‖target‖².

    The mean square of the target counts as 1e-8 at least.

    Args:
        x: any shape.
        target: the same shape.

    Returns:
        (), 0 or more: 0 is equal, 1 is as wrong as x = 0.
    """
    # A norm, squared, needs no room for the squares of all features.
    off = vector_norm(x.to(target.dtype) - target) ** 2 / target.numel()
    mean_square = vector_norm(target) ** 2 / target.numel()
    return off / mean_square.clamp_min(FLOOR)


def weighted_mean(errors: dict[str, Tensor], layers: dict[str, float]) -> Tensor:
    """Compute Σ w e / Σ w over the layers.

    Args:
        errors: {layer: ()}.
        layers: {layer: weight}, each weight 0 or more, one at least above 0.

    Returns:
        ().
    """
    return sum(w * errors[name] for name, w in layers.items()) / sum(layers.values())


def content_loss(
    features: dict[str, Tensor], target: dict[str, Tensor], layers: dict[str, float]
) -> Tensor:
    """Measure how far the picture's features are from the photo's.

    L_content = Σ w ‖F − F_photo‖² / ‖F_photo‖² / Σ w, over the layers.

    Args:
        features: {layer: (1, C, H, W)}, of the picture.
        target: {layer: (1, C, H, W)}, of the photo.
        layers: {layer: weight}, each weight 0 or more, one at least above 0.

    Returns:
        (), 0 or more.

    Source: Gatys et al. 2016, section 2.1, equation 1, made relative.
    """
    errors = {name: relative_error(features[name], target[name]) for name in layers}
    return weighted_mean(errors, layers)


def style_loss(
    features: dict[str, Tensor], target: dict[str, Tensor], layers: dict[str, float]
) -> Tensor:
    """Measure how far the picture's Gram matrices are from the painting's.

    L_style = Σ w ‖G − G_painting‖² / ‖G_painting‖² / Σ w, over the layers.

    Args:
        features: {layer: (1, C, H, W)}, of the picture.
        target: {layer: (C, C)}, Gram matrices of the painting.
        layers: {layer: weight}, each weight 0 or more, one at least above 0.

    Returns:
        (), 0 or more.

    Source: Gatys et al. 2016, section 2.2, equations 4 and 5, made relative.
    """
    errors = {n: relative_error(gram_matrix(features[n]), target[n]) for n in layers}
    return weighted_mean(errors, layers)


def total_variation(image: Tensor) -> Tensor:
    """Average the squared differences between neighbouring pixels.

    TV = mean (x[i+1, j] − x[i, j])² + mean (x[i, j+1] − x[i, j])²

    Args:
        image: (1, 3, H, W) in [0, 1].

    Returns:
        (), 0 for a flat image; near 0.003 for a photo of 256 pixels.

    Source: the squared form of Mahendran and Vedaldi 2015, section 3 (β = 2).
    """
    down = mse_loss(image[:, :, 1:, :], image[:, :, :-1, :])
    right = mse_loss(image[:, :, :, 1:], image[:, :, :, :-1])
    return down + right


def tv_loss(image: Tensor, photo: Tensor) -> Tensor:
    """Measure how rough a picture is, as a ratio to the photo.

    L_tv = TV(image) / max(TV(photo), 1e-4)

    Args:
        image: (1, 3, H, W) in [0, 1].
        photo: (1, 3, H, W) in [0, 1].

    Returns:
        (), 0 for a flat image, 1 for one as rough as the photo, if that is no flat one.

    Source: not in Gatys et al. 2016; calms the speckle that L_style allows.
    """
    return total_variation(image) / total_variation(photo).clamp_min(TV_FLOOR)


def range_loss(image: Tensor) -> Tensor:
    """Measure how far pixels leave [0, 1], where no screen can show them.

    L_range = mean (x − clip(x, 0, 1))²

    A clamp would change the picture behind the optimiser's back; this smooth penalty
    lets L-BFGS see the border coming.

    Args:
        image: (1, 3, H, W).

    Returns:
        (), 0 where every pixel can be shown.

    Source: not in Gatys et al. 2016.
    """
    return mse_loss(image, image.clamp(0, 1))
