"""Winograd's convolution against the plain one."""

import copy

import pytest
import torch
from torch.nn.functional import conv2d

from nst_helpers import VGG19, winograd
from nst_helpers.fast import has_onednn

pytestmark = pytest.mark.skipif(not has_onednn(torch.zeros(1)), reason="no oneDNN here")

# One square, parts of squares, and several strips; wider and higher.
SIZES = [(1, 1), (4, 4), (5, 3), (33, 50), (130, 61), (3, 900)]


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("height, width", SIZES)
def test_convolve_equals_the_plain_sums(height, width, order):
    x = draw(1, 7, height, width).contiguous(memory_format=order)
    kernels, bias = draw(5, 7, 3, 3), draw(5)
    transformed, scratch = winograd.transform(kernels, x), winograd.Scratch()
    scratch.pieces((10**6,))[0].fill_(torch.nan)  # what stands there must not matter
    ours = torch.empty(1, 5, height, width)
    winograd.convolve(x, transformed, None, ours, scratch)
    exact = conv2d(x.double(), kernels.double(), padding=1)
    assert (ours - exact).abs().max() < 1e-5 * exact.abs().max()
    winograd.convolve(x, transformed, bias, ours, scratch)
    exact = conv2d(x.double(), kernels.double(), bias.double(), padding=1).relu()
    assert (ours - exact).abs().max() < 1e-5 * exact.abs().max()


def test_it_is_taken_for_one_picture_and_large_layers_in_float32_alone():
    kernels = VGG19("random").convs["conv3_2"].weight
    assert winograd.pays(torch.zeros(1, 256, 16, 16), kernels)
    assert not winograd.pays(torch.zeros(1, 256, 16, 4), kernels)
    assert not winograd.pays(torch.zeros(2, 256, 16, 16), kernels)
    assert not winograd.pays(torch.zeros(1, 256, 16, 16).bfloat16(), kernels)
    assert not winograd.pays(torch.zeros(1, 64, 256, 256), kernels[:64, :64])


def test_features_are_those_of_the_plain_network():
    # Large enough for Winograd's way in all blocks but the first.
    vgg, image = VGG19(), draw(1, 3, 140, 200).sigmoid()
    plain = vgg(image.requires_grad_(), ["conv2_2", "conv4_2", "conv5_1"])
    with torch.no_grad():
        ours = vgg(image, plain)
        again = copy.deepcopy(vgg)(image, plain)
        pair = vgg(torch.cat([image.flip(3), image]), plain)
    assert vgg._fast._packed.keys() >= {("conv2_2", False), ("conv4_2", False)}
    for name, features in plain.items():
        assert (ours[name] - features).norm() < 1e-5 * features.norm()
        assert torch.equal(again[name], ours[name])
        assert (pair[name][1:] - features).norm() < 1e-5 * features.norm()
