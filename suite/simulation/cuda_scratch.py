"""Temporaries inside operators of an NVIDIA GPU: copies in the order that a kernel reads.

ATen copies first: a convolution is in channels-last order if its image or its weight is, group norm and the resampling of
videos are never. Then cuDNN copies inside its workspace where its kernels read another order: those of tensor cores (half
precision, TF32) channels last, those of plain float32 channels first. Seen with cuDNN 9.19 on an H200, where all rules here
come from; other versions may choose other kernels. Tensors of more than 2^31 elements are handed to cuDNN whole, and so are
their copies (ATen/native/cudnn/Conv_v8.cpp; only its older interface, Conv_v7.cpp, splits them along the batch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch

LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
BLOCK = 8
"""Channels that a tensor core's kernel reads at once: outputs are padded to it, inputs with fewer take another kernel."""


def is_channels_last(tensor: torch.Tensor) -> bool:
    """Whether its channels lie side by side, and not only because it could be read either way."""
    order = LAST.get(tensor.dim())
    return order is not None and tensor.is_contiguous(memory_format=order) and not tensor.is_contiguous()


def _convolution(args: Sequence[Any], output: torch.Tensor) -> int:
    image, weight, groups = args[0], args[1], args[8]
    last = is_channels_last(image) or is_channels_last(weight)
    copies = sum(_nbytes(one) for one in (image, weight) if not _is_in_order(one, last=last))
    if image.shape[1] < BLOCK or groups == image.shape[1] > 1:  # few channels and one by one: kernels for any order
        return copies
    return copies + _inside_cudnn(image, weight, output, is_last=last)


def _inside_cudnn(image: torch.Tensor, weight: torch.Tensor, output: torch.Tensor, *, is_last: bool) -> int:
    """Bytes of what its kernel reads and writes in another order, or with more channels, than it is given."""
    may_use_tf32 = image.dtype == torch.float32 and torch.backends.cudnn.allow_tf32
    on_tensor_cores = image.element_size() == 2 or may_use_tf32
    is_pointwise = prod(weight.shape[2:]) == 1
    channels = output.shape[1]
    padding = -channels % BLOCK if on_tensor_cores else 0
    outputs, weights = (_padded(one, channels, padding) for one in (output, weight))
    if on_tensor_cores == is_last:
        return outputs + weights if padding and is_last else 0
    if is_pointwise and on_tensor_cores:  # a plain matrix product
        return 0
    return _nbytes(image) + outputs + (0 if is_pointwise else weights)


def _is_in_order(tensor: torch.Tensor, *, last: bool) -> bool:
    return tensor.is_contiguous(memory_format=LAST[tensor.dim()]) if last else tensor.is_contiguous()


def _padded(tensor: torch.Tensor, num_channels: int, padding: int) -> int:
    """Bytes of an output, or of the weight that makes it, with more channels than it has."""
    return _nbytes(tensor) * (num_channels + padding) // num_channels


def _group_norm(args: Sequence[Any], output: Any) -> int:
    return 0 if args[0].is_contiguous() else _nbytes(args[0])


def _resampled_video(args: Sequence[Any], output: torch.Tensor) -> int:
    return _nbytes(args[0]) + _nbytes(output) if is_channels_last(args[0]) else 0


def _nbytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


ON_CUDA: Mapping[str, Callable[[Sequence[Any], Any], int]] = {
    "aten::convolution": _convolution,
    "aten::_convolution": _convolution,
    "aten::native_group_norm": _group_norm,
    "aten::upsample_nearest3d": _resampled_video,
}
"""By operator, given its arguments and what it returned."""
