"""Every check accepts the solution and tells likely mistakes apart."""

import re

import pytest
import torch
from torch.nn.functional import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    interpolate,
    max_pool2d,
    relu,
)

from nst_helpers import VGG19, Settings, StyleTransfer, lessons, stylize
from nst_helpers.losses import range_loss

vgg = VGG19()


def flat(features):
    return features[0].flatten(1)


def normalised(x):
    return (x - vgg.mean) / vgg.std


def conv(x):
    return vgg.convs["conv1_1"](x)


def gram(f):
    return flat(f) @ flat(f).T / flat(f).shape[1]


def error(x, target):
    return ((x - target) ** 2).sum() / (target**2).sum()


def style(features, target, weights):
    total = sum(w * error(gram(features[n]), target[n]) for n, w in weights.items())
    return total / sum(weights.values())


def raw_style(features, target, weights, of=torch.sum):
    raw = {n: of((gram(features[n]) - target[n]) ** 2) for n in weights}
    return sum(weights[n] * raw[n] for n in weights) / sum(weights.values())


def first_layer_only(features, target, weights):
    for name in weights:
        return error(gram(features[name]), target[name])


def shuffle_each(f):
    rows = [row[torch.randperm(len(row))] for row in flat(f)]
    return torch.stack(rows).view(f.shape)


def shuffle_together(f):
    return flat(f)[:, torch.randperm(flat(f).shape[1])].view(f.shape)


def shuffle_some(f, groups):
    """Shuffle some channels only, those of a group in one order."""
    rows = flat(f).clone()
    for group in groups:
        rows[group] = rows[group][:, torch.randperm(rows.shape[1])]
    return rows.view(f.shape)


def shuffle_all(f):
    numbers = f.flatten()
    return numbers[torch.randperm(len(numbers))].view(f.shape)


def shifted(f, s, pairs=None):
    here, there = f[0][:, :, :-s].flatten(1), f[0][:, :, s:].flatten(1)
    return here @ there.T / (pairs or here.shape[1])


def shifted_down(f, s):
    return shifted(f.transpose(2, 3), s)


def shifted_around(f, s):
    return flat(f) @ flat(f.roll(-s, 3)).T / flat(f).shape[1]


def down(x):
    return x[:, :, 1:] - x[:, :, :-1]


def right(x):
    return x[..., 1:] - x[..., :-1]


def lengths(x, power=0.5):
    return (down(x)[..., :-1] ** 2 + right(x)[:, :, :-1] ** 2) ** power


def total(content=1, style=1, tv=1):
    return lambda losses, s: (
        content * s.content_weight * losses["content"]
        + style * s.style_weight * losses["style"]
        + tv * s.tv_weight * losses["tv"]
    )


def picture(bgr, order=(2, 1, 0), by=255, axes=(2, 0, 1)):
    rgb = torch.from_numpy(bgr)[..., list(order)]
    return rgb.permute(*axes)[None].float() / by


def standardised(bgr):
    return normalised(picture(bgr))


def cut_elsewhere(bgr):
    height, width, _ = bgr.shape
    rgb = torch.from_numpy(bgr[..., ::-1].copy())
    return rgb.view(1, 3, height, width).float() / 255


def mm(
    wins=lambda w: w.sum(1),
    compared=lambda w: w + w.T,
    pairs=lambda s: s[:, None] + s,
    by=lambda n, pairs: (n / pairs).sum(1),
    end=lambda W, below: W / below,
):
    return lambda s, w: end(wins(w), by(compared(w), pairs(s)))


def one_after_the_other(s, wins):
    s = s.clone()
    for i in range(len(s)):
        s[i] = mm()(s, wins)[i]
    return s


def count_wins(answers, names):
    wins = torch.zeros(len(names), len(names))
    for answer in answers:
        sides = {answer["left"], answer["right"]}
        (beaten,) = sides - {answer["chosen"]}
        wins[names.index(answer["chosen"]), names.index(beaten)] += 1
    return wins


def count_shown(answers, names, chosen=None):
    """Count who stood left of whom; only where the one on a side was chosen."""
    shown = torch.zeros(len(names), len(names))
    for answer in answers:
        if chosen is None or answer["chosen"] == answer[chosen]:
            shown[names.index(answer["left"]), names.index(answer["right"])] += 1
    return shown


def count_against(answers, names, side):
    """Count the one chosen against that on a side, even if it is the same."""
    wins = torch.zeros(len(names), len(names))
    for answer in answers:
        wins[names.index(answer["chosen"]), names.index(answer[side])] += 1
    return wins


def last_detached(rows):
    return torch.cat([rows[: len(rows) // 2], rows[len(rows) // 2 :].detach()])


def moments(f, of=(1, 2), root=False, correction=0, dim=1):
    """Stack moments of each channel: 1 the mean, 2 the variance, 3 and more."""
    off = flat(f) - flat(f).mean(dim, keepdim=True)
    rows = {k: (off**k).mean(dim) for k in of}
    rows[1] = flat(f).mean(dim)
    rows[2] = flat(f).var(dim, correction=correction)
    rows[2] = rows[2].sqrt() if root else rows[2]
    return torch.stack([rows[k] for k in of])


def with_third(third, second=lambda f: moments(f, [2])[0]):
    return lambda f: torch.stack([moments(f, [1])[0], second(f), third(f)])


def away(f):
    return flat(f) - flat(f).mean(1, keepdim=True)


def shares_of(rows):
    return adaptive_avg_pool1d(rows, 256)


def sliced(
    seed=0,
    unit=lambda d: d / d.norm(dim=1, keepdim=True),
    order=lambda x: x.sort(dim=1).values,
    make=torch.randn,
    end=shares_of,
):
    """Make a function that sorts projections, right or wrong."""

    def statistic(f):
        generator = torch.Generator()
        generator.seed() if seed is None else generator.manual_seed(seed)
        directions = unit(make(128, len(flat(f)), generator=generator))
        return end(order(directions @ flat(f)))

    return statistic


def sorted_channels(f, **parts):
    return sliced(**parts)(flat(f).sort(dim=1).values[None, :, None])


LOUD = Settings().style_layers
SMALL = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
OTHER = torch.rand(1, 3, 40, 32, generator=torch.Generator().manual_seed(1)) ** 2


def rough(x):
    return (down(x) ** 2).mean() + (right(x) ** 2).mean()


def painter(
    weights=(1, 100, 0.3, 5000),
    layers=LOUD,
    gram=gram,
    by=None,
    relative_tv=True,
    seen=lambda x: x,
    of_content=lambda x: x,
    of_tv=lambda x: x,
):
    """Make a painting_loss, right or wrong."""
    aim = vgg(SMALL, "conv4_2")["conv4_2"]
    grams = {n: gram(f) for n, f in vgg(OTHER, layers).items()}

    def painting_loss(x):
        features = {n: seen(f) for n, f in vgg(x, ["conv4_2", *layers]).items()}
        style = sum(w * error(gram(features[n]), grams[n]) for n, w in layers.items())
        four = (
            error(of_content(features["conv4_2"]), aim),
            style / (by or sum(layers.values())),
            rough(of_tv(x)) / (rough(SMALL) if relative_tv else 1),
            range_loss(x),
        )
        return sum(w * loss for w, loss in zip(weights, four, strict=True))

    return painting_loss


def evaluate(optimizer, pixels, loss_of, before=(), after=(), zero=True):
    for spoil in before:
        spoil(pixels.data)
    if zero:
        optimizer.zero_grad()
    loss = loss_of(pixels)
    loss.backward()
    for spoil in after:
        spoil(pixels)
    return loss


def without_backward(optimizer, pixels, loss_of):
    return loss_of(pixels)


def twice(optimizer, pixels, loss_of):
    loss_of(pixels)
    return evaluate(optimizer, pixels, loss_of)


def never(optimizer, pixels, loss_of):
    return 0.0


def another(optimizer, pixels, loss_of):
    optimizer.zero_grad()
    (3 * loss_of(pixels)).backward()
    return loss_of(pixels.detach())


def returning_the_gradient(optimizer, pixels, loss_of):
    evaluate(optimizer, pixels, loss_of)
    return pixels.grad


def spoilt(**how):
    return lambda o, pixels, loss_of: evaluate(o, pixels, loss_of, **how)


def paint(
    start,
    loss_of,
    calls,
    each=10,
    search="strong_wolfe",
    turns=None,
    clone=True,
    clamp=False,
    end=lambda x: x.detach().clamp(0, 1),
    make=torch.optim.LBFGS,
    **options,
):
    pixels = (start.clone() if clone else start).requires_grad_()
    if make is torch.optim.LBFGS:
        options = {"max_iter": each, "line_search_fn": search}
    optimizer = make([pixels], **options)
    for _ in range(turns or calls):
        optimizer.step(lambda: evaluate(optimizer, pixels, loss_of))
        if clamp:
            pixels.data.clamp_(0, 1)
    if not clone:
        start.requires_grad_(False)
    return end(pixels)


def painting_with(**how):
    return lambda start, loss_of, calls: paint(start, loss_of, calls, **how)


def beginning_anew(start, loss_of, calls):
    for _ in range(calls):
        picture = paint(start, loss_of, 1)
    return picture


def clamped_all_the_way(start, loss_of, calls):
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([pixels], 1, 10, line_search_fn="strong_wolfe")

    def closure():
        return evaluate(optimizer, pixels, loss_of, before=[lambda x: x.clamp_(0, 1)])

    for _ in range(calls):
        optimizer.step(closure)
    return pixels.detach()


def shares(losses, weights, power=1, by=None):
    by = by or losses["total"]
    return {name: w**power * losses[name] / by for name, w in weights.items()}


def armijo(c=1e-4, t_counts=True, slope_counts=True, sign=1):
    def goes_down_enough(before, slope, t, after):
        promised = (slope if slope_counts else -4) * (t if t_counts else 1)
        return after <= before + sign * c * promised

    return goes_down_enough


def paints(**settings):
    settings = {"style_weight": 1000.0, "steps": 10} | settings
    return lambda p, q, size: stylize(p, q, Settings(**{"size": size} | settings))


def image_of(array, divisor=255.0):
    return torch.from_numpy(array).permute(2, 0, 1)[None].float() / divisor


def luminance(x):
    return (torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1) * x).sum(1, True)


def by_area(mask, f):
    return interpolate(mask[None, None], f.shape[2:], mode="area")[0, 0]


def by(mode):
    return lambda mask, f: interpolate(mask[None, None], f.shape[2:], mode=mode)[0, 0]


def guided(bring=by_area, power=1, divisor=None, apply=True):
    """Make a guided Gram matrix, right or wrong."""

    def guided_gram(f, mask):
        m = bring(mask, f)
        masked = flat(f) * m.flatten() ** power if apply else flat(f)
        return masked @ flat(f).T / (divisor(m, mask) if divisor else m.sum())

    return guided_gram


def guided_positions(f, mask):
    m = by_area(mask, f)
    return (flat(f) * m.flatten()).T @ flat(f) / m.sum()


def brightness(spread=lambda y, like: like.std() / y.std(), less=None):
    """Make a match of brightness, right or wrong: spread (y - less) + mean."""

    def match(y, like):
        center = y.mean() if less is None else less(y, like)
        return spread(y, like) * (y - center) + like.mean()

    return match


DIAGNOSED = 3  # the seed of a broken program
OTHERS = set(lessons.broken.MISTAKES) - {lessons.broken.name_the_bug(DIAGNOSED)}
# check: (the solution, [(a wrong answer, what its hint says)])
CASES = {
    "paint_bold": (
        paints(),
        [
            (lambda p, q, size: Settings(), "settings only"),
            (lambda p, q, size: StyleTransfer(p, q, Settings(size=24)), "whole run"),
            (lambda p, q, size: p[0], "no picture"),
            (lambda p, q, size: p, "photo as it was"),
            (lambda p, q, size: paints()(q, p, size), "swapped"),
            (paints(size=64), "64 pixels wide"),
            (paints(style_weight=100.0), "still 100"),
            (paints(style_weight=100.0, content_weight=1000.0), "content got"),
            (paints(steps=9), "are the steps 10"),
            (lambda p, q, size: stylize(p, q, ...), "stops: AttributeError"),
        ],
    ),
    "to_image": (
        image_of,
        [
            (lambda a: image_of(a, 1), "up to 255"),
            (lambda a: image_of(a, 256), "by 256"),
            (lambda a: image_of(a)[0], "batch"),
            (lambda a: torch.from_numpy(a)[None] / 255, "come last"),
            (
                lambda a: torch.from_numpy(a).reshape(1, 3, *a.shape[:2]) / 255,
                "jumbled",
            ),
            (lambda a: image_of(a).transpose(2, 3), "Height and width"),
            (lambda a: image_of(a).flip(1), "Red and blue"),
            (lambda a: image_of(a // 255), "0 or 1"),
            (lambda a: image_of(a).double(), "float64"),
            (lambda a: image_of(a).numpy(), "NumPy array"),
        ],
    ),
    "first_layer": (
        lambda x: relu(conv(normalised(x))),
        [
            (lambda x: relu(conv(x)), "left out the mean"),
            (lambda x: relu(conv(x - vgg.mean)), "do not divide"),
            (lambda x: relu(conv(x / vgg.std)), "do not subtract"),
            (lambda x: relu(conv((x - vgg.mean) * vgg.std)), "multiply"),
            (lambda x: conv(normalised(x)), "ReLU is missing"),
            (lambda x: conv(relu(normalised(x))), "comes last"),
            (normalised, "shape"),
        ],
    ),
    "halve": (
        lambda f: avg_pool2d(f, 2),
        [
            (lambda f: max_pool2d(f, 2), "max pooling"),
            (lambda f: 4 * avg_pool2d(f, 2), "divide by 4"),
            (lambda f: f[..., ::2, ::2], "keep one"),
            (lambda f: (f[..., ::2] + f[..., 1::2]) / 2, "width only"),
            (lambda f: (f[..., ::2, :] + f[..., 1::2, :]) / 2, "height only"),
            (lambda f: 2 * avg_pool2d(f, 2), "numbers differ"),
        ],
    ),
    "gram": (
        gram,
        [
            (lambda f: flat(f) @ flat(f).T, "did not divide by H"),
            (lambda f: gram(f) / f.shape[1], "also divided by C"),
            (lambda f: flat(f) @ flat(f).T / f.shape[1], "by C, not by H"),
            (lambda f: flat(f) @ flat(f).T / 4, "of the example"),
            (lambda f: flat(f).T @ flat(f) / flat(f).shape[1], "positions with pos"),
            (lambda f: flat(f) @ flat(f).reshape(-1, 3) / 20, "not symmetric"),
            (lambda f: (flat(f) * flat(f)).mean(1), "matrix product"),
            (lambda f: torch.cov(flat(f), correction=0), "covariance"),
            (lambda f: flat(f) @ flat(f), "stops: RuntimeError"),
            (lambda f: "G", "str"),
        ],
    ),
    "shuffle_each": (
        shuffle_each,
        [
            (shuffle_together, "moved together"),
            (shuffle_all, "left their channel"),
            (lambda f: f, "Nothing moved"),
            (lambda f: shuffle_some(f, [[0]]), "Channel 1 did not"),
            (lambda f: shuffle_some(f, [[0], [1, 2]]), "moved together"),
            (lambda f: shuffle_some(f, [[1, 2]]), "Channel 0 did not"),
            (lambda f: flat(shuffle_each(f)), "shape"),
            (lambda f: torch.zeros_like(f), "appear twice"),
            (lambda f: f.copy_(shuffle_each(f)), "clone"),
            (lambda f: shuffle_each(f).numpy(), "tensor"),
        ],
    ),
    "relative": (
        error,
        [
            (lambda x, t: ((x - t) ** 2).sum(), "raw sum"),
            (lambda x, t: ((x - t) ** 2).mean(), "raw mean"),
            (lambda x, t: ((x - t) ** 2 / t**2).sum(), "its own target"),
            (lambda x, t: ((x - t) ** 2 / t**2).mean(), "quotients"),
            (lambda x, t: error(t, x), "squared x"),
            (lambda x, t: error(x, t).sqrt(), "root"),
            (lambda x, t: (x - t).sum() / (t**2).sum(), "forgot the squares"),
            (lambda x, t: (x - t).abs().sum() / t.abs().sum(), "absolute"),
            (lambda x, t: ((x - t) ** 2).sum() / (t**2).mean(), "sum above"),
            (lambda x, t: ((x - t) ** 2).mean() / (t**2).sum(), "mean above"),
            (lambda x, t: 7.0, "It gives 7, not"),
        ],
    ),
    "content_gradient": (
        lambda x, t: 2 * (x - t) / (t**2).sum(),
        [
            (lambda x, t: 2 * (t - x) / (t**2).sum(), "sign"),
            (lambda x, t: (x - t) / (t**2).sum(), "The 2"),
            (lambda x, t: 2 * (x - t), "did not divide"),
            (lambda x, t: 2 * (x - t) / (t**2).mean(), "not by their mean"),
            (lambda x, t: 2 * (x - t) / t**2, "each number by its own"),
            (error, "one number"),
        ],
    ),
    "style": (
        style,
        [
            (lambda f, t, w: 4 * style(f, t, w), "more layers"),
            (lambda f, t, w: style(f, t, dict.fromkeys(w, 1)), "weights are missing"),
            (lambda f, t, w: 2 * style(f, t, dict.fromkeys(w, 1)), "so is the div"),
            (lambda f, t, w: 0.75 * first_layer_only(f, t, w), "inside the loop"),
            (lambda f, t, w: style(f, t, {"b": 1}) / 4, "last layer"),
            (lambda f, t, w: 2 * style(f, t, w), "number of layers"),
            (
                lambda f, t, w: sum(w[n] * error(f[n], t[n]) for n in w) / 4,
                "not features",
            ),
            (raw_style, "by the squared Gram"),
            (lambda f, t, w: raw_style(f, t, w, torch.mean), "mean squared Gram"),
            (
                lambda f, t, w: sum(w[n] * error(t[n], gram(f[n])) for n in w) / 4,
                "picture's Gram",
            ),
            (
                lambda f, t, w: sum(w.get(n, 0) * error(gram(f[n]), t[n]) for n in t),
                "KeyError",
            ),
            (lambda f, t, w: style(f, {n: t[n] * 2 for n in t}, w), "formula"),
        ],
    ),
    "shifted_gram": (
        shifted,
        [
            (lambda f, s: gram(f), "plain Gram"),
            (lambda f, s: shifted(f, s).T, "transposed"),
            (lambda f, s: shifted(f, s, flat(f).shape[1]), "only H"),
            (lambda f, s: shifted(f, s, 1), "did not divide"),
            (shifted_down, "downwards"),
            (shifted_around, "wraps"),
            (lambda f, s: shifted(f, 2), "but not for 1"),
        ],
    ),
    "total_variation": (
        lambda x: (down(x) ** 2).mean() + (right(x) ** 2).mean(),
        [
            (lambda x: (down(x) ** 2).mean(), "those side by side"),
            (lambda x: (right(x) ** 2).mean(), "those above"),
            (lambda x: down(x).abs().mean() + right(x).abs().mean(), "absolute"),
            (lambda x: down(x).mean() + right(x).mean(), "cancel"),
            (lambda x: (down(x) ** 2).sum() + (right(x) ** 2).sum(), "take means"),
            (lambda x: ((down(x) ** 2).mean() + (right(x) ** 2).mean()) / 2, "average"),
            (
                lambda x: sum(((x.roll(-1, d) - x) ** 2).mean() for d in (2, 3)),
                "compared with the first",
            ),
            (
                lambda x: ((x[:, 1:] - x[:, :-1]) ** 2).mean() + (down(x) ** 2).mean(),
                "colour channels",
            ),
        ],
    ),
    "isotropic": (
        lambda x: lengths(x).mean(),
        [
            (lambda x: lengths(x, 1).mean(), "root is missing"),
            (lambda x: lengths(x, 1).mean().sqrt(), "at each pixel"),
            (lambda x: lengths(x).sum(), "summed over"),
            (
                lambda x: (down(x)[..., :-1].abs() + right(x)[:, :, :-1].abs()).mean(),
                "corners",
            ),
            (lambda x: down(x) + right(x), "stops: RuntimeError"),
        ],
    ),
    "picture": (
        picture,
        [
            (lambda bgr: picture(bgr, (0, 1, 2)), "BGR, the network"),
            (lambda bgr: picture(bgr, (0, 1, 2), by=1), "exchanged, and the numbers"),
            (lambda bgr: picture(bgr, by=1), "up to 255: divide by"),
            (lambda bgr: picture(bgr, by=256), "256"),
            (lambda bgr: picture(bgr)[0], "first dimension"),
            (standardised, "VGG19 does that"),
            (cut_elsewhere, "Colours have become places"),
            (lambda bgr: picture(bgr, axes=(2, 1, 0)), "Height and width"),
            (lambda bgr: picture(bgr, axes=(0, 1, 2)), "last dimension: permute"),
            (lambda bgr: picture(bgr).double(), "float"),
            (lambda bgr: picture(bgr).numpy(), "from_numpy"),
            (lambda bgr: torch.from_numpy(bgr[..., ::-1]), "stops: ValueError"),
        ],
    ),
    "painting_loss": (
        painter(),
        [
            (painter((0, 100, 0.3, 5000)), "content is missing"),
            (painter((1, 0, 0.3, 5000)), "style is missing"),
            (painter((1, 100, 0, 5000)), "tv is missing"),
            (painter((1, 100, 0.3, 0)), "range is missing"),
            (painter((1, 100, 0, 0)), "variation and range are missing"),
            (painter((0, 0, 0.3, 5000)), "content and style are missing"),
            (painter((1, 1, 1, 1)), "without their weights"),
            (painter(gram=lambda f: flat(f) @ flat(f).T), "divisor"),
            (painter(layers=dict.fromkeys(LOUD, 1.0)), "count alike"),
            (painter(by=1), "by the sum of its layers' weights.$"),
            (painter(by=5), "not by their number"),
            (painter(relative_tv=False), "by the photo's"),
            (painter(seen=torch.detach), "features are detached"),
            (painter(of_content=torch.detach), "nothing of content"),
            (painter(gram=lambda f: gram(f).detach()), "nothing of style"),
            (painter(of_tv=torch.detach), "nothing of tv"),
            (lambda x: painter()(x).item(), "no gradient"),
            (torch.no_grad()(painter()), "no gradient"),
            (lambda x: painter()(x.flip(1)), "formula"),
            (lambda x: painter(of_tv=torch.detach)(x.detach() + 0 * x), "gradient is"),
        ],
    ),
    "evaluate": (
        evaluate,
        [
            (spoilt(before=[lambda x: x.clamp_(0, 1)]), "clamp"),
            (spoilt(before=[lambda x: x.mul_(0.5)]), "have moved"),
            (spoilt(after=[lambda x: x.grad.zero_()]), "before backward, not after"),
            (spoilt(zero=False), "twice as long"),
            (without_backward, "no gradient"),
            (twice, "2 times"),
            (never, "never ask"),
            (another, "times: keep"),
            (returning_the_gradient, "return the loss"),
            (spoilt(after=[lambda x: x.grad.mul_(3)]), "gradient is not that"),
        ],
    ),
    "paint": (
        paint,
        [
            (painting_with(clone=False), "clone"),
            (lambda start, loss_of, calls: start, "never asked"),
            (painting_with(end=lambda x: x.detach()[0]), "shape"),
            (painting_with(turns=1), "loop"),
            (painting_with(each=40), "max_iter=10"),
            (painting_with(each=1), "max_iter=10"),
            (clamped_all_the_way, "cut off"),
            (painting_with(search=None), "strong_wolfe"),
            (painting_with(clamp=True), "cut off"),
            (painting_with(make=torch.optim.Adam, lr=0.01), "times; ten"),
            (painting_with(end=lambda x: x.clamp(0, 1)), "detach"),
            (painting_with(end=lambda x: x.detach()), "outside"),
            (painting_with(end=lambda x: 0 * x.detach()), "another picture"),
            (painting_with(make=torch.optim.SGD, lr=1e-5), "times; ten"),
            (beginning_anew, "made once"),
        ],
    ),
    "shares": (
        shares,
        [
            (lambda losses, weights: 1.0, "name: share"),
            (lambda losses, weights: shares(losses, {}) | {"total": 1.0}, "no part of"),
            (lambda losses, weights: shares(losses, {"style": 100.0}), "content has"),
            (lambda losses, weights: shares(losses, weights, by=1), "weighted losses"),
            (lambda losses, weights: shares(losses, weights, power=0), "weights are"),
            (
                lambda losses, weights: shares(losses, weights, by=3.5),
                "without weights",
            ),
            (
                lambda losses, weights: {n: w / 5101.5 for n, w in weights.items()},
                "shares of the weights",
            ),
            (lambda losses, weights: shares(losses, weights, by=0.52), "percent"),
        ],
    ),
    "total_loss": (
        total(),
        [
            (total(tv=0), "tv is missing"),
            (total(style=0), "style is missing"),
            (total(content=0), "content is missing"),
            (total(style=-1), "formula"),
            (lambda x, s: x["content"] + 100 * x["style"] + 0.3 * x["tv"], "typed"),
            (lambda losses, s: sum(losses.values()), "without their weights"),
            (
                lambda losses, s: s.content_weight + s.style_weight + s.tv_weight,
                "without their losses",
            ),
            (lambda losses, s: 2956.0, "formula"),
            (lambda losses, s: losses["nonsense"], "stops: KeyError"),
        ],
    ),
    "chance": (
        lambda a, b: a / (a + b),
        [
            (lambda a, b: b / (a + b), "the other one"),
            (lambda a, b: a / b, "are the odds: divide"),
            (lambda a, b: b / a, "odds of the other"),
            (lambda a, b: a - b, "between 0 and 1"),
            (lambda a, b: 100 * a / (a + b), "percent"),
            (lambda a, b: a**2 / (a**2 + b**2), "square"),
            (lambda a, b: 1 / (1 + torch.tensor(b - a).exp()), "no exp"),
            (lambda a, b: 1 / (a + b), "above the line"),
            (lambda a, b: a / ((a + b) / 2), "mean"),
            (lambda a, b: 0.5, "scores have to count"),
            (lambda a, b: a / a + b, "brackets"),
            (lambda a, b: float(a > b), "formula"),
        ],
    ),
    "mm_step": (
        mm(),
        [
            (mm(wins=lambda w: w.sum(0)), "losses"),
            (mm(compared=lambda w: w), "whoever won"),
            (mm(compared=lambda w: w.T), "alone"),
            (mm(end=lambda W, below: below), "only the sum"),
            (mm(end=lambda W, below: below / W), "upside down"),
            (mm(end=lambda W, below: W * below), "Divide"),
            (mm(end=lambda W, below: W.sum() / below), "each picture: one sum"),
            (mm(by=lambda n, pairs: (n * pairs).sum(1)), "you multiply"),
            (mm(pairs=lambda s: s + s), "to itself"),
            (mm(end=lambda W, below: W), "wins alone"),
            (mm(pairs=lambda s: 1), "share of wins"),
            (lambda s, wins: s * mm()(s, wins), "multiply"),
            (mm(by=lambda n, pairs: n.sum(1) / pairs.sum(1)), "pair by pair"),
            (mm(pairs=lambda s: s), "left out s_i"),
            (mm(pairs=lambda s: s[:, None]), "left out s_j"),
            (mm(by=lambda n, pairs: (n / pairs).sum()), "its own"),
            (one_after_the_other, "keep the old"),
            (mm(end=lambda W, b: (W / b) / (W / b).sum()), "common factor"),
            (mm(end=lambda W, b: (W / b) / (W / b).mean()), "by the mean"),
            (
                mm(end=lambda W, b: (W / b) / (W / b).log().mean().exp()),
                "geometric",
            ),
            (lambda s, wins: s, "old scores"),
            (lambda s, wins: s.mul_(mm()(s, wins) / s), "clone"),
            (lambda s, wins: mm()(s, wins)[0], "It has shape"),
            (lambda s, wins: wins / (wins + wins.T), "It has shape"),
            (lambda s, wins: 3 * mm()(s, wins), "formula"),
        ],
    ),
    "count_wins": (
        count_wins,
        [
            (lambda answers, names: count_wins(answers, names).T, "defeats"),
            (lambda answers, names: count_shown(answers, names), "stood left"),
            (lambda answers, names: count_shown(answers, names).T, "stood right"),
            (lambda answers, names: count_shown(answers, names, "left"), "right one"),
            (
                lambda answers, names: count_shown(answers, names, "right").T,
                "left one",
            ),
            (lambda answers, names: count_wins(answers, names) > 0, "counts twice"),
            (
                lambda answers, names: (
                    count_wins(answers, names) + count_wins(answers, names).T
                ),
                "for both",
            ),
            (lambda answers, names: 2 * count_wins(answers, names), "count once|once"),
            (lambda answers, names: count_wins(answers, names) / len(answers), "share"),
            (lambda answers, names: count_wins(answers, names).sum(1), "beat whom"),
            (lambda answers, names: torch.zeros(4, 4), "reach the table"),
            (
                lambda answers, names: count_against(answers, names, "right"),
                "the right",
            ),
            (lambda answers, names: count_against(answers, names, "left"), "the left"),
            (
                lambda answers, names: count_against(answers, names, "chosen"),
                "are the same",
            ),
            (lambda answers, names: count_wins(answers[:1], names), "in the loop"),
            (
                lambda answers, names: (
                    count_wins(answers, names) - count_wins(answers, names).T
                ),
                "takes nothing away",
            ),
            (lambda answers, names: {"sun": 3}, "dict"),
            (lambda answers, names: count_wins(answers, names[:2]), "stops: Value"),
            (lambda answers, names: torch.zeros(3, 3), "shape"),
        ],
    ),
    "colours_back": (
        lambda x, photo: photo + luminance(x) - luminance(photo),
        [
            (lambda x, photo: x + luminance(photo) - luminance(x), "other way round"),
            (lambda x, photo: photo + luminance(x), "own brightness is still"),
            (lambda x, photo: photo - luminance(x) + luminance(photo), "signs"),
            (lambda x, photo: luminance(x) - luminance(photo), "photo is missing"),
            (lambda x, photo: luminance(x), "grey"),
            (lambda x, photo: luminance(x).expand(-1, 3, -1, -1), "grey"),
            (lambda x, photo: photo * luminance(x) / luminance(photo), "ratio"),
            (lambda x, photo: photo + (x - photo).mean(1, True), "plain mean"),
            (lambda x, photo: photo + x - luminance(photo), "luminance only"),
            (lambda x, photo: photo, "photo, as it was"),
            (lambda x, photo: x, "picture, as it was"),
            (lambda x, photo: luminance(x.flip(1)) + photo, "numbers differ"),
            (lambda x, photo: luminance(x, photo), "stops: TypeError"),
        ],
    ),
    "guided_gram": (
        guided(),
        [
            (guided(lambda mask, f: mask), "has the size of the picture"),
            (lambda f, mask: guided()(f, mask[None, None]), "stops: "),
            (guided(divisor=lambda m, mask: m.numel()), "number of all positions"),
            (guided(divisor=lambda m, mask: 1), "did not divide by the sum"),
            (guided(divisor=lambda m, mask: m.mean()), "mean of the mask"),
            (guided(divisor=lambda m, mask: 3 * m.numel()), "number of features"),
            (guided(divisor=lambda m, mask: mask.sum()), "as it came"),
            (guided(divisor=lambda m, mask: (m > 0).sum()), "soft mask counts"),
            (guided(divisor=lambda m, mask: 3 * m.sum()), "also divided by C"),
            (guided(power=2), "on one of the two"),
            (guided(power=2, divisor=lambda m, _: (m * m).sum()), "square counted"),
            (guided(power=2, divisor=lambda m, _: m.numel()), "twice, and you divided"),
            (lambda f, mask: gram(f), "not applied"),
            (guided(apply=False), "features are not masked"),
            (guided(lambda mask, f: 1 - by_area(mask, f)), "other region"),
            (guided(lambda mask, f: by_area(mask, f).flipud()), "upside down"),
            (guided(lambda mask, f: by_area(mask, f).fliplr()), "mirrored"),
            (guided(lambda mask, f: by_area(mask.T, f)), "transposed"),
            (guided(lambda mask, f: (by_area(mask, f) > 0.5).float()), "in part"),
            (guided(by("nearest")), "skips"),
            (guided(by("bilinear")), "interpolated"),
            (
                guided(lambda m, f: adaptive_max_pool2d(m[None], f.shape[2:])[0]),
                "largest",
            ),
            (guided(lambda mask, f: mask[: f.shape[2], : f.shape[3]]), "cut the mask:"),
            (
                guided(lambda mask, f: mask.flatten()[: f[0, 0].numel()]),
                "after laying it flat",
            ),
            (guided(lambda mask, f: avg_pool2d(mask[None], (2, 3))[0]), "multiples"),
            (guided_positions, "positions with pos"),
            (lambda f, mask: guided()(f, mask) ** 2, "numbers differ"),
        ],
    ),
    "brightness": (
        brightness(),
        [
            (brightness(lambda y, like: y.std() / like.std()), "exchanged"),
            (brightness(lambda y, like: like.std()), "divide by the painting's"),
            (brightness(lambda y, like: 1 / y.std()), "multiply by the photo's"),
            (brightness(lambda y, like: like.var() / y.var()), "variances"),
            (brightness(lambda y, like: 1), "as far apart"),
            (brightness(less=lambda y, like: 0), "before you multiply.$"),
            (brightness(less=lambda y, like: like.mean()), "not the photo's"),
            (
                lambda y, like: brightness()(y, like) - like.mean(),
                "photo's mean is missing",
            ),
            (
                lambda y, like: brightness()(y, like) - like.mean() + y.mean(),
                "own mean came back",
            ),
            (
                lambda y, like: y * like.std() / y.std() - y.mean() + like.mean(),
                "inside the brackets",
            ),
            (
                lambda y, like: (y - y.mean() + like.mean()) * like.std() / y.std(),
                "outside the brackets",
            ),
            (
                lambda y, like: (y - like.mean()) * like.std() / y.std() + y.mean(),
                "two means are exchanged",
            ),
            (lambda y, like: brightness()(like, y), "changed the photo"),
            (lambda y, like: y, "as it was"),
        ],
    ),
    "diagnosis": (
        lambda: lessons.broken.name_the_bug(DIAGNOSED),
        [
            (lambda: "the Gram matrix", "one of these, in quotes: missing"),
            (lambda: 2, "one of these"),
            (lambda: ["BGR"], "one of these"),
            *((lambda m=m: m, f"^Not this one. With {m}, ") for m in OTHERS),
        ],
    ),
    "mean_and_variance": (
        moments,
        [
            (lambda f: moments(f, root=True), "the standard deviation, the root"),
            (lambda f: moments(f, root=True, correction=1), "deviation, and .std"),
            (lambda f: moments(f, correction=1), "H·W − 1"),
            (lambda f: torch.stack([flat(f).mean(1), flat(f).pow(2).mean(1)]), "first"),
            (lambda f: torch.stack([flat(f).mean(1), away(f).pow(2).sum(1)]), "a sum"),
            (lambda f: torch.stack([flat(f).sum(1), moments(f)[1]]), "first row is"),
            (lambda f: moments(f, [2, 1]), "above means"),
            (lambda f: moments(f).T, "transposed"),
            (lambda f: moments(f).flatten(), "torch.cat does not"),
            (lambda f: moments(f)[1], "mean is missing"),
            (lambda f: moments(f)[0], "variance is missing"),
            (lambda f: torch.stack([f.mean(), f.var(correction=0)]), "has its own"),
            (lambda f: moments(f)[:, None], "features.0."),
            (lambda f: moments(f.reshape(1, 1, 1, -1)), "in one row"),
            (lambda f: moments(f, dim=0), "not the channels"),
            (lambda f: moments(f).detach(), "no gradient"),
            (lambda f: last_detached(moments(f)), "A part of it is cut off"),
            (lambda f: torch.tensor(moments(f).tolist()), "no gradient"),
            (lambda f: moments(f) * 3, "differ by"),
        ],
    ),
    "sliced": (
        sliced(),
        [
            (sliced(unit=lambda d: d), "different lengths"),
            (sliced(unit=lambda d: d / d.norm(dim=0)), "wrong dimension: each row"),
            (sliced(unit=lambda d: d / d.norm()), "whole table"),
            (sliced(order=lambda x: x), "Nothing is sorted"),
            (sliced(order=lambda x: x.sort(dim=0).values), "the positions are to be"),
            (sliced(order=lambda x: x.sort(1, descending=True).values), "small to la"),
            (sliced(order=shares_of, end=lambda x: x.sort(1).values), "averaged first"),
            (sorted_channels, "before you projected"),
            (lambda f: sorted_channels(f, order=lambda x: x), "project first"),
            (sliced(make=torch.rand), "one side"),
            (sliced(end=lambda x: interpolate(x[None], 256, mode="linear")[0]), "pick"),
            (sliced(end=lambda x: shares_of(x).T), "transposed"),
            (sliced(end=lambda x: x), "256 numbers"),
            (sliced(order=lambda x: x.T), "a row for each"),
            (sliced(seed=None), "rulers"),
            (sliced(seed=1), "differ by"),
            (sliced(end=lambda x: shares_of(x).detach()), "no gradient"),
            (sliced(end=lambda x: last_detached(shares_of(x))), "is cut off"),
            (sliced(order=lambda x: x.sort(dim=1)), "stops: TypeError"),
        ],
    ),
    "three_moments": (
        lambda f: moments(f, [1, 2, 3]),
        [
            (with_third(lambda f: flat(f).pow(3).mean(1)), "cubes: subtract"),
            (with_third(lambda f: away(f).abs().pow(3).mean(1)), "no sign"),
            (
                with_third(lambda f: away(f).pow(3).mean(1) / moments(f)[1] ** 1.5),
                "skewness",
            ),
            (with_third(lambda f: away(f).mean(1) ** 3), "is zero"),
            (lambda f: moments(f, [1, 2, 4]), "fourth"),
            (with_third(lambda f: away(f).pow(3).sum(1)), "a sum"),
            (lambda f: moments(f, [1, 2, 3], correction=1), "H·W − 1"),
            (lambda f: moments(f, [1, 2, 3], root=True), "standard deviation"),
            (lambda f: moments(f, [1, 2, 3]).T, "transposed"),
            (moments, "third row is missing"),
            (lambda f: moments(f, [1, 2, 3], dim=0), "not the channels"),
            (lambda f: moments(f, [1, 2, 3]).detach(), "no gradient"),
            (lambda f: last_detached(moments(f, [1, 2, 3])), "A part of it is cut off"),
        ],
    ),
    "goes_down": (
        armijo(),
        [
            (lambda before, slope, t, after: False, "Do you compare with before"),
            (lambda before, slope, t, after: True, "Do you compare with before"),
            (lambda before, slope, t, after: after < 9.5, "Do you compare"),
            (lambda before, slope, t, after: after < before, "Check the slope"),
            (armijo(c=0.9), "you refuse it"),
            (armijo(c=0.2), "1e-4"),
            (armijo(slope_counts=False), "use slope"),
            (armijo(t_counts=False), "use t"),
            (armijo(sign=-1), "its sign"),
        ],
    ),
}


def check(name, answer):
    extra = {
        "first_layer": [vgg],
        "painting_loss": [vgg, SMALL, OTHER],
        "diagnosis": [DIAGNOSED],
    }.get(name, [])
    return getattr(lessons, f"check_{name}")(answer, *extra)


def test_every_check_is_tested():
    files = [getattr(lessons, name) for name in dir(lessons) if "lesson_" in name]
    files.append(lessons.total)
    written = {name for file in files for name in dir(file) if "check_" in name}
    assert {f"check_{name}" for name in CASES} == written == set(lessons.__all__)


@pytest.mark.parametrize("name", CASES)
def test_the_solution_is_accepted(name):
    assert check(name, CASES[name][0]).startswith("Right. ")


@pytest.mark.parametrize(
    "name, answer",
    [
        ("first_layer", lambda x: relu(conv(x / vgg.std - vgg.mean / vgg.std))),
        ("gram", lambda f: torch.einsum("nchw,ndhw->cd", f, f) / f[0, 0].numel()),
        ("gram", lambda f: gram(f).double().numpy()),
        ("shifted_gram", lambda f, s: shifted(f, s).double().numpy()),
        ("relative", lambda x, t: ((x - t) ** 2).mean() / (t**2).mean()),
        ("relative", lambda x, t: error(x, t).item()),
        (
            "guided_gram",
            guided(lambda m, f: adaptive_avg_pool2d(m[None], f.shape[2:])[0]),
        ),
        (
            "guided_gram",
            lambda f, m: gram(f * by_area(m, f).sqrt()) / by_area(m, f).mean(),
        ),
        ("colours_back", lambda x, p: (p + luminance(x - p)).clamp(0, 1)),
        (
            "mean_and_variance",
            lambda f: torch.stack(torch.var_mean(f[0], (1, 2), correction=0)[::-1]),
        ),
    ],
)
def test_other_ways_to_be_right_are_accepted(name, answer):
    assert check(name, answer).startswith("Right. ")


PAINTS = pytest.param("paint_bold", marks=pytest.mark.long)  # a picture each time


@pytest.mark.parametrize(
    "name", [PAINTS, *(name for name in CASES if name != "paint_bold")]
)
def test_mistakes_are_told_apart(name):
    wrong = [
        (lambda *_: ..., "Nothing there yet"),
        (lambda *_: None, "return"),
        *CASES[name][1],
    ]
    for answer, hint in wrong:
        verdict = check(name, answer)
        assert re.search(hint, verdict) and not verdict.startswith("Right")
