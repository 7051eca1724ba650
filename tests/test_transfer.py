"""A run: its steps, what bends it, what ends it and what it refuses."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import torch
from conftest import IMAGES, TINY, Watch
from PIL import Image
from test_vgg import bundled_state, torchvision_features

from nst_helpers import (
    ContentLoss,
    InputError,
    Loss,
    Settings,
    StyleLoss,
    StyleTransfer,
    TotalVariationLoss,
    forecast,
    gram_matrix,
    stylize,
)
from nst_helpers.color import match_colours
from nst_helpers.optimizers import OPTIMIZERS
from nst_helpers.pixels import resize, to_array
from nst_helpers.spectrum import spectral_preconditioner

pytestmark = pytest.mark.usefixtures("plain")
CONTENT, STYLE = TINY.content_layers, TINY.style_layers
# Settings that say nothing of losses, for those of one's own.
BARE = dataclasses.replace(
    TINY, content_layers=Settings().content_layers, style_layers=Settings().style_layers
)


def begin(photo, painting, losses=None, **changes):
    aim = TINY if losses is None else BARE
    return StyleTransfer(photo, painting, dataclasses.replace(aim, **changes), losses)


def run(photo, painting, losses=None, **changes):
    transfer = begin(photo, painting, losses, **changes)
    return transfer, list(transfer)


def own(painting, *others):
    """List the losses of TINY settings, and others."""
    content, style = ContentLoss(layers=CONTENT), StyleLoss(painting, layers=STYLE)
    return [content, style, TotalVariationLoss(), *others]


def change(transfer, **changes):
    transfer.settings = dataclasses.replace(transfer.settings, **changes)


def same(ours, theirs):
    """Tell whether two lists of steps are equal, but for their seconds."""
    return len(ours) == len(theirs) and all(
        torch.equal(a.image, b.image)
        and dataclasses.replace(a, image=0, seconds=0)
        == dataclasses.replace(b, image=0, seconds=0)
        for a, b in zip(ours, theirs, strict=True)
    )


def written_out(photo, painting, settings):
    """Return the function from pixels to losses, without any code of ours."""
    state = bundled_state()

    def extract(image):
        return torchvision_features(state, image, settings.pooling, settings.padding)

    def gram(features):
        flat = features[0].flatten(1)
        return flat @ flat.T / flat.shape[1]

    def relative(x, target):
        return (x - target).square().sum() / target.square().sum()

    def roughness(x):
        down = (x[:, :, 1:] - x[:, :, :-1]).square().mean()
        return down + (x[..., 1:] - x[..., :-1]).square().mean()

    aim, style = extract(photo), extract(painting)

    def measure(pixels):
        features = extract(pixels)
        content = {
            name: relative(features[name], aim[name])
            for name in settings.content_layers
        }
        styles = {
            name: relative(gram(features[name]), gram(style[name]))
            for name in settings.style_layers
        }
        losses = {"tv": roughness(pixels) / roughness(photo)}
        for name, errors, layers in (
            ("content", content, settings.content_layers),
            ("style", styles, settings.style_layers),
        ):
            total = sum(w * errors[n] for n, w in layers.items())
            losses[name] = total / sum(layers.values())
        losses["range"] = (pixels - pixels.clamp(0, 1)).square().mean()
        weights = {t: getattr(settings, f"{t}_weight") for t in ("content", "style")}
        weights["tv"] = settings.tv_weight
        weights["range"] = 50 * sum(weights.values())
        return sum(weights[name] * losses[name] for name in weights), losses, weights

    return measure


def test_a_run_is_that_of_torchvisions_network_and_pytorchs_optimisers(photo, painting):
    """All of the method, written out once more without the engine."""
    for changes in (
        {"optimizer": "adam"},
        {"optimizer": "lbfgs", "pooling": "max", "padding": "zeros"},
    ):
        aim = Settings(size=48, steps=3, precision="float32", device="cpu", **changes)
        steps = list(StyleTransfer(photo, painting, aim))
        start = resize(photo, 48)
        measure = written_out(start, resize(painting, 48), aim)
        z = torch.zeros_like(start).requires_grad_()

        def closure(z=z, start=start, measure=measure):
            z.grad = None
            total, _, weights = measure(start + spectral_preconditioner(z))
            sum_of_three = sum(weights.values()) - weights["range"]
            (100 / sum_of_three * total).backward()
            return 100 / sum_of_three * total.detach()

        if aim.optimizer == "adam":
            optimizer = torch.optim.Adam([z], lr=0.02)
        else:
            optimizer = torch.optim.LBFGS(
                [z],
                lr=0.02 * z.numel(),
                max_iter=1,
                max_eval=26,
                tolerance_grad=0,
                tolerance_change=0,
                history_size=20,
                line_search_fn="strong_wolfe",
            )
        for step in steps:
            if step.iteration:
                optimizer.step(closure)
                if aim.optimizer == "lbfgs":
                    optimizer.param_groups[0]["lr"] = 1
            with torch.no_grad():
                pixels = start + spectral_preconditioner(z)
                total, losses, weights = measure(pixels)
            assert step.weights == pytest.approx(weights)
            assert step.losses.pop("total") == pytest.approx(total.item(), rel=1e-3)
            expected = {name: loss.item() for name, loss in losses.items()}
            assert step.losses == pytest.approx(expected, rel=2e-3, abs=1e-6)
            assert (step.image - pixels.clamp(0, 1)).abs().max() < 5e-3


def test_the_first_step_is_the_start_and_the_loss_falls(photo, painting):
    transfer, steps = run(photo, painting)
    assert [step.iteration for step in steps] == [0, 1, 2, 3, 4]
    assert transfer.iteration == 4 and transfer.reason == "steps done"
    assert torch.equal(steps[0].image, resize(photo, 32))
    assert steps[0].losses["content"] == 0
    assert steps[0].losses["tv"] == pytest.approx(1)
    totals = [step.losses["total"] for step in steps]
    assert totals == sorted(totals, reverse=True) and totals[-1] < 0.5 * totals[0]
    assert torch.equal(transfer.image, steps[-1].image)
    moments = [step.seconds for step in steps]
    assert moments == sorted(moments) and moments[0] > 0
    for step in steps:
        assert step.settings == TINY and not step.restarted
        assert step.image.min() >= 0 and step.image.max() <= 1
        assert step.image.dtype == torch.float32 and not step.image.requires_grad
        weights = {"content": 1.0, "style": 100.0, "tv": 0.3, "range": 5065.0}
        assert step.weights == pytest.approx(weights)
        assert step.losses.keys() == {*weights, "total"}
        weighted = sum(weight * step.losses[name] for name, weight in weights.items())
        assert step.losses["total"] == pytest.approx(weighted, rel=1e-5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        steps[0].iteration = 1


def test_no_point_is_evaluated_twice(photo, painting):
    for optimizer in ("lbfgs", "adam"):
        points = []
        watch = Watch(lambda x, _, to=points: to.append(x.detach().numpy().tobytes()))
        losses = own(painting, watch)
        last = run(photo, None, losses, optimizer=optimizer, steps=12)[1][-1]
        assert len(points) == len(set(points)) == last.evaluations
        assert last.iteration == 12 and last.evaluations >= 13
        if optimizer == "adam":
            assert last.evaluations == 13


def test_same_seed_same_picture_bit_for_bit(photo, painting):
    first = run(photo, painting, start="noise")[1]
    assert same(first, run(photo, painting, start="noise")[1])
    other = run(photo, painting, start="noise", seed=1)[0].image
    assert not torch.equal(first[-1].image, other)


def test_stylize_returns_the_best_picture(photo, painting):
    assert torch.equal(stylize(photo, painting, TINY), run(photo, painting)[0].image)


def test_starts(photo, painting):
    noise = begin(photo, painting, start="noise", size=64)
    assert abs(noise.image.mean().item() - 0.5) < 0.02
    style = begin(photo, [painting, photo], start="style").image
    assert torch.equal(style[..., :31], resize(painting, 31))  # narrower than the photo
    assert torch.equal(style[..., 31], style[..., 30])
    assert torch.equal(begin(photo, painting).image, resize(photo, 32))


def test_pictures_of_any_shape(photo, painting):
    tall = photo[:, :, :, 100:250]
    assert stylize(tall, painting, TINY).shape == (1, 3, 32, 16)


def test_flat_pictures(painting):
    for grey in (0.0, 1.0):
        flat = torch.full((1, 3, 40, 60), grey)
        for pair in ((flat, painting), (painting, flat)):
            steps = run(*pair)[1]
            assert steps[-1].losses["total"] < steps[0].losses["total"]
            assert steps[-1].image.isfinite().all()


def test_what_is_no_image_is_refused(photo):
    for bad in (
        torch.zeros(3, 20, 20),
        torch.zeros(1, 1, 20, 20),
        torch.full((1, 3, 20, 20), 2.0),
        torch.full((1, 3, 20, 20), math.nan),
        "cat.jpg",
        None,
    ):
        with pytest.raises(InputError, match="photo"):
            StyleTransfer(bad, photo, TINY)
        with pytest.raises(InputError, match="painting"):
            StyleTransfer(photo, bad, TINY)


@pytest.mark.usefixtures("plain")
def test_pictures_are_taken_in_whatever_form_they_are_given(photo, painting):
    paths = IMAGES / "content" / "cat.jpg", IMAGES / "style" / "hokusai_great_wave.jpg"
    with Image.open(paths[1]) as opened:
        forms = [paths[1], str(paths[1]), paths[1].read_bytes(), np.asarray(opened)]
        forms += [opened.copy(), painting]
    whole = stylize(photo, painting, TINY)
    for form in forms:
        assert torch.equal(stylize(str(paths[0]), form, TINY), whole)
        assert torch.equal(StyleLoss(form).painting, painting)
    assert forecast(*paths, TINY)[1] == forecast(photo, painting, TINY)[1]
    mixed = dataclasses.replace(TINY, mix=(1, 1))
    transfer = StyleTransfer(paths[0], [forms[0], forms[3]], mixed)
    assert all(torch.equal(x, painting) for x in transfer.painting)
    next(transfer)
    transfer.painting = paths[0], photo
    transfer.image = paths[0]
    assert torch.equal(transfer.image, resize(photo, 32))
    assert all(torch.equal(x, photo) for x in transfer.painting)
    for bad in ("nothing.png", [forms[0], "nothing.png"]):
        with pytest.raises(InputError, match="the painting nothing.png: no such file"):
            StyleTransfer(photo, bad, TINY)


def test_lbfgs_beats_adam_at_equal_evaluations(photo, painting):
    lbfgs = run(photo, painting, steps=40)[1]
    adam = run(photo, painting, steps=40, optimizer="adam")[1]
    most = adam[-1].evaluations
    ours = [step for step in lbfgs if step.evaluations <= most][-1]
    assert ours.losses["total"] < adam[-1].losses["total"]


def test_only_the_ratio_of_the_weights_matters(photo, painting):
    first, *others = [
        run(photo, painting, content_weight=m, style_weight=100 * m, tv_weight=0.3 * m)
        for m in (1.0, 2.0**-12, 2.0**12)
    ]
    for other, _ in others:
        torch.testing.assert_close(other.image, first[0].image, rtol=0, atol=1e-3)


def test_the_best_picture_is_the_one_of_the_lowest_total(photo, painting, monkeypatch):
    wild = functools.partial(torch.optim.Adam, lr=0.5)
    monkeypatch.setitem(OPTIMIZERS, "adam", wild)
    transfer, steps = run(photo, painting, optimizer="adam", steps=8)
    best = min(steps, key=lambda step: step.losses["total"])
    assert best is not steps[-1] and torch.equal(transfer.image, best.image)


def test_a_term_of_weight_0_costs_nothing_and_is_left_out(photo, painting):
    transfer, steps = run(photo, painting, style_weight=0, tv_weight=0.2)
    for step in steps:
        assert step.losses.keys() == {"content", "tv", "range", "total"}
        assert step.weights.keys() == {"content", "tv", "range"}
    idle = {"conv1_1": 1.0, "conv5_4": 0.0}
    for loss in begin(photo, painting, content_layers=idle, style_layers=idle).losses:
        assert "conv5_4" not in loss.layers
    seen = set()
    watch = Watch(lambda _, features: seen.update(features))
    idle = ContentLoss(0.0, {"conv4_2": 1.0})
    next(begin(photo, None, [*own(painting, watch)[1:], idle]))
    assert seen == {"conv1_1", "conv2_1"}  # no deeper layer was computed


# What a run adds up.


class Redness(Loss):
    """Bring the mean of the red channel to 1."""

    name = "redness"
    weight = 100.0

    def __call__(self, image, features):
        return (image[:, 0].mean() - 1) ** 2


def test_a_new_loss_is_one_class(photo, painting):
    losses = own(painting, Redness())
    transfer, steps = run(photo, None, losses, steps=10)
    without = run(photo, painting, steps=10)[1][-1]
    assert steps[-1].losses["redness"] < 0.5 * steps[0].losses["redness"]
    assert steps[-1].image[:, 0].mean() > without.image[:, 0].mean() + 0.1
    for step in steps:
        assert list(step.losses)[:4] == ["content", "style", "tv", "redness"]
        assert step.weights["redness"] == 100 and step.settings == transfer.settings
        expected = ((step.image[:, 0].mean() - 1) ** 2).item()  # but for the cut
        assert step.losses["redness"] == pytest.approx(expected, abs=0.01)
        total = sum(weight * step.losses[n] for n, weight in step.weights.items())
        assert step.losses["total"] == pytest.approx(total, rel=1e-5)
    assert list(transfer.losses) == losses and transfer.painting is None


def test_a_new_loss_sees_its_layers_and_the_photo(photo):
    class Echo(Loss):
        name, weight, layers = "echo", 1.0, {"conv1_2": 2.0}
        prepared = 0

        def prepare(self, vgg, photo):
            self.photo, self.prepared = photo, self.prepared + 1
            self.target = vgg(photo, self.layers)["conv1_2"]

        def __call__(self, image, features):
            assert features.keys() == {"conv1_2"}
            assert features["conv1_2"].shape == self.target.shape
            assert image.requires_grad and image.shape == self.photo.shape
            return (features["conv1_2"] - self.target).square().mean() + self.weight

    echo = Echo()
    step = next(begin(photo, None, [echo]))
    assert step.losses == pytest.approx({"echo": 1.0, "range": 0.0, "total": 1.0})
    assert torch.equal(echo.photo, resize(photo, 32)) and echo.prepared == 1


def test_the_losses_of_the_settings_written_down_are_the_same_run(photo, painting):
    assert same(
        [dataclasses.replace(s, settings=BARE) for s in run(photo, painting)[1]],
        run(photo, painting, own(painting))[1],
    )


def test_losses_beside_weights_or_layers_are_refused(photo, painting):
    losses = own(painting)
    for changes in (
        {"content_weight": 2.0},
        {"style_weight": 7.0},
        {"tv_weight": 0.0},
        {"mix": (1,)},
        {"style_scale": 2.0},
        {"content_layers": CONTENT},
        {"style_layers": STYLE},
    ):
        (name,) = changes
        with pytest.raises(InputError, match=f"{name} has no effect"):
            begin(photo, painting, losses, **changes)
        transfer = begin(photo, painting, losses)
        with pytest.raises(InputError, match=f"{name} has no effect"):
            change(transfer, **changes)
        assert transfer.settings == BARE


def test_losses_that_make_no_sum_are_refused(photo, painting):
    twice = own(painting, StyleLoss(painting, layers=STYLE))
    named = own(painting, Redness())
    for losses, line in (
        (twice, "another loss named 'style'"),
        (own(painting, ContentLoss(layers={"conv6_1": 1.0})), "content"),
        ([ContentLoss(layers={"conv6_1": 1.0})], "no layer 'conv6_1'"),
        ([ContentLoss(layers={"conv1_1": -1.0})], "the layers of content"),
        ([ContentLoss(layers={"conv1_1": 0.0})], "the layers of content"),
        ([ContentLoss(-1.0)], "the weight of content"),
        ([ContentLoss(math.nan)], "the weight of content"),
        ([ContentLoss("much")], "the weight of content"),
        ([ContentLoss(0.0), TotalVariationLoss(0.0)], "no loss has a weight above 0"),
        ([], "no loss has a weight above 0"),
    ):
        with pytest.raises(InputError, match=line):
            begin(photo, None, losses)
    for name in ("range", "total"):
        named[-1].name = name
        with pytest.raises(InputError, match=f"another loss named '{name}'"):
            begin(photo, None, named)
    with pytest.raises(InputError, match="painting"):
        StyleTransfer(photo, None, TINY)
    with pytest.raises(InputError, match="painting"):  # it would start from it
        begin(photo, None, own(painting), start="style")


def test_two_style_losses_bend_their_regions(photo, painting):
    """A change of the left painting moves the left."""
    layers, right = {"conv1_2": 1.0}, torch.zeros(43, 64)
    right[:, 32:] = 1
    images = []
    for left_painting in (painting, painting.flip(1)):
        losses = [
            ContentLoss(layers=layers),
            StyleLoss(left_painting, 50, layers, mask=1 - right, name="left"),
            StyleLoss(painting, 50, layers, mask=right, name="right"),
        ]
        transfer, steps = run(photo, None, losses, size=64, steps=8)
        assert {"left", "right"} < steps[-1].losses.keys()
        for name in ("left", "right"):
            assert steps[-1].losses[name] < 0.5 * steps[0].losses[name]
        images.append(transfer.image)
    moved = (images[0] - images[1]).abs().mean((0, 1, 2))
    assert moved[:28].mean() > 0.05 and moved[36:].mean() < 0.2 * moved[:28].mean()


def test_a_mix_is_two_style_losses(photo, painting):
    pair = painting, photo.flip(1)
    for mix in (0.0, 0.25, 1.0):
        mixed = run(photo, pair, mix=(4 * (1 - mix), 4 * mix))[1]
        losses = own(painting)
        losses[1:2] = [
            StyleLoss(pair[0], 100 * (1 - mix), STYLE),
            StyleLoss(pair[1], 100 * mix, STYLE, name="style 2"),
        ]
        written = run(photo, None, losses)[1]
        assert same(
            [dataclasses.replace(step, settings=BARE) for step in mixed], written
        )
        names = {"style"} if mix == 0 else {"style 2"} if mix == 1 else None
        assert mixed[0].weights.keys() - {"content", "tv", "range"} == (
            names or {"style", "style 2"}
        )
    for k, first in enumerate(pair):
        alone = run(photo, first)[1][-1].image
        assert torch.equal(run(photo, pair, mix=(1 - k, k))[1][-1].image, alone)


def test_as_many_paintings_as_one_likes(photo, painting):
    several = [painting, photo.flip(1), painting.flip(2)]
    steps = run(photo, several)[1]
    names = ["style", "style 2", "style 3"]
    shares = [steps[0].weights[name] for name in names]
    assert shares == pytest.approx([100 / 3] * 3)  # without a mix, all alike
    aim = begin(photo, several, mix=(1, 2, 5))
    assert [loss.weight for loss in aim.losses[1:4]] == [12.5, 25, 62.5]
    alone, with_none = (run(photo, painting, mix=mix)[1] for mix in ((), (2, 0)))
    assert torch.equal(alone[-1].image, with_none[-1].image)
    for paintings, mix, line in (
        (painting, (1, 1), "a mix of 2 needs as many paintings, not 1"),
        (several, (1, 1), "a mix of 2 needs as many paintings, not 3"),
        ([], (), "give a painting"),
    ):
        with pytest.raises(InputError, match=line):
            begin(photo, paintings, mix=mix)


def test_style_scale_is_the_paintings_size(photo, painting):
    settings, losses = run(photo, painting, style_scale=1.5)[1], own(painting)
    losses[1] = StyleLoss(painting, 100, STYLE, scale=1.5)
    written = run(photo, None, losses)[1]
    assert same([dataclasses.replace(s, settings=BARE) for s in settings], written)
    assert settings[0].losses["style"] != run(photo, painting)[1][0].losses["style"]


def test_masks_follow_the_size(photo, painting):
    mask = torch.zeros(10, 10)
    mask[:, :4] = 1
    losses = [StyleLoss(painting, 1.0, STYLE, mask=mask, painting_mask=mask)]
    steps = run(photo, None, losses, size=64, scales=2, steps=4)[1]
    assert [step.image.shape[3] for step in steps] == [32] * 3 + [64] * 2
    assert steps[-1].losses["style"] < steps[3].losses["style"]


# What bends a run.


def test_new_weights_bend_the_picture_and_begin_the_history_anew(photo, painting):
    transfer = begin(photo, painting, steps=8)
    iterator = iter(transfer)
    steps = [next(iterator) for _ in range(5)]
    change(transfer, content_weight=1e4)
    steps += list(iterator)
    assert [step.iteration for step in steps if step.restarted] == [5]
    assert steps[4].settings.content_weight == 1
    assert steps[5].settings.content_weight == steps[5].weights["content"] == 1e4
    assert steps[-1].iteration == 8
    assert steps[-1].losses["content"] < steps[4].losses["content"] / 2
    assert steps[-1].losses["style"] > steps[4].losses["style"]
    assert torch.equal(transfer.image, steps[-1].image)
    # As a run that begins there.
    fresh = begin(photo, painting, content_weight=1e4)
    fresh.image = steps[4].image
    next(fresh)
    assert (next(fresh).image - steps[5].image).abs().mean() < 2e-3


def test_new_layers_in_mid_run(photo, painting):
    transfer, _ = run(photo, painting)
    change(
        transfer,
        steps=6,
        style_layers={"conv2_2": 1.0},
        content_layers={"conv1_1": 1.0},
    )
    more = list(transfer)
    assert [step.iteration for step in more] == [5, 6]
    assert [step.restarted for step in more] == [True, False]
    assert more[1].losses["total"] < more[0].losses["total"]


def test_more_steps_are_no_new_loss_surface(photo, painting):
    transfer, steps = run(photo, painting)
    change(transfer, steps=6)
    aim = transfer.settings
    steps = [dataclasses.replace(step, settings=aim) for step in steps]
    assert same(steps + list(transfer), run(photo, painting, steps=6)[1])


def test_a_weight_changed_in_mid_run_bends(photo, painting):
    losses = own(painting)
    transfer = begin(photo, None, losses, steps=8)
    steps = [next(transfer) for _ in range(3)]
    losses[0].weight = 1.0  # what it is
    steps.append(next(transfer))
    losses[0].weight = 500.0
    steps += [next(transfer) for _ in range(3)]
    assert [step.iteration for step in steps if step.restarted] == [4]
    assert [step.weights["content"] for step in steps] == [1.0] * 4 + [500.0] * 3
    assert steps[-1].losses["content"] < 0.9 * steps[3].losses["content"]
    transfer.losses[2].weight = 0.0
    step = next(transfer)
    assert step.restarted and "tv" not in step.losses
    losses[2].weight = 0.3
    step = next(transfer)
    assert step.restarted and step.losses["tv"] > 0


def test_other_losses_bend(photo, painting):
    transfer = begin(photo, None, own(painting), steps=7)
    steps = [next(transfer) for _ in range(3)]
    transfer.losses = own(painting, Redness())
    steps += list(transfer)
    assert [step.iteration for step in steps if step.restarted] == [3]
    assert ["redness" in step.losses for step in steps] == [False] * 3 + [True] * 5
    assert steps[-1].losses["redness"] < 0.9 * steps[3].losses["redness"]
    # Some that are in use already, too.
    transfer.losses = transfer.losses[:2]
    change(transfer, steps=8)
    (step,) = transfer
    assert step.restarted and step.losses.keys() == {
        "content",
        "style",
        "range",
        "total",
    }


def test_another_painting_bends(photo, painting):
    transfer, steps = run(photo, painting)
    other = painting.flip(1)  # blue becomes orange
    change(transfer, steps=8)
    transfer.painting = other
    bent = list(transfer)
    assert [step.restarted for step in bent] == [True, False, False, False]
    fresh = next(begin(steps[-1].image, other))
    assert fresh.losses["style"] > bent[-1].losses["style"]
    assert transfer.painting is other
    # Two, which the settings go on to mix.
    transfer.painting = [painting, other]
    change(transfer, mix=(2, 2), steps=9)
    (step,) = transfer
    assert step.restarted and step.weights["style"] == step.weights["style 2"] == 50


def test_another_size_goes_on_from_the_picture_enlarged(photo, painting):
    transfer, _ = run(photo, painting)
    small = transfer.image
    change(transfer, size=51, steps=6)  # no multiple of 32
    height, width = resize(photo, 51).shape[2:]
    pixels = to_array(small)
    enlarged = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    assert abs(to_array(transfer.image) - enlarged.clip(0, 1)).max() < 1e-6
    step = next(transfer)
    assert step.restarted and step.image.shape[2:] == (height, width)
    # The losses are those of a run at that size that begins with this picture.
    fresh = begin(photo, painting, size=51)
    fresh.image = small
    assert next(fresh).losses["total"] > step.losses["total"] > 0


def test_any_picture_can_be_gone_on_from(photo, painting):
    transfer, steps = run(photo, painting)
    change(transfer, steps=5)
    other = photo.flip(3)
    transfer.image = other
    assert torch.equal(transfer.image, resize(other, 32))
    again = next(transfer)
    assert again.restarted and again.iteration == 5
    nearer = (again.image - resize(other, 32)).abs().mean()
    assert nearer < 0.7 * (again.image - steps[4].image).abs().mean()
    for bad in (photo.transpose(2, 3), photo[0], "cat.jpg", photo * 2):
        with pytest.raises(InputError, match="shape|image"):
            transfer.image = bad


# What it refuses, and then goes on as if nobody had asked.


def test_what_is_refused_changes_nothing(photo, painting):
    whole = run(photo, painting, steps=12)[1]
    transfer = begin(photo, painting, steps=12)
    steps = [next(transfer) for _ in range(3)]
    thin = painting[..., :20, :]

    def replace(name, **changes):
        def assign():
            change(transfer, **changes)

        return name, assign

    def assign(name, field, value):
        return name, lambda: setattr(transfer, field, value)

    others = {
        "start": "noise",
        "seed": 100,
        "weights": "random",
        "pooling": "max",
        "padding": "zeros",
        "device": "auto",
        "precision": "auto",
        "scales": 2,
    }
    for line, ask in (
        *(replace(f"{n} cannot change", **{n: value}) for n, value in others.items()),
        replace("at least 16", size=20),
        replace("a mix of 2", mix=(1, 1)),
        assign("the painting", "painting", thin),
        assign("no such file", "painting", "wave.jpg"),
        assign("give a painting", "painting", []),
        assign("has no effect", "losses", own(painting)),
        assign("shape", "image", photo.transpose(2, 3)),
    ):
        with pytest.raises(InputError, match=line):
            ask()
        assert transfer.settings == whole[0].settings
        assert transfer.painting is painting
        assert torch.equal(transfer.image, steps[-1].image)
        if len(steps) < 12:
            steps.append(next(transfer))
            assert not steps[-1].restarted
    assert same(steps, whole[: len(steps)])


def test_losses_refused_change_nothing(photo, painting):
    whole = run(photo, None, own(painting), steps=6)[1]
    transfer = begin(photo, None, own(painting), steps=6)
    steps, losses = [next(transfer) for _ in range(3)], transfer.losses
    for line, field, value in (
        ("paintings are in the losses", "painting", painting),
        ("style_weight has no effect", "settings", dataclasses.replace(BARE, mix=(1,))),
        ("another loss named", "losses", [*losses, ContentLoss(layers=CONTENT)]),
        ("no loss has a weight", "losses", []),
        ("the painting", "losses", own(painting[..., :20, :])),
        ("the painting", "losses", [losses[0], *own(painting[..., :20, :])[1:]]),
    ):
        if field == "settings":
            line = "mix has no effect"
        with pytest.raises(InputError, match=line):
            setattr(transfer, field, value)
        assert transfer.losses == losses and transfer.painting is None
    assert same(steps + list(transfer), whole)


def test_a_weight_that_is_none_is_refused_and_set_right_again(photo, painting):
    losses = own(painting)
    transfer = begin(photo, None, losses, steps=6)
    steps = [next(transfer) for _ in range(3)]
    for bad in (-1.0, math.nan, math.inf, "much", None):
        losses[0].weight = bad
        with pytest.raises(InputError, match="the weight of content"):
            next(transfer)
    losses[0].weight = 1.0
    steps += list(transfer)
    assert [step.iteration for step in steps] == list(range(7))
    totals = [step.losses["total"] for step in steps]
    assert totals == sorted(totals, reverse=True)


def test_the_optimiser_remembers_twenty_steps(photo, painting):
    transfer, steps = run(photo, painting, steps=24)
    assert steps[-1].iteration == 24
    (memory,) = transfer.state_dict()["optimizer"]["state"].values()
    assert len(memory["old_dirs"]) == len(memory["old_stps"]) == 20


# What ends it.


def test_after_the_end_it_keeps_ending_until_there_is_more_to_do(photo, painting):
    transfer, steps = run(photo, painting)

    def is_over():
        for _ in range(3):
            with pytest.raises(StopIteration):
                next(transfer)
        assert transfer.reason == "steps done" and transfer.iteration == len(steps) - 1
        assert list(transfer) == []

    is_over()
    change(transfer, steps=6)
    assert transfer.reason is None
    steps += [next(transfer), next(transfer)]
    is_over()
    change(transfer, style_weight=7.0, steps=7)
    assert transfer.reason is None
    steps.append(next(transfer))
    is_over()
    for assign in (
        lambda: change(transfer, style_weight=8.0),
        lambda: setattr(transfer, "painting", painting.flip(3)),
        lambda: setattr(transfer, "image", photo),
    ):
        assign()
        assert transfer.reason is None
        is_over()  # all its steps are done nevertheless


def test_a_for_takes_up_a_run_that_was_left(photo, painting):
    whole = run(photo, painting)[1]
    transfer, steps = begin(photo, painting), []
    for stop in (0, 2, 3):
        for step in transfer:
            steps.append(step)
            if step.iteration == stop:
                break
        assert transfer.reason is None
    assert same(steps + list(transfer), whole)
    assert isinstance(whole, Sequence) and iter(transfer) is transfer


def test_stop_says_so_and_the_run_can_go_on(photo, painting):
    transfer = begin(photo, painting)
    for step in transfer:
        if step.iteration == 2:
            transfer.stop()
    assert transfer.reason == "stopped" and transfer.iteration == 2
    with pytest.raises(StopIteration):
        next(transfer)
    assert [step.iteration for step in transfer] == [3, 4]
    assert transfer.reason == "steps done"
    transfer.stop()
    assert list(transfer) == [] and transfer.reason == "stopped"
    stopped = begin(photo, painting)
    stopped.stop()
    assert list(stopped) == [] and stopped.iteration == -1


def test_a_loss_that_is_no_number_ends_the_run_with_the_best_picture(photo, painting):
    for bad in (math.nan, math.inf):
        watch, seen = Watch(), []

        def see(image, _, bad=bad, seen=seen):
            seen.append(1)
            return image.sum() * (bad if len(seen) > 5 else 0)

        watch.see = see
        transfer, steps = run(photo, None, own(painting, watch), steps=9)
        assert transfer.reason == "not finite" and 0 < steps[-1].iteration < 9
        assert torch.equal(transfer.image, steps[-1].image)
        for _ in range(2):
            with pytest.raises(StopIteration):
                next(transfer)
        assert transfer.reason == "not finite"
        watch.see = lambda image, _: None
        more = list(transfer)
        assert [s.iteration for s in (*steps, *more)] == list(range(10))
        assert more[0].restarted and transfer.reason == "steps done"
        assert more[-1].losses["total"] < steps[-1].losses["total"]


def test_a_perfect_match_converges(photo, painting):
    for optimizer in ("lbfgs", "adam"):
        transfer, steps = run(
            photo, painting, style_weight=0, tv_weight=0, optimizer=optimizer
        )
        assert transfer.reason == "converged" and len(steps) == 1
        with pytest.raises(StopIteration):
            next(transfer)
        change(transfer, style_weight=10.0)
        assert [s.iteration for s in transfer] == [1, 2, 3, 4]


# Coarse to fine.


def test_coarse_to_fine_doubles_the_size_in_equal_shares(photo, painting):
    transfer, steps = run(photo, painting, size=100, scales=3, steps=6)
    widths = [step.image.shape[3] for step in steps]
    assert widths == [25, 25, 25, 50, 50, 100, 100]
    assert [step.restarted for step in steps] == [0, 0, 0, 1, 0, 1, 0]
    assert transfer.image.shape[2:] == resize(photo, 100).shape[2:]
    # Each size goes on from the picture of the one before.
    fresh = next(begin(photo, painting, size=50))
    assert steps[3].losses["style"] < 0.8 * fresh.losses["style"]


def test_a_small_size_gets_forty_steps_at_most(photo, painting):
    aim = dict(content_layers={"conv1_1": 1.0}, style_layers={"conv1_1": 1.0})
    steps = run(photo, painting, size=48, scales=2, steps=90, **aim)[1]
    assert [step.image.shape[3] for step in steps] == [24] * 41 + [48] * 50


def test_more_or_fewer_steps_keep_the_size_and_end_at_the_full_one(photo, painting):
    transfer, _ = run(photo, painting, size=64, scales=2, steps=4)
    change(transfer, steps=10)
    assert [step.image.shape[3] for step in transfer] == [64] * 6
    transfer = begin(photo, painting, size=100, scales=3, steps=30)
    for _ in range(3):
        next(transfer)
    change(transfer, steps=3)
    assert [step.image.shape[3] for step in transfer] == [100]
    with pytest.raises(InputError, match="scales need as many steps"):
        change(transfer, steps=2)


def test_a_scale_under_16_pixels_is_refused(photo, painting):
    with pytest.raises(InputError, match="at least 16"):
        begin(photo, painting, size=64, scales=4)
    thin = torch.rand(1, 3, 40, 200)
    for pictures in ((photo, thin), (thin, photo), (photo, [thin, photo])):
        with pytest.raises(InputError, match="choose fewer scales") as refused:
            begin(*pictures, size=128, scales=2)
        assert "2 scales begin at 64 pixels" in str(refused.value)
        begin(*pictures, size=80)
        with pytest.raises(InputError, match="choose a size of 80 or more, or crop it"):
            begin(*pictures, size=76)


def test_a_run_may_start_from_a_painting_however_thin():
    flat, tall = torch.rand(1, 3, 32, 256), torch.rand(1, 3, 256, 32)
    transfer = begin(flat, tall, size=128, start="style")
    assert next(transfer).image.shape == (1, 3, 16, 128)
    small = dataclasses.replace(TINY, start="style", size=128)
    assert 0 < forecast(flat, tall, small)[0] < 600


def test_a_size_at_which_nothing_is_left_to_do_makes_room_for_the_next(photo):
    aim = dict(style_weight=0.0, tv_weight=0.0, scales=3, steps=9, size=100)
    transfer, steps = run(photo, photo, **aim)
    assert transfer.image.shape[3] == 100 and steps[-1].image.shape[3] == 100


# Torch's own switches.


def test_switches_of_torch_change_no_picture(photo, painting):
    expected = run(photo, painting)[1]
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            # Of the run's size: no resize makes copies of these.
            pictures = resize(photo, 32).clone(), resize(painting, 32).clone()
            assert same(run(*pictures)[1], expected)
            losses = own(pictures[1], Redness())
            losses[1].mask = torch.ones(21, 32)
            transfer, steps = run(pictures[0], None, losses, optimizer="adam")
            transfer.losses[0].weight = 7.0
            change(transfer, steps=6, size=40)
            transfer.image = photo
            assert len(list(transfer)) == 2
        change(transfer, steps=8)
        assert len(list(transfer)) == 2  # begun inside, ended outside
    torch.set_default_device("meta")
    try:
        found = run(photo, painting, scales=2, size=64)[1]  # Adam of 2.6 cannot
    finally:
        torch.set_default_device(None)
    again = run(photo, painting, scales=2, size=64)[1]
    assert same(found, again)
    torch.set_default_dtype(torch.float64)
    try:
        found = run(photo, painting)[1]
    finally:
        torch.set_default_dtype(torch.float32)
    assert found[-1].image.dtype == torch.float32
    assert (found[-1].image - expected[-1].image).abs().max() < 0.02


def test_the_global_seed_is_left_alone_and_counts_for_nothing(photo, painting):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = run(photo, painting, start="noise")[1]
    assert torch.equal(torch.rand(3), expected)
    assert same(first, run(photo, painting, start="noise")[1])


def test_pictures_given_are_left_as_they_are(photo, painting):
    given = photo.clone(), painting.clone()
    before = [x.clone() for x in given]
    transfer, steps = run(*given, start="style")
    kept = [step.image.clone() for step in steps]
    change(transfer, steps=6)
    list(transfer)
    assert all(map(torch.equal, given, before))
    for step, image in zip(steps, kept, strict=True):
        assert torch.equal(step.image, image)


# Today's pictures.


def test_the_pictures_are_those_of_the_program_before(photo, painting):
    """The losses that commit f52b8c0 reached, in its own folder, by

    python -c "from nst_helpers import *; print([*StyleTransfer(
        load_image('images/content/cat.jpg'),
        load_image('images/style/hokusai_great_wave.jpg'),
        Settings(size=64, steps=10, precision='float32'))][-1].losses)"
    """
    before = {"content": 0.93889, "style": 0.069525, "tv": 2.52246, "total": 8.65788}
    layers = {f"conv{k}_1": 2 ** (5 - k) for k in range(1, 6)}  # its defaults
    aim = Settings(size=64, steps=10, precision="float32")
    aim = dataclasses.replace(aim, padding="zeros", style_layers=layers)
    *_, last = StyleTransfer(photo, painting, aim)
    for name, loss in before.items():  # its variables were not mirrored
        assert last.losses[name] == pytest.approx(loss, rel=0.05)


def test_the_run_tells_what_torchvision_measures(photo, painting):
    """Style is carried over: by a network that is not ours, of the picture shown."""
    aim = Settings(size=64, steps=20)
    *_, last = StyleTransfer(photo, painting, aim)
    photo, painting = resize(photo, 64), resize(painting, 64)
    with torch.no_grad():
        measure = written_out(photo, painting, aim)
        _, losses, _ = measure(last.image)
        _, before, _ = measure(photo)
    assert losses["style"] < 0.1 * before["style"] and losses["content"] < 1.2
    for name in ("content", "style", "tv"):
        assert last.losses[name] == pytest.approx(losses[name].item(), rel=0.02)


def test_gram_matrices_of_the_result_come_near_the_paintings(photo, painting, vgg):
    result = stylize(photo, painting, dataclasses.replace(TINY, steps=20))
    grams = [
        gram_matrix(vgg(resize(image, 32), "conv2_1")["conv2_1"])
        for image in (result, painting, photo)
    ]
    off, before = (np.linalg.norm(grams[k] - grams[1]) for k in (0, 2))
    assert off < 0.3 * before


def luma(image):
    """Return brightness as television has it, in plain NumPy."""
    return to_array(image) @ np.array([0.299, 0.587, 0.114], np.float32)


def test_the_photos_colours_are_kept(photo, painting):
    as_painted = run(photo, painting)[1]
    transfer, kept = run(photo, painting, keep_colors="photo")
    for step, plain in zip(kept, as_painted, strict=True):
        assert step.losses == plain.losses  # which do not count the colours
        mine, theirs = to_array(step.image), to_array(resize(photo, TINY.size))
        inside = ((mine > 0) & (mine < 1)).all(axis=2)  # what was not cut off
        assert abs(luma(step.image) - luma(plain.image))[inside].max() < 1e-5
        chroma = (mine - theirs) - (mine - theirs).mean(axis=2, keepdims=True)
        assert abs(chroma)[inside].max() < 1e-5
    assert torch.equal(transfer.image, kept[-1].image)
    change(transfer, keep_colors=None)
    assert torch.equal(transfer.image, as_painted[-1].image)


def test_the_paintings_palette_is_kept(photo, painting):
    first = next(begin(photo, painting, keep_colors="painting")).image
    wanted = match_colours(resize(photo, TINY.size), painting)
    assert (first - wanted).abs().max() < 1e-6
    whole = run(photo, painting, keep_colors="painting", scales=2, size=64, steps=4)[1]
    assert whole[0].losses["content"] < 1e-4  # which is that of the recoloured photo
    with pytest.raises(InputError, match="painting"):
        begin(photo, None, own(painting), keep_colors="painting")


def test_a_run_by_the_paper(photo, painting):
    settings = Settings.gatys(size=32, steps=2)
    assert set(settings.style_layers.values()) == {1.0}
    assert (settings.start, settings.tv_weight) == ("noise", 0.0)
    step = next(begin(photo, painting, **dataclasses.asdict(settings)))
    noise = torch.rand(step.image.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(step.image, noise) and "tv" not in step.weights
    assert Settings.gatys(start="content").start == "content"


def test_whoever_draws_on_a_picture_does_not_spoil_the_run(photo, painting):
    whole = run(photo, painting)[1]
    transfer = begin(photo, painting)
    for step in transfer:
        step.image.zero_()
        transfer.image.zero_()
    assert torch.equal(transfer.image, whole[-1].image)


def test_what_is_no_list_of_losses_is_told(photo, painting):
    losses = own(painting)
    for wrong in ((loss for loss in losses), losses[0], ContentLoss):
        with pytest.raises(InputError, match="losses are a list of them, not"):
            begin(photo, None, wrong)
    for wrong in (ContentLoss, "content", lambda image, features: image.mean()):
        with pytest.raises(InputError, match="losses are objects of Loss, not"):
            begin(photo, None, [*losses, wrong])


def test_a_style_scale_too_small_says_what_would_do(photo, painting):
    with pytest.raises(InputError, match="painting: .* a size of (?P<size>[0-9]+) or"):
        begin(photo, painting, size=64, style_scale=0.2)
    with pytest.raises(InputError, match="or a larger style scale") as refused:
        begin(photo, painting, size=64, style_scale=0.2)
    size = int(str(refused.value).split("a size of ")[1].split()[0])
    begin(photo, painting, size=size, style_scale=0.2)
    with pytest.raises(InputError):
        begin(photo, painting, size=size - 8, style_scale=0.2)


def test_pictures_without_pixels_are_refused(photo, painting):
    for empty in (torch.zeros(1, 3, 0, 0), np.zeros((0, 9, 3), np.uint8)):
        with pytest.raises(InputError, match="empty|its shape is"):
            begin(empty, painting)


def test_a_size_refused_leaves_losses_of_ones_own_as_they_were(photo, painting):
    def losses():
        content, _, tv = own(painting)
        return [content, StyleLoss(painting, layers=STYLE, scale=0.5), tv]

    whole = run(photo, None, losses(), size=64)[1]
    transfer = begin(photo, None, losses(), size=64)
    steps = [next(transfer) for _ in range(3)]
    with pytest.raises(InputError, match="the painting"):
        change(transfer, size=40)
    assert same(steps + list(transfer), whole)
