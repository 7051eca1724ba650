import dataclasses
import subprocess
import sys
import types

import cv2
import numpy as np
import pytest
import torch
from conftest import ctrl_c_on_a_new_line
from safetensors.torch import save_file
from test_vgg import bundled_state, torchvision_features

from nst_helpers import (
    VGG19,
    InputError,
    Settings,
    StyleTransfer,
    forecast,
    gram_matrix,
    style_loss,
    stylize,
)
from nst_helpers.budget import memory_needed, pick_device, pick_precision
from nst_helpers.fast import has_onednn
from nst_helpers.frequencies import scale_frequencies
from nst_helpers.images import fit_inside, resize, to_array

SMALL = Settings(size=64, steps=4, precision="float32")


def run(photo, painting, **changes):
    transfer = StyleTransfer(photo, painting, dataclasses.replace(SMALL, **changes))
    return transfer, list(transfer)


def relative(a, b):
    """Compute ‖a − b‖² / ‖b‖²."""
    return ((a - b).norm() ** 2 / b.norm() ** 2).item()


def test_defaults_paint_the_cat_and_torchvision_agrees(photo, painting):
    """The claim of the README, checked by a network that is not ours."""
    settings = Settings()
    transfer = StyleTransfer(photo, painting, settings)
    *_, last = transfer
    assert transfer.reason == "steps done" and last.iteration == settings.steps
    state = bundled_state()
    result, target, style = (
        torchvision_features(state, resize(image, settings.size), "avg")
        for image in (last.image, photo, painting)
    )
    theirs = {}
    for name in settings.style_layers:
        f, p = (x[name][0].flatten(1).double() for x in (result, style))
        theirs[name] = relative(f @ f.T / f.shape[1], p @ p.T / p.shape[1])
    content = relative(result["conv4_2"].double(), target["conv4_2"].double())
    assert max(theirs[name] for name in ("conv1_1", "conv2_1", "conv3_1")) <= 0.04
    assert theirs["conv4_1"] <= 0.2
    assert content <= 1.4

    grams = {name: gram_matrix(f) for name, f in style.items()}
    for name, error in theirs.items():
        ours = style_loss(result, grams, {name: 1.0}).item()
        assert ours == pytest.approx(error, rel=0.01)
    # The run's own figures are of the pixels before they were cut off at 0 and 1.
    weights = settings.style_layers
    mean = sum(w * theirs[n] for n, w in weights.items()) / sum(weights.values())
    assert last.losses["style"] == pytest.approx(mean, rel=0.01)
    assert last.losses["content"] == pytest.approx(content, rel=0.01)


def test_the_first_step_is_the_start_and_the_loss_falls(photo, painting):
    transfer, steps = run(photo, painting)
    assert [step.iteration for step in steps] == [0, 1, 2, 3, 4]
    assert torch.equal(steps[0].image, resize(photo, 64))
    assert steps[0].losses["content"] == 0
    assert steps[0].losses["tv"] == pytest.approx(1)
    totals = [step.losses["total"] for step in steps]
    assert totals == sorted(totals, reverse=True) and totals[-1] < 0.9 * totals[0]
    assert torch.equal(transfer.image, steps[-1].image)
    for step in steps:
        assert step.image.min() >= 0 and step.image.max() <= 1
        weighted = (
            step.losses["content"]
            + 100 * step.losses["style"]
            + 0.3 * step.losses["tv"]
            + 50 * 101.3 * step.losses["range"]
        )
        assert step.losses["total"] == pytest.approx(weighted, rel=1e-5)


def watch(transfer, see, layer):
    """Call see(name, image, features) whenever the network has computed a layer."""
    vgg = transfer._vgg
    walk = vgg.walk

    def walk_and_see(image, layers):
        for name, features in walk(image, layers):
            if name == layer:
                see(name, image, features)
            yield name, features

    vgg.walk = walk_and_see


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_no_point_is_evaluated_twice(photo, painting, optimizer):
    settings = dataclasses.replace(SMALL, optimizer=optimizer, steps=12)
    transfer = StyleTransfer(photo, painting, settings)
    points = []
    watch(
        transfer,
        lambda name, image, _: points.append(image.numpy().tobytes()),
        "conv1_1",
    )
    *_, last = transfer
    assert len(points) == len(set(points)) == last.evaluations
    assert last.iteration == 12 and last.evaluations >= 13
    if optimizer == "adam":
        assert last.evaluations == 13


def test_same_seed_same_picture_bit_for_bit(photo, painting):
    first = run(photo, painting, start="noise")[0].image
    assert torch.equal(first, run(photo, painting, start="noise")[0].image)
    assert not torch.equal(first, run(photo, painting, start="noise", seed=1)[0].image)


def test_stylize_returns_the_best_picture(photo, painting):
    assert torch.equal(stylize(photo, painting, SMALL), run(photo, painting)[0].image)


def test_starts(photo, painting):
    noise = StyleTransfer(photo, painting, dataclasses.replace(SMALL, start="noise"))
    assert abs(noise.image.mean().item() - 0.5) < 0.02
    style = StyleTransfer(photo, painting, dataclasses.replace(SMALL, start="style"))
    height, width = style.image.shape[2:]
    expected = fit_inside(resize(painting, 64), height, width)
    assert torch.equal(style.image, expected)


def test_new_settings_bend_the_picture_and_forget_the_history(photo, painting):
    transfer = StyleTransfer(photo, painting, dataclasses.replace(SMALL, steps=8))
    iterator = iter(transfer)
    steps = [next(iterator) for _ in range(5)]
    assert not any(step.restarted for step in steps)
    optimizer = transfer._optimizer
    transfer.settings = dataclasses.replace(transfer.settings, content_weight=1e4)
    steps += list(iterator)
    assert transfer._optimizer is not optimizer
    assert [step.iteration for step in steps if step.restarted] == [5]
    assert steps[-1].iteration == 8
    assert steps[-1].losses["content"] < steps[4].losses["content"] / 2
    assert steps[-1].losses["style"] > steps[4].losses["style"]
    assert torch.equal(transfer.image, steps[-1].image)


def test_new_layers_in_mid_run(photo, painting):
    transfer, steps = run(photo, painting)
    transfer.settings = dataclasses.replace(
        SMALL, steps=6, style_layers={"conv2_2": 1.0}, content_layers={"conv3_1": 1.0}
    )
    more = list(transfer)
    assert [step.iteration for step in more] == [5, 6] and more[0].restarted
    assert more[1].losses["total"] < more[0].losses["total"]


def test_more_steps_are_no_new_loss_surface(photo, painting):
    whole = run(photo, painting, steps=6)[1]
    transfer, _ = run(photo, painting, steps=4)
    transfer.settings = dataclasses.replace(transfer.settings, steps=6)
    more = list(transfer)
    assert not any(step.restarted for step in more)
    assert torch.equal(more[-1].image, whole[-1].image)


OTHERS = {
    "start": "noise",
    "seed": 100,
    "weights": "random",
    "pooling": "max",
    "device": "auto",
    "precision": "auto",
    "scales": 2,
}


@pytest.mark.parametrize(("name", "other"), OTHERS.items())
def test_what_cannot_change_in_mid_run(photo, painting, name, other):
    small = dataclasses.replace(SMALL, device="cpu")
    transfer = StyleTransfer(photo, painting, small)
    with pytest.raises(InputError, match=f"{name} cannot change"):
        transfer.settings = dataclasses.replace(small, **{name: other})
    assert transfer.settings == small and next(transfer).iteration == 0


def test_another_size_in_mid_run_goes_on_from_the_picture_enlarged(photo, painting):
    transfer, _ = run(photo, painting, steps=4)
    small = transfer.image
    large = dataclasses.replace(SMALL, size=101, steps=6)  # 101 is no multiple of 64
    transfer.settings = large
    height, width = resize(photo, 101).shape[2:]
    pixels = to_array(small)
    enlarged = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    assert abs(to_array(transfer.image) - enlarged.clip(0, 1)).max() < 1e-6
    step = next(transfer)
    assert step.restarted and step.image.shape[2:] == (height, width)
    # the losses are those of a run at that size that begins with this picture
    fresh = StyleTransfer(photo, painting, large)
    fresh.image = small
    assert next(fresh).losses["total"] > step.losses["total"] > 0
    with pytest.raises(InputError, match="at least 16"):
        transfer.settings = dataclasses.replace(large, size=20)
    assert transfer.settings == large and next(transfer).image.shape[3] == 101


def test_any_picture_can_be_gone_on_from(photo, painting):
    transfer, steps = run(photo, painting, steps=4)
    transfer.settings = dataclasses.replace(transfer.settings, steps=5)
    other = photo.flip(3)
    transfer.image = other
    again = next(transfer)
    assert again.restarted and again.iteration == 5
    nearer = (again.image - resize(other, 64)).abs().mean()
    assert nearer < 0.5 * (again.image - steps[4].image).abs().mean()
    with pytest.raises(InputError, match="shape"):
        transfer.image = photo.transpose(2, 3)


def test_another_painting_in_mid_run_bends_the_picture(photo, painting):
    transfer, steps = run(photo, painting, steps=4)
    other = painting.flip(1)  # blue becomes orange
    transfer.settings = dataclasses.replace(transfer.settings, steps=8)
    transfer.painting = other
    bent = list(transfer)
    assert [step.restarted for step in bent] == [True, False, False, False]
    fresh = next(StyleTransfer(steps[-1].image, other, SMALL))
    assert fresh.losses["style"] > bent[-1].losses["style"]
    assert transfer.painting is other


@pytest.mark.parametrize("mix", [0.0, 0.25, 1.0])
def test_a_mix_of_two_paintings_mixes_their_gram_matrices(photo, painting, mix):
    pair, aim = (painting, photo.flip(1)), dataclasses.replace(SMALL, mix=mix)
    step = next(StyleTransfer(photo, pair, aim))
    vgg, layers = VGG19(), SMALL.style_layers
    grams = []
    for image in (photo, *pair):
        features = vgg(resize(image, SMALL.size), layers)
        grams.append({name: x[0].flatten(1) for name, x in features.items()})
        grams[-1] = {n: f @ f.T / f.shape[1] for n, f in grams[-1].items()}
    error = 0
    for name, weight in layers.items():
        g, first, second = (each[name] for each in grams)
        target = (1 - mix) * first + mix * second
        error += weight * ((g - target) ** 2).sum() / (target**2).sum()
    expected = (error / sum(layers.values())).item()
    assert step.losses["style"] == pytest.approx(expected, rel=1e-4)


def test_a_mix_needs_two_paintings(photo, painting):
    mixed = dataclasses.replace(SMALL, mix=0.5)
    with pytest.raises(InputError, match="second painting"):
        StyleTransfer(photo, painting, mixed)
    transfer = StyleTransfer(photo, painting, SMALL)
    with pytest.raises(InputError, match="second painting"):
        transfer.settings = mixed
    assert transfer.settings == SMALL
    with pytest.raises(InputError, match="one painting or two"):
        StyleTransfer(photo, [painting] * 3, SMALL)


def test_a_term_of_weight_0_costs_nothing_and_is_left_out(photo, painting):
    transfer = StyleTransfer(
        photo, painting, dataclasses.replace(SMALL, style_weight=0, tv_weight=0)
    )
    depth = []
    watch(transfer, lambda *_: depth.append(1), "conv4_3")
    step = next(transfer)
    assert step.losses.keys() == {"content", "range", "total"} and not depth


def interrupt(transfer, evaluation, error):
    """Make the network break off at its n-th evaluation from now."""
    calls = []

    def see(*_):
        calls.append(1)
        if len(calls) == evaluation:
            raise error

    watch(transfer, see, "conv1_1")


@pytest.mark.parametrize("evaluation", [1, 2, 3, 5, 6])
def test_ctrl_c_leaves_the_best_picture_and_a_run_that_goes_on(
    photo, painting, evaluation
):
    transfer = StyleTransfer(photo, painting, SMALL)
    interrupt(transfer, evaluation, KeyboardInterrupt)
    steps = []
    with pytest.raises(KeyboardInterrupt):
        for step in transfer:
            steps.append(step)
    best = steps[-1].image if steps else resize(photo, 64)
    assert torch.equal(transfer.image, best)
    # The next search starts from the last picture shown, not from where it broke off.
    evaluate, starts = transfer._evaluate, []

    def evaluate_and_tell():
        starts.append(transfer._pixels(transfer._variables.detach()))
        return evaluate()

    transfer._evaluate = evaluate_and_tell
    steps += list(transfer)
    assert torch.equal(starts[0].clamp(0, 1), best)
    assert [step.iteration for step in steps] == [0, 1, 2, 3, 4]
    totals = [step.losses["total"] for step in steps]
    assert totals == sorted(totals, reverse=True)


def test_a_bend_is_reported_even_if_ctrl_c_came_between(photo, painting):
    transfer = StyleTransfer(photo, painting, SMALL)
    next(transfer)
    transfer.settings = dataclasses.replace(SMALL, style_weight=1.0)
    interrupt(transfer, 1, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        next(transfer)
    assert [step.restarted for step in transfer] == [True, False, False, False]


def test_only_the_ratio_of_the_weights_matters(photo, painting):
    results = [
        run(photo, painting, content_weight=m, style_weight=100 * m, tv_weight=0.3 * m)
        for m in (1.0, 2.0**-12, 2.0**12)
    ]
    images = [transfer.image for transfer, _ in results]
    for image in images[1:]:
        torch.testing.assert_close(image, images[0], rtol=0, atol=1e-3)


def test_the_best_picture_is_the_one_of_the_lowest_total(photo, painting, monkeypatch):
    monkeypatch.setattr("nst_helpers.transfer.ADAM_LR", 0.5)
    transfer, steps = run(photo, painting, optimizer="adam", steps=8)
    best = min(steps, key=lambda step: step.losses["total"])
    assert best is not steps[-1] and torch.equal(transfer.image, best.image)


def test_a_loss_that_is_no_number_ends_the_run_with_the_best_picture(photo, painting):
    transfer = StyleTransfer(photo, painting, SMALL)
    calls = []

    def broken(name, image, features):
        calls.append(1)
        if len(calls) > 5:
            features.fill_(float("nan"))

    watch(transfer, broken, "conv1_1")
    steps = list(transfer)
    assert transfer.reason == "not finite" and 0 < steps[-1].iteration < 4
    assert torch.equal(transfer.image, steps[-1].image)


def test_stop_says_so_and_the_run_can_go_on(photo, painting):
    transfer = StyleTransfer(photo, painting, SMALL)
    for step in transfer:
        if step.iteration == 2:
            transfer.stop()
    assert transfer.reason == "stopped" and transfer.iteration == 2
    assert [step.iteration for step in transfer] == [3, 4]
    assert transfer.reason == "steps done"
    transfer.stop()
    assert list(transfer) == [] and transfer.reason == "stopped"


def test_a_perfect_match_converges(photo, painting):
    transfer, steps = run(photo, painting, style_weight=0, tv_weight=0)
    assert transfer.reason == "converged" and len(steps) == 1


@pytest.mark.parametrize("grey", [0.0, 1.0])
def test_flat_pictures(painting, grey):
    flat = torch.full((1, 3, 40, 60), grey)
    for pair in ((flat, painting), (painting, flat)):
        steps = run(*pair)[1]
        assert steps[-1].losses["total"] < steps[0].losses["total"]
        assert steps[-1].image.isfinite().all()


def test_pictures_of_any_shape(photo, painting):
    tall = photo[:, :, :, 100:200]
    result = stylize(tall, painting, SMALL)
    assert result.shape == resize(tall, 64).shape


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(3, 20, 20),
        torch.zeros(1, 1, 20, 20),
        torch.full((1, 3, 20, 20), 2.0),
        torch.full((1, 3, 20, 20), float("nan")),
        "cat.jpg",
    ],
)
def test_what_is_no_image_is_refused(photo, bad):
    with pytest.raises(InputError, match="photo"):
        StyleTransfer(bad, photo, SMALL)
    with pytest.raises(InputError, match="painting"):
        StyleTransfer(photo, bad, SMALL)


def test_device():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    missing = [n for n in ("cuda", "mps") if n != pick_device("auto").type]
    with pytest.raises(InputError, match=missing[0]):
        pick_device(missing[0])


def test_lbfgs_beats_adam_at_equal_evaluations(photo, painting):
    lbfgs = run(photo, painting, steps=40)[1]
    adam = run(photo, painting, steps=40, optimizer="adam")[1]
    most = adam[-1].evaluations
    ours = [step for step in lbfgs if step.evaluations <= most][-1]
    assert ours.losses["total"] < adam[-1].losses["total"]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_saved_run_goes_on_bit_for_bit(photo, painting, tmp_path, optimizer):
    aim = dataclasses.replace(SMALL, steps=30, optimizer=optimizer, mix=0.25)
    whole = StyleTransfer(photo, [painting, photo], aim)
    for step in whole:
        if step.iteration == 24:  # L-BFGS has begun to forget its first steps
            break
    whole.save(tmp_path / "run")
    again = StyleTransfer.resume(tmp_path / "run")
    assert torch.equal(again.image, whole.image) and again.iteration == 24
    for ours, theirs in zip(whole, again, strict=True):
        assert torch.equal(ours.image, theirs.image)
        assert (ours.losses, ours.evaluations) == (theirs.losses, theirs.evaluations)
        assert not theirs.restarted
    assert again.reason == "steps done"


def test_a_run_saved_with_new_settings_bends_as_it_would_have(
    photo, painting, tmp_path
):
    whole, _ = run(photo, painting, steps=5)
    whole.settings = dataclasses.replace(SMALL, steps=8, style_weight=7.0)
    whole.save(tmp_path / "run")
    again = StyleTransfer.resume(tmp_path / "run")
    for ours, theirs in zip(whole, again, strict=True):
        assert torch.equal(ours.image, theirs.image)
        assert ours.restarted == theirs.restarted == (ours.iteration == 6)


def test_a_run_broken_off_within_a_step_is_saved_as_of_the_last_one(
    photo, painting, tmp_path
):
    transfer, steps = run(photo, painting, steps=6)
    transfer.settings = dataclasses.replace(transfer.settings, steps=9)
    interrupt(transfer, 1, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        next(transfer)
    transfer.save(tmp_path / "run")
    again = StyleTransfer.resume(tmp_path / "run")
    assert again.iteration == 6 and torch.equal(again.image, steps[-1].image)
    assert [step.iteration for step in again] == [7, 8, 9]
    assert again.reason == "steps done"


def test_no_broken_checkpoint_is_gone_on_from(photo, painting, tmp_path):
    transfer, _ = run(photo, painting, steps=2)
    transfer.save(tmp_path / "run")
    content = (tmp_path / "run").read_bytes()
    for tenth in range(10):
        (tmp_path / "cut").write_bytes(content[: tenth * len(content) // 10])
        with pytest.raises(InputError, match="no checkpoint, or cut off"):
            StyleTransfer.resume(tmp_path / "cut")
    torch.save({"pixels": photo}, tmp_path / "pickle")
    with pytest.raises(InputError, match="no checkpoint, or cut off"):
        StyleTransfer.resume(tmp_path / "pickle")
    save_file({"pixels": photo}, tmp_path / "weights")
    with pytest.raises(InputError, match="not a checkpoint"):
        StyleTransfer.resume(tmp_path / "weights")
    with pytest.raises(InputError, match="no such checkpoint"):
        StyleTransfer.resume(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be written"):
        transfer.save(tmp_path / "no folder" / "run")


@pytest.mark.parametrize("waves", [(3, 0), (0, 4), (2, 6)])
def test_each_wave_is_scaled_by_the_root_of_its_length(waves):
    down, right = np.meshgrid(np.arange(24), np.arange(32), indexing="ij")
    wave = np.cos(2 * np.pi * (waves[0] * down / 24 + waves[1] * right / 32))
    length = 1 / np.hypot(waves[0] / 24, waves[1] / 32)
    image = torch.tensor(wave, dtype=torch.float32).expand(1, 3, -1, -1)
    scaled = scale_frequencies(image)
    expected = image * (length / 4) ** 0.5
    torch.testing.assert_close(scaled, expected, rtol=0, atol=1e-5)
    colour = image * torch.tensor([2.0, -1, -1]).view(3, 1, 1)
    both = scale_frequencies(image + colour)
    torch.testing.assert_close(both, expected + colour, rtol=0, atol=1e-5)


def test_scaling_frequencies_is_symmetric():
    x, y = torch.rand(2, 1, 3, 17, 24)
    there = (scale_frequencies(x) * y).sum()
    back = (x * scale_frequencies(y)).sum()
    assert there.item() == pytest.approx(back.item(), rel=1e-5)


def test_the_gradient_of_the_variables_equals_finite_differences(photo, painting):
    transfer, _ = run(photo, painting, steps=2)
    _, gradient = transfer._evaluate()
    # A long way, for single precision: the curvature cancels between the two sides.
    way = 1e-2 * gradient / gradient.abs().max()
    here, sides = transfer._variables.detach().clone(), []
    for sign in (1, -1):
        transfer._variables.data.copy_(here + sign * way)
        losses, _ = transfer._evaluate()
        sides.append(transfer._scale * losses["total"])
    slope = (gradient * way).sum().item()
    assert (sides[0] - sides[1]) / 2 == pytest.approx(slope, rel=0.02)


def test_the_variables_are_more_equally_stiff_than_pixels(photo, painting, monkeypatch):
    """The claim of scale_frequencies, measured along random waves."""
    transfer, _ = run(photo, painting, size=128, steps=10)
    height, width = transfer.image.shape[2:]
    down, right = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    frequency = np.hypot(down, right)
    colours = {"grey": (1, 1, 1), "red - green": (1, -1, 0)}

    def stiffness(band, colour):
        """Compute v·H v / v·v from gradients on both sides."""
        random = np.random.default_rng(0).normal(size=(height, width))
        waves = np.fft.irfft2(np.fft.rfft2(random) * band, s=(height, width))
        v = torch.tensor(waves / waves.std(), dtype=torch.float32).expand(1, 3, -1, -1)
        v = 0.005 * v * torch.tensor(colours[colour]).view(3, 1, 1)
        sides = []
        for sign in (1, -1):
            transfer._variables.data.copy_(sign * v)
            transfer._known = []
            sides.append(transfer._evaluate()[1])
        return ((sides[0] - sides[1]) * v).sum().item() / 2 / v.square().sum().item()

    def ratio(colour):
        """Compare fine waves, shorter than 8 pixels, with broad ones."""
        fine = stiffness(frequency > 1 / 8, colour)
        return fine / stiffness(frequency < 1 / 16, colour)

    transfer.image = transfer.image  # the variables are 0 there
    in_variables = ratio("grey")
    pixels = lambda *_: torch.ones(())  # noqa: E731
    monkeypatch.setattr("nst_helpers.frequencies._wave_lengths", pixels)
    assert ratio("grey") > 4 and ratio("red - green") < 1
    assert 1 / 4 < in_variables < 4


def test_coarse_to_fine_doubles_the_size_in_equal_shares(photo, painting):
    transfer, steps = run(photo, painting, size=128, scales=3, steps=6)
    widths = [step.image.shape[3] for step in steps]
    assert widths == [32, 32, 32, 64, 64, 128, 128]
    assert [step.restarted for step in steps] == [0, 0, 0, 1, 0, 1, 0]
    assert transfer.image.shape[2:] == resize(photo, 128).shape[2:]
    # each size goes on from the picture of the one before
    fresh = next(StyleTransfer(photo, painting, dataclasses.replace(SMALL, size=64)))
    assert steps[3].losses["style"] < 0.8 * fresh.losses["style"]


def test_a_small_size_gets_forty_steps_at_most(photo, painting):
    transfer, steps = run(photo, painting, scales=2, steps=90)
    assert [step.image.shape[3] for step in steps] == [32] * 41 + [64] * 50


def test_more_steps_in_mid_run_do_not_shrink_the_picture(photo, painting):
    transfer, _ = run(photo, painting, size=64, scales=2, steps=4)
    transfer.settings = dataclasses.replace(transfer.settings, steps=10)
    assert [step.image.shape[3] for step in transfer] == [64] * 6


def test_a_scale_under_16_pixels_is_refused(photo, painting):
    with pytest.raises(InputError, match="at least 16"):
        run(photo, painting, size=64, scales=4)


def test_a_coarse_run_resumed_is_the_same_bit_for_bit(photo, painting, tmp_path):
    settings = dataclasses.replace(SMALL, size=64, scales=2, steps=6, precision="auto")
    whole = list(StyleTransfer(photo, painting, settings))
    for stop in (1, 3, 4, 5):
        transfer = StyleTransfer(photo, painting, settings)
        for _ in range(stop + 1):
            next(transfer)
        transfer.save(tmp_path / "run")
        *_, last = StyleTransfer.resume(tmp_path / "run")
        assert torch.equal(last.image, whole[-1].image)


def test_a_run_too_small_for_its_first_scale_is_resumed(photo, painting, tmp_path):
    transfer, _ = run(photo, painting, size=128, scales=3, steps=3)
    transfer.settings = dataclasses.replace(transfer.settings, size=40, steps=4)
    transfer.save(tmp_path / "run")
    resumed = StyleTransfer.resume(tmp_path / "run")
    assert resumed.settings == transfer.settings
    assert torch.equal(next(resumed).image, next(transfer).image)


def test_a_resumed_run_keeps_the_precision_measured_at_its_start(
    photo, painting, tmp_path, monkeypatch
):
    def measured(precision):
        monkeypatch.setattr("nst_helpers.transfer.pick_precision", lambda *_: precision)

    measured("bfloat16")
    monkeypatch.setattr("nst_helpers.transfer.PATIENCE", 0)  # float32 takes over soon
    whole, _ = run(photo, painting, precision="auto", steps=3)
    whole.save(tmp_path / "run")
    assert whole.precision == "float32"
    measured("float32")
    resumed = StyleTransfer.resume(tmp_path / "run")
    images = []
    for transfer in (whole, resumed):
        bent = dataclasses.replace(transfer.settings, style_weight=10.0, steps=4)
        transfer.settings = bent
        images.append(next(transfer).image)
        assert transfer.precision == "bfloat16"
    assert torch.equal(*images)


def test_bfloat16_ends_where_float32_does(photo, painting):
    exact, _ = run(photo, painting, steps=20)
    rough, steps = run(photo, painting, steps=20, precision="bfloat16")
    assert rough.precision == "bfloat16" and exact.precision == "float32"
    judge = StyleTransfer(photo, painting, SMALL)
    totals = []
    for transfer in (exact, rough):
        judge.image = transfer.image
        totals.append(next(judge).losses["total"])
    assert totals[1] == pytest.approx(totals[0], rel=0.1)
    assert steps[-1].losses["total"] == pytest.approx(totals[1], rel=0.05)


def test_float32_takes_over_when_a_rounded_line_search_finds_no_way(
    photo, painting, monkeypatch
):
    monkeypatch.setattr("nst_helpers.transfer.pick_precision", lambda *_: "bfloat16")
    monkeypatch.setattr("nst_helpers.transfer.PATIENCE", 0)
    transfer, _ = run(photo, painting, precision="auto", steps=1)
    assert transfer.precision == "bfloat16"  # the first step may take its time
    transfer.settings = dataclasses.replace(transfer.settings, steps=3)
    last = list(transfer)[-1]
    assert transfer.precision == "float32" and not last.restarted
    # bent, the picture is far from its goal again
    transfer.settings = dataclasses.replace(
        transfer.settings, style_weight=10.0, steps=4
    )
    assert next(transfer).restarted and transfer.precision == "bfloat16"


def test_fixed_precision_stays(photo, painting, monkeypatch):
    monkeypatch.setattr("nst_helpers.transfer.PATIENCE", 0)
    transfer, _ = run(photo, painting, precision="bfloat16")
    assert transfer.precision == "bfloat16"


@pytest.mark.parametrize(
    ("times", "choice"),
    [((4.0, 2.0), "bfloat16"), ((4.0, 3.9), "float32"), ((1.0, 20.0), "float32")],
)
def test_the_faster_precision_is_chosen_but_no_close_call(monkeypatch, times, choice):
    exact, rough = times
    monkeypatch.setattr(
        "nst_helpers.budget._time",
        lambda layer: exact if layer.weight.dtype == torch.float32 else rough,
    )
    assert pick_precision.__wrapped__(torch.device("cpu")) == choice


def test_a_precision_insisted_on_is_not_measured(monkeypatch):
    monkeypatch.setattr("nst_helpers.budget._time", lambda layer: 1 / 0)
    pick = pick_precision.__wrapped__
    assert pick(torch.device("cpu"), "bfloat16") == "bfloat16"
    assert pick(torch.device("cuda")) == "float32"


def test_features_in_bfloat16_are_rounded_a_little(photo):
    vgg, image = VGG19(), resize(photo, 64)
    for name, rough in vgg.in_bfloat16()(image, ["conv1_1", "conv5_1"]).items():
        assert rough.dtype == torch.bfloat16
        assert relative(rough.float(), vgg(image, [name])[name]) < 1e-3


def test_what_does_not_fit_into_memory_is_refused_before_any_work(
    photo, painting, monkeypatch
):
    free = types.SimpleNamespace(available=1e9)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    with pytest.raises(InputError, match="choose a size up to") as error:
        run(photo, painting, size=2048)
    assert "1.0 GB are free" in str(error.value)
    largest = int(str(error.value).split()[-1])
    for size, fits in ((largest, True), (largest + 2, False)):
        settings = dataclasses.replace(SMALL, size=size)
        assert (memory_needed(photo, [painting], settings) <= 1) == fits
    transfer, _ = run(photo, painting)
    with pytest.raises(InputError, match="choose a size up to"):
        transfer.settings = dataclasses.replace(SMALL, size=2048)
    assert transfer.settings == SMALL


def test_a_forecast_grows_with_steps_and_size(photo, painting):
    def tell(**changes):
        return forecast(photo, painting, dataclasses.replace(SMALL, **changes))

    (seconds, gigabytes), (longer, same) = tell(steps=10), tell(steps=10_000)
    assert longer > 10 * seconds > 0 and same == gigabytes  # seconds drift, but not so
    assert tell(size=128)[1] > gigabytes
    assert tell(precision="bfloat16")[1] < gigabytes


def test_a_forecast_for_a_run_that_converges_at_once(photo):
    aim = dataclasses.replace(SMALL, style_weight=0.0, tv_weight=0.0)
    assert forecast(photo, photo, aim)[0] > 0


def test_a_forecast_without_a_loss_is_refused(photo, painting, tmp_path):
    state = {name: tensor * 1e30 for name, tensor in bundled_state().items()}
    save_file(state, tmp_path / "huge.safetensors")
    aim = dataclasses.replace(SMALL, weights=str(tmp_path / "huge.safetensors"))
    with pytest.raises(InputError, match="no number from the start"):
        forecast(photo, painting, aim)


@pytest.mark.skipif(not has_onednn(torch.zeros(1)), reason="no oneDNN here")
def test_at_rest_a_run_keeps_no_memory_for_features(photo, painting, monkeypatch):
    monkeypatch.setattr("nst_helpers.fast.LARGE", 0)
    transfer = StyleTransfer(photo, painting, SMALL)
    convolutions = transfer._vgg._fast
    next(transfer)
    assert convolutions._last_arena is not None
    transfer.painting = painting.flip(3)
    looks = []  # at the new painting: is the arena held meanwhile?
    look = VGG19.__call__

    def watch(vgg, *given):
        looks.append(convolutions._last_arena)
        return look(vgg, *given)

    monkeypatch.setattr(VGG19, "__call__", watch)
    transfer._aim()
    assert looks and not any(looks)
    next(transfer)
    assert convolutions._last_arena is not None
    # Nor while memory is checked for a larger size, where it would count as taken.
    looks.clear()
    monkeypatch.setattr(
        "nst_helpers.transfer.check_memory",
        lambda *_: looks.append(convolutions._last_arena),
    )
    transfer.settings = dataclasses.replace(SMALL, size=SMALL.size + 32)
    assert looks == [None]
    next(transfer)
    assert convolutions._last_arena is not None
    list(transfer)
    assert convolutions._last_arena is None


def test_a_run_does_not_import_pytorchs_compiler(tmp_path):
    code = f"""
import sys, torch
from nst_helpers import Settings, StyleTransfer
pictures = torch.rand(2, 1, 3, 20, 20)
settings = Settings(size=20, steps=3, weights="random", precision="float32")
transfer = StyleTransfer(*pictures, settings)
assert len(list(transfer)) == 4
transfer.save({str(tmp_path / "run")!r})
next(StyleTransfer.resume({str(tmp_path / "run")!r}), None)
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_size_at_which_nothing_is_left_to_do_makes_room_for_the_next(photo):
    aim = dict(style_weight=0.0, tv_weight=0.0, scales=3, steps=9, size=128)
    transfer, steps = run(photo, photo, **aim)
    assert transfer.image.shape[3] == 128 and steps[-1].image.shape[3] == 128


def test_fewer_steps_in_mid_run_still_end_at_the_full_size(photo, painting):
    transfer = StyleTransfer(
        photo, painting, dataclasses.replace(SMALL, size=128, scales=3, steps=30)
    )
    for _ in range(3):
        next(transfer)
    transfer.settings = dataclasses.replace(transfer.settings, steps=3)
    assert [step.image.shape[3] for step in transfer] == [128]
    with pytest.raises(InputError, match="scales need as many steps"):
        dataclasses.replace(transfer.settings, steps=2)


def test_ctrl_c_on_any_line_of_a_step_that_grows_loses_nothing(
    photo, painting, tmp_path
):
    shallow = {"content_layers": {"conv1_2": 1}, "style_layers": {"conv2_1": 1}}
    aim = dataclasses.replace(SMALL, scales=2, **shallow)  # there are many lines
    whole = list(StyleTransfer(photo, painting, aim))
    tried, before, between = set(), None, 0
    while before != len(tried):
        before = len(tried)
        transfer = StyleTransfer(photo, painting, aim)
        steps = [next(transfer) for _ in range(3)]
        with ctrl_c_on_a_new_line("nst_helpers/transfer.py", tried):
            steps.append(next(transfer))
        if transfer._origin.shape != transfer._photo.shape:  # half grown
            transfer.save(tmp_path / "run")
            transfer = StyleTransfer.resume(tmp_path / "run")
            between += 1
        steps += list(transfer)
        assert [step.iteration for step in steps] in ([0, 1, 2, 3, 4], [0, 1, 2, 4])
        assert steps[-1].image.shape == whole[-1].image.shape
        assert transfer.reason == "steps done"
    assert len(tried) > 100 and between > 3
    assert torch.equal(steps[-1].image, whole[-1].image)


def test_scrolls_and_strips_are_forecast_too(photo, painting):
    scroll = painting[:, :, :24, :]
    aim = dataclasses.replace(SMALL, size=512)
    assert forecast(photo, scroll, aim)[0] > 0
    with pytest.raises(InputError, match="no image tensor"):
        forecast("cat.jpg", painting)


def test_another_painting_in_mid_run_asks_for_no_more_memory(
    photo, painting, monkeypatch
):
    transfer, _ = run(photo, painting)
    free = types.SimpleNamespace(available=1e6)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    transfer.painting = painting.flip(3)
    with pytest.raises(InputError, match="close programs"):
        run(photo, painting)
