"""Every check accepts the solution and tells likely mistakes apart."""

import re

import pytest
import torch
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from nst_helpers import VGG19, Settings, StyleTransfer, lessons, stylize

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
    extra = [vgg] if name == "first_layer" else []
    return getattr(lessons, f"check_{name}")(answer, *extra)


def test_every_check_is_tested():
    files = [getattr(lessons, f"lesson_0{number}") for number in range(7)]
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
    ],
)
def test_other_ways_to_be_right_are_accepted(name, answer):
    assert check(name, answer).startswith("Right. ")


@pytest.mark.parametrize("name", CASES)
def test_mistakes_are_told_apart(name):
    wrong = [
        (lambda *_: ..., "Nothing there yet"),
        (lambda *_: None, "return"),
        *CASES[name][1],
    ]
    for answer, hint in wrong:
        verdict = check(name, answer)
        assert re.search(hint, verdict) and not verdict.startswith("Right")
