"""Quicker convolutions give what plain ones give, or step aside."""

import copy
import dataclasses
import functools
import itertools
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from conftest import TINY, Watch
from test_resume import as_file, handed_on, walk
from test_transfer import BARE, change, own, same
from torch.nn.functional import conv2d

from nst_helpers import (
    VGG19,
    ContentLoss,
    Settings,
    StyleLoss,
    StyleTransfer,
    content_loss,
    gram_matrix,
    style_loss,
    stylize,
)
from nst_helpers.fast import accelerate, winograd
from nst_helpers.fast.convolution import has_onednn
from nst_helpers.layers import LAYERS
from nst_helpers.pixels import resize

needs_onednn = pytest.mark.skipif(not has_onednn(torch.zeros(1)), reason="no oneDNN")
# Odd sides: pooling leaves a last row or column out. At the last one, Winograd's way is
# taken in all blocks but the first.
SIZES = (33, 50), (47, 31), (70, 101)
KINDS = [
    ("bundled", "avg", "zeros"),
    ("bundled", "max", "replicate"),
    ("random", "avg", "replicate"),
    ("random", "max", "zeros"),
    ("bundled", "avg", "reflect"),
]


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@functools.cache
def network(*kind):
    """Return one that nobody changes."""
    return VGG19(*kind)


def off(ours, theirs):
    return ((ours - theirs).norm() / theirs.norm()).item()


def features_and_gradient(vgg, pixels, photo, aim):
    """Compute features, and the gradient of content and style by autograd."""
    pixels = pixels.clone().requires_grad_()
    layers = {name: 1.0 for name in aim}
    grams = {name: gram_matrix(f) for name, f in aim.items()}
    features = vgg(pixels, LAYERS)
    loss = content_loss(features, aim, layers) + style_loss(features, grams, layers)
    loss.backward()
    return {n: f.detach() for n, f in features.items()}, pixels.grad


@needs_onednn
def test_features_and_gradient_are_those_of_the_plain_network():
    for k, kind in enumerate(KINDS):
        plain = network(*kind)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            quick, precision = accelerate(plain, "float32")
        assert precision == "float32" and quick is not plain
        for size in SIZES if k == 0 else [SIZES[k % 3]]:
            pixels, photo = draw(2, 1, 3, *size).sigmoid()
            aim = plain(photo, ["conv1_1", "conv2_2", "conv3_4", "conv4_2", "conv5_1"])
            expected, gradient = features_and_gradient(plain, pixels, photo, aim)
            found, ours = features_and_gradient(quick, pixels, photo, aim)
            for name, features in expected.items():
                assert off(found[name], features) < 1e-4, (kind, size, name)
            # Which of two pixels nearly equal is the greater one may change.
            rest = 1e-2 if kind[1] == "max" else 1e-4
            assert off(ours, gradient) < rest, (kind, size)
            with torch.no_grad():
                for name, features in quick(pixels, LAYERS).items():
                    assert torch.equal(features, found[name])


def test_bfloat16_comes_near_on_any_chip(photo, painting, monkeypatch):
    pixels, photo = (resize(x, 64) for x in (painting[..., :300, :450], photo))
    for known in (True, False):
        if not known:  # a chip that oneDNN has no such numbers for
            monkeypatch.setattr(
                "nst_helpers.fast.convolution.has_onednn",
                lambda x: x.dtype == torch.float32 and has_onednn(x),
            )
        for kind in KINDS if known else KINDS[:2]:
            plain = network(*kind)
            quick, precision = accelerate(plain, "bfloat16")
            assert precision == "bfloat16"
            aim = plain(photo, ["conv1_1", "conv3_1", "conv4_2"])
            expected, gradient = features_and_gradient(plain, pixels, photo, aim)
            found, ours = features_and_gradient(quick, pixels, photo, aim)
            for name, features in expected.items():
                kind_of_numbers = "float32" if name == "conv1_1" else "bfloat16"
                assert found[name].dtype == getattr(torch, kind_of_numbers)
                assert off(found[name].float(), features) < 2e-2, (kind, name)
            # Untrained, what each layer rounds hardly fades in the next ones.
            limit = 0.2 if kind[0] == "random" else 0.1
            assert ours.dtype == torch.float32 and off(ours, gradient) < limit, kind


def test_pixels_and_the_first_kernels_are_not_rounded():
    plain, pixels = network(*KINDS[0]), draw(1, 3, 64, 48).sigmoid()
    quick, _ = accelerate(plain, "bfloat16")
    names = ["conv1_1", "conv1_2"]
    exact, found = plain(pixels, names), quick(pixels, names)
    assert off(found["conv1_1"].float(), exact["conv1_1"]) < 1e-5
    assert 1e-4 < off(found["conv1_2"].float(), exact["conv1_2"]) < 1e-2


def test_the_network_given_is_left_as_it_was():
    plain, image = VGG19(), draw(1, 3, 40, 48).sigmoid()
    before, state = plain(image, LAYERS), copy.deepcopy(plain.state_dict())
    for precision in ("float32", "bfloat16", "auto"):
        quick, _ = accelerate(plain, precision)
        quick(image, LAYERS)
    for name, features in plain(image, LAYERS).items():
        assert torch.equal(features, before[name])
    for name, value in plain.state_dict().items():
        assert torch.equal(value, state[name])


@needs_onednn
def test_sizes_and_batches_that_follow_each_other_do_not_mix():
    plain = network(*KINDS[0])
    quick, _ = accelerate(plain, "float32")
    names = ["conv2_2", "conv4_2", "conv5_1"]
    first, second = draw(1, 3, 140, 200).sigmoid(), draw(1, 3, 64, 48).sigmoid()
    pair = torch.cat([first.flip(3), first])
    alone = quick(first, names)
    for image in (second, first, pair, second, first):
        found, expected = quick(image, names), plain(image, names)
        for name in names:
            assert off(found[name], expected[name]) < 1e-5
            if image is first:
                assert torch.equal(found[name], alone[name])


# Winograd's convolution.


@needs_onednn
def test_winograd_equals_the_plain_sums():
    # One tile, parts of tiles, and several strips; wider and higher.
    for height, width in ((4, 4), (5, 3), (33, 50), (130, 61), (3, 900)):
        for order in (torch.channels_last, torch.contiguous_format):
            for padding in (0, 1, 2):
                x = draw(1, 8, height, width).contiguous(memory_format=order)
                kernels, bias = draw(5, 8, 3, 3), draw(5)
                kept = winograd.transform(kernels, x, padding)
                doubles = x.double(), kernels.double()
                exact = conv2d(*doubles, padding=padding)
                ours = winograd.convolve(x, kept, None, padding)
                assert ours.shape == exact.shape
                assert (ours - exact).abs().max() < 1e-5 * exact.abs().max()
                exact = conv2d(*doubles, bias.double(), padding=padding).relu()
                ours = winograd.convolve(x, kept, bias, padding)
                assert (ours - exact).abs().max() < 1e-5 * exact.abs().max()


def test_winograd_is_taken_for_one_picture_and_large_layers_in_float32_alone():
    kernels = torch.zeros(256, 256, 3, 3)
    x = torch.zeros(1, 256, 16, 16)
    assert winograd.is_faster(x, kernels, 1)
    assert not winograd.is_faster(x[..., :4], kernels, 1)
    assert not winograd.is_faster(torch.cat([x, x]), kernels, 1)
    assert not winograd.is_faster(x.bfloat16(), kernels, 1)
    few = torch.zeros(1, 64, 256, 256)
    assert not winograd.is_faster(few, kernels[:64, :64], 1)


@needs_onednn
def test_kernels_are_brought_into_order_once(capfd):
    # Which order oneDNN wants depends on the chip and the picture's size. In another
    # one, each evaluation at 256 pixels took three times as long on a chip with AVX2.
    plain = network(*KINDS[0])
    for precision in ("float32", "bfloat16"):
        if not has_onednn(torch.zeros(1, dtype=getattr(torch, precision))):
            continue
        quick, _ = accelerate(plain, precision)
        for size in ((48, 64), (128, 85)):
            pixels, photo = draw(2, 1, 3, *size).sigmoid()
            aim = plain(photo, ["conv5_1"])
            given = quick, pixels, photo, aim
            features_and_gradient(*given)
            capfd.readouterr()
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
                features_and_gradient(*given)
            said = capfd.readouterr().out.splitlines()
            done = [line for line in said if "exec" in line]
            assert any(",convolution," in line for line in done)
            ordered = [line for line in done if ",reorder," in line]
            if precision == "bfloat16":  # features may want it on other chips
                ordered = [line for line in ordered if "x3x3" in line]
            assert not ordered


# Where it steps aside.


def painted(photo, painting, **changes):
    """Paint; return the picture and the warnings."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        image = stylize(photo, painting, dataclasses.replace(TINY, **changes))
    return image, [str(warning.message) for warning in said]


@pytest.fixture
def plainly_painted(photo, painting, monkeypatch):
    with monkeypatch.context() as without:
        without.setattr("nst_helpers.device.quicken", None)
        image, said = painted(photo, painting, size=48)
        assert not said
        return image


def test_a_run_paints_the_same_picture(photo, painting, plainly_painted):
    quick, said = painted(photo, painting, size=48)
    assert not said
    assert (quick - plainly_painted).abs().max() < 5e-3


@needs_onednn
def test_without_an_operator_the_plain_network_paints(
    photo, painting, monkeypatch, plainly_painted
):
    monkeypatch.setattr("nst_helpers.fast.convolution.ONEDNN", object())
    for precision in ("float32", "bfloat16", "auto"):
        image, said = painted(photo, painting, size=48, precision=precision)
        assert len(said) == 1 and "painting without quick convolutions" in said[0]
        assert "\n" not in said[0]
        assert torch.equal(image, plainly_painted)


@needs_onednn
def test_where_it_disagrees_the_plain_network_paints(
    photo, painting, monkeypatch, plainly_painted
):
    def convolve_wrongly(wrong, on_the_way_back, x, kernels, bias, padding):
        y = convolve(x, kernels, bias, padding)
        return wrong(y) if on_the_way_back == (bias is None) else y

    convolve = winograd.convolve
    wrongs = lambda y: y * 1.02, lambda y: y * torch.nan, lambda y: y[..., :1]
    for given in itertools.product(wrongs, (False, True)):
        wrongly = functools.partial(convolve_wrongly, *given)
        monkeypatch.setattr(winograd, "convolve", wrongly)
        image, said = painted(photo, painting, size=48)
        assert len(said) == 1 and "painting without quick convolutions" in said[0]
        assert torch.equal(image, plainly_painted)


def test_other_devices_take_the_network_given(monkeypatch):
    plain = network(*KINDS[0])
    monkeypatch.setattr("nst_helpers.fast.has_onednn", lambda x: False)
    for precision in ("float32", "auto"):
        assert accelerate(plain, precision) == (plain, "float32")
    monkeypatch.undo()
    on_meta = copy.deepcopy(plain).to("meta")
    assert accelerate(on_meta, "float32") == (on_meta, "float32")
    assert accelerate(on_meta, "auto") == (on_meta, "float32")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_acl_supported", lambda: True)
    assert not has_onednn(torch.zeros(1))  # ARM
    assert accelerate(plain, "auto") == (plain, "float32")


def pretend_chip(monkeypatch, avx512=False, amx=False):
    """Let PyTorch say whether a chip multiplies numbers of 16 bits, and how."""
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)


def test_auto_asks_what_the_chip_is_made_for(monkeypatch):
    plain = network(*KINDS[0])
    for avx512, amx, precision in (
        (True, False, "bfloat16"),
        (False, True, "bfloat16"),
        (False, False, "float32"),
    ):
        pretend_chip(monkeypatch, avx512, amx)
        monkeypatch.setattr("nst_helpers.fast.has_onednn", lambda x: True)
        assert accelerate(plain, "auto")[1] == precision
        # oneDNN has no numbers of 16 bits.
        of_32 = lambda x: x.dtype == torch.float32  # noqa: E731
        monkeypatch.setattr("nst_helpers.fast.has_onednn", of_32)
        assert accelerate(plain, "auto")[1] == "float32"


def test_without_the_folder_all_works(tmp_path):
    shutil.copytree(
        Path(__file__).parent.parent / "nst_helpers",
        tmp_path / "nst_helpers",
        ignore=shutil.ignore_patterns("fast", "__pycache__"),
    )
    code = """
import sys, torch
# Here the package is the folder that is beside.
sys.meta_path = [x for x in sys.meta_path if "editable" not in x.__module__]
import nst_helpers
from nst_helpers import Settings, stylize
assert nst_helpers.__file__.startswith(sys.argv[1])
image = stylize(*torch.rand(2, 1, 3, 32, 48), Settings(size=32, steps=3))
assert image.isfinite().all()
assert "nst_helpers.fast" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr


# Runs with it.


@pytest.fixture
def made_for_bfloat16(monkeypatch):
    """Let auto take bfloat16 on any chip."""
    pretend_chip(monkeypatch, avx512=True)
    monkeypatch.setattr("nst_helpers.fast.has_onednn", lambda x: True)


def test_runs_are_taken_up_bit_for_bit(photo, painting, tmp_path, made_for_bfloat16):
    for precision, last, take_up in (
        ("float32", 3, handed_on),
        ("auto", 1, as_file(tmp_path / "run")),
    ):
        aim = dataclasses.replace(TINY, precision=precision, scales=2, size=64)
        whole = list(StyleTransfer(photo, painting, aim))
        transfer = StyleTransfer(photo, painting, aim)
        steps = walk(transfer, last)
        again = take_up(transfer)
        assert again.precision == transfer.precision
        assert same(steps + list(again), whole)


@pytest.mark.long
def test_bfloat16_ends_where_float32_does(photo, painting):
    aim = Settings(size=48, steps=10, precision="float32")
    rough = dataclasses.replace(aim, precision="bfloat16")
    judge, totals = StyleTransfer(photo, painting, aim), []
    for settings in (aim, rough):
        transfer = StyleTransfer(photo, painting, settings)
        *_, last = transfer
        assert transfer.precision == settings.precision
        judge.image = transfer.image
        totals.append(next(judge).losses["total"])
        assert last.losses["total"] == pytest.approx(totals[-1], rel=0.05)
    assert totals[1] == pytest.approx(totals[0], rel=0.1)


def test_float32_takes_over_when_a_rounded_line_search_finds_no_way(
    photo, painting, made_for_bfloat16
):
    # Without a style it is soon so near that rounding stands in the way.
    aim = dataclasses.replace(
        TINY, precision="auto", steps=60, style_weight=0.0, tv_weight=0.3
    )
    transfer = StyleTransfer(photo, painting, aim)
    assert transfer.precision == "bfloat16"
    precisions, totals = [], []
    for step in transfer:
        precisions.append(transfer.precision)
        totals.append(step.losses["total"])
        # Only there does its history begin anew.
        assert step.restarted == (precisions[-2:] == ["bfloat16", "float32"])
    assert transfer.reason == "steps done"
    kinds = sorted(set(precisions))
    assert kinds == ["bfloat16", "float32"] and precisions == sorted(precisions)
    takeover = precisions.index("float32")
    assert totals[takeover] < 1.01 * totals[takeover - 1]
    assert totals[-1] < totals[takeover]
    # Taken up, it goes on in float32; bent, it is far from its goal again.
    change(transfer, steps=62)
    again = handed_on(transfer)
    assert again.precision == "float32"
    ours, theirs = list(transfer), list(again)
    assert same(ours, theirs) and again.precision == "float32"
    for run in (transfer, again):
        change(run, style_weight=10.0, steps=63)
    steps = next(transfer), next(again)
    assert steps[0].restarted and same(steps[:1], steps[1:])
    assert transfer.precision == again.precision == "bfloat16"


def test_losses_of_ones_own_are_given_whole_numbers(photo, painting, made_for_bfloat16):
    seen = []
    watch = Watch(lambda _, features: seen.append(features["conv1_2"].dtype))
    watch.layers = {"conv1_2": 1.0}
    aim = dataclasses.replace(BARE, precision="auto")
    transfer = StyleTransfer(photo, None, aim, own(painting, watch))
    list(transfer)
    assert transfer.precision == "float32" and set(seen) == {torch.float32}
    # Whoever asks for it, gets it.
    aim = dataclasses.replace(BARE, precision="bfloat16")
    next(StyleTransfer(photo, None, aim, own(painting, watch)))
    assert seen[-1] == torch.bfloat16


def test_losses_of_the_package_take_numbers_of_16_bits(
    photo, painting, made_for_bfloat16
):
    aim = dataclasses.replace(BARE, precision="auto")
    layers = {"conv2_1": 1.0}
    ours = [ContentLoss(1.0, {"conv1_2": 1.0}), StyleLoss(painting, 100.0, layers)]
    assert StyleTransfer(photo, None, aim, ours).precision == "bfloat16"
    # A statistic of one's own need not know of them.
    other = StyleLoss(painting, 100.0, layers, statistic=lambda f: f.mean((2, 3)))
    assert StyleTransfer(photo, None, aim, [ours[0], other]).precision == "float32"


def test_a_fixed_precision_stays(photo, painting):
    for precision in ("bfloat16", "float32"):
        aim = dataclasses.replace(
            TINY, precision=precision, style_weight=0.0, tv_weight=0.0
        )
        transfer = StyleTransfer(photo, painting, aim)
        assert len(list(transfer)) == 1 and transfer.reason == "converged"
        assert transfer.precision == precision
