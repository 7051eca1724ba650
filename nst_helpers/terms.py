"""Which losses a run adds up, what they aim at, and where it starts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .color import match_colours, recolour
from .files import InputError, check_number, tell
from .layers import LayerWeights
from .losses import (
    ContentLoss,
    Loss,
    RangeLoss,
    StyleLoss,
    TotalVariationLoss,
    gram_matrix,
)
from .pixels import MIN_SIDE, check_image, fit_inside, resize
from .settings import Settings
from .vgg import VGG19

RANGE_WEIGHT = 50.0  # times the others: cutting off then moves no loss by 1 %
# What the settings say of losses; of no effect where others are given.
OF_LOSSES = ("content_weight", "style_weight", "tv_weight")
OF_LOSSES += ("content_layers", "style_layers", "mix", "style_scale")


def choose_losses(
    painting: Tensor | Sequence[Tensor] | None,
    settings: Settings,
    losses: Sequence[Loss] | None = None,
) -> tuple[Loss, ...]:
    """List the losses of a run: content, style of each painting, total variation.

    Or those given instead, if they can be added up; settings of theirs would then have
    no effect and are refused.
    """
    if losses is not None:
        if not isinstance(losses, list | tuple):
            raise InputError(f"losses are a list of them, not {tell(losses)}")
        return _check_losses(losses, settings)
    paintings = list(painting) if isinstance(painting, list | tuple) else [painting]
    mix = settings.mix or (1,) * len(paintings)
    count = len(paintings)
    if not paintings or len(mix) < count or any(mix[count:]):
        line = f"a mix of {len(mix)} needs as many paintings, not {count}"
        raise InputError(line if paintings else "give a painting, or several")
    # A layer of weight 0 would only cost time.
    content = {name: w for name, w in settings.content_layers.items() if w}
    style = {name: w for name, w in settings.style_layers.items() if w}
    chosen = [ContentLoss(settings.content_weight, content)]
    for number, (x, part) in enumerate(zip(paintings, mix, strict=False), start=1):
        name = "style" if number == 1 else f"style {number}"
        weight = settings.style_weight * part / sum(mix)
        chosen += [StyleLoss(x, weight, style, scale=settings.style_scale, name=name)]
    return *chosen, TotalVariationLoss(settings.tv_weight)


def _check_losses(losses: Sequence[Loss], settings: Settings) -> tuple[Loss, ...]:
    """Refuse losses that cannot be added up, or settings of no effect beside them."""
    for field in OF_LOSSES:
        if getattr(settings, field) != getattr(Settings(), field):
            raise InputError(
                f"{field} has no effect beside losses of your own; set it in these"
            )
    names = ["range", "total"]
    for loss in losses:
        if not isinstance(loss, Loss):
            raise InputError(f"losses are objects of Loss, not {tell(loss)}")
        if loss.name in names:
            raise InputError(f"there is another loss named {loss.name!r}; rename one")
        names.append(loss.name)
        if loss.layers:
            LayerWeights(loss.layers, f"the layers of {loss.name}")
    return tuple(losses)


def need_float32(losses: Sequence[Loss]) -> bool:
    """Tell whether features go to one's own: it need not know numbers of 16 bits."""
    ours = ContentLoss, StyleLoss, TotalVariationLoss, RangeLoss
    return any(
        type(loss) not in ours
        or vars(loss).get("statistic", gram_matrix) != gram_matrix
        for loss in losses
        if loss.layers
    )


class Target:
    """Hold what a run aims at, at one size: the photo's, (1, 3, H, W).

    Attributes:
        vgg, photo: as given.
        given: weights of the losses; None where they are to aim anew.
        terms: of the sum: losses of a weight above 0, and one that keeps pixels in
            [0, 1].
        weights: {name: weight} of the terms.
        layers: names of all that they look at.
        factor: makes the weights add up to 100: only their ratio matters, but to L-BFGS
            the size of the loss does too.
    """

    @torch.no_grad()
    def __init__(self, vgg: VGG19, photo: Tensor, losses: Sequence[Loss]) -> None:
        self.vgg, self.photo = vgg, photo
        self.given = [loss.weight for loss in losses]
        for loss in losses:
            check_number(f"the weight of {loss.name}", loss.weight, 0.0, 1e6)
        if not sum(self.given) > 0:
            raise InputError("no loss has a weight above 0; raise one")
        in_range = RangeLoss(RANGE_WEIGHT * sum(self.given))
        self.terms = [*(loss for loss in losses if loss.weight), in_range]
        self.weights = {term.name: float(term.weight) for term in self.terms}
        self.layers = {name for term in self.terms for name in term.layers}
        self.factor = 100 / sum(self.given)
        before = [dict(vars(term)) for term in self.terms]
        try:
            for term in self.terms:
                term.prepare(vgg, photo)
        except InputError:  # refused: the old run goes on
            for term, state in zip(self.terms, before, strict=True):
                vars(term).update(state)
            raise


def fit_photo(
    photo: Tensor,
    painting: Tensor | Sequence[Tensor] | None,
    settings: Settings,
    halvings: int,
) -> Tensor:
    """Bring the photo to its size now, and to the palette that is kept."""
    photo = resize(photo, settings.size // 2**halvings, "the photo")
    if settings.keep_colors != "painting":
        return photo
    return match_colours(photo, _first(painting))


def finish(image: Tensor, photo: Tensor, settings: Settings) -> Tensor:
    """Give a picture the photo's colours, if they are kept."""
    # A copy: whoever draws on it shall not spoil the run.
    return recolour(image, photo) if settings.keep_colors == "photo" else image.clone()


def _first(painting: Tensor | Sequence[Tensor] | None) -> Tensor:
    """Return the first painting; refuse to do without."""
    first = painting[0] if isinstance(painting, list | tuple) else painting
    return check_image(first, "painting")


def first_image(
    photo: Tensor,
    painting: Tensor | Sequence[Tensor] | None,
    losses: Sequence[Loss],
    settings: Settings,
) -> Tensor:
    """Make the picture that a run starts from, of the photo's shape."""
    size = settings.size // 2 ** settings.halvings_at(0)
    paintings = [loss.painting for loss in losses if isinstance(loss, StyleLoss)]
    narrowest = min(min(x.shape[2:]) / max(x.shape[2:]) for x in (photo, *paintings))
    if size < settings.size and round(size * narrowest) < MIN_SIDE:
        raise InputError(
            f"{settings.scales} scales begin at {size} pixels, but each side needs at "
            f"least {MIN_SIDE}; choose fewer scales, or a larger size"
        )
    photo = fit_photo(photo, painting, settings, settings.halvings_at(0))
    if settings.start == "content":
        return photo
    if settings.start == "noise":
        generator = torch.Generator().manual_seed(settings.seed)
        return torch.rand(photo.shape, generator=generator, device="cpu")
    return fit_inside(_first(painting), *photo.shape[2:])
