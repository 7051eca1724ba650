"""A convolution and its ReLU, forward and back, as fast as processors can do them."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad

from . import winograd

ONEDNN = torch.ops.mkldnn
MANY = 4_000_000  # numbers, of a picture or features


def has_onednn(x: Tensor) -> bool:
    """Tell whether oneDNN can compute with numbers of this kind, where they are."""
    onednn = torch.backends.mkldnn.is_available()  # its old name
    if x.device.type != "cpu" or not onednn or ONEDNN._is_mkldnn_acl_supported():
        return False  # on ARM it fuses nothing
    if x.dtype == torch.bfloat16:
        return ONEDNN._is_mkldnn_bf16_supported()
    return x.dtype == torch.float32


class ConvReLU(nn.Module):
    """Convolve with 3×3 kernels, then cut off below 0: max(0, W ∗ x + b).

    Kernels, bias and padding are those of conv. Numbers are of dtype, but for pixels,
    which its rounding would spoil.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = conv.weight
        self.dtype = torch.float32 if conv.in_channels == 3 else dtype
        # Zeros beyond the border come with the convolution, all else before it.
        self.mode = conv.padding_mode
        padding = 1 if self.mode == "zeros" else 0
        weight, bias = conv.weight.to(self.dtype), conv.bias.to(self.dtype)
        self.forth = _Convolution(weight, bias, padding)
        self.back = _Convolution(weight, None, 2 - padding)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (1, C, H, W) into (1, D, H, W), 0 or more."""
        x = x.to(self.dtype)
        if self.mode != "zeros":
            x = pad(x, (1, 1, 1, 1), mode=self.mode)
        return _Function.apply(x, self)


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: ConvReLU) -> Tensor:
        y = layer.forth(x)
        ctx.layer = layer
        ctx.save_for_backward(y)  # tells where the ReLU has cut off
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, y, 0)
        return ctx.layer.back(gradient), None


class _Convolution:
    """Convolve by oneDNN or in Winograd's way; both want kernels in an order of theirs.

    To bring them into it takes time that does not shrink with the picture. So it is
    done once for a size; but for large ones each time, to save memory.

    Args:
        weight: (D, C, 3, 3).
        bias: (D,), added before all below 0 is cut off; None: neither is done, and the
            kernels are those that take a gradient back, from D channels to C.
        padding: zeros beyond each side.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, padding: int) -> None:
        self.weight, self.bias, self.padding = weight, bias, padding
        self.size: torch.Size | None = None  # that the kernels are kept for
        self.kept: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve (1, C, H, W), or (1, D, H, W) back."""
        given = (self.padding,) * 2, (1, 1), (1, 1), 1  # padding, stride, dilation
        if not has_onednn(x):
            y = conv2d(x, self._kernels(), self.bias, padding=self.padding)
            return y if self.bias is None else y.relu_()
        by_winograd = winograd.is_faster(x, self.weight, self.padding)
        kernels = self.kept
        if self.size != x.shape:
            self.kept = self.size = None  # before there are others
            kernels = self._kernels()
            if by_winograd:
                kernels = winograd.transform(kernels, x, self.padding)
            else:
                order = ONEDNN._reorder_convolution_weight
                kernels = order(kernels, *given, x.shape)
            if x.numel() < MANY:
                self.size, self.kept = x.shape, kernels
        if by_winograd:
            return winograd.convolve(x, kernels, self.bias, self.padding)
        then = "none" if self.bias is None else "relu"  # done in the same pass
        fused = ONEDNN._convolution_pointwise
        return fused(x, kernels, self.bias, *given, then, [], "")

    def _kernels(self) -> Tensor:
        """Return the kernels; those for the way back are turned by 180°."""
        if self.bias is not None:
            return self.weight
        turned = self.weight.flip(2, 3).transpose(0, 1)
        return turned.contiguous(memory_format=torch.channels_last)
