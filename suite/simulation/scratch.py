"""Temporaries inside operators: bytes that are allocated and freed again before an operator returns.

What a fake operator returns is all that a simulation sees of it. These are the operators whose temporaries are large: on every
device `_safe_softmax` and normalizations of inputs that are not contiguous, also convolutions and upsampling; those of a GPU
are in `cuda_scratch`. The CPU figures are those of torch 2.11 to 2.13 in float32, from ATen's sources and from what the
profiler shows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch

from suite.simulation.cuda_scratch import ON_CUDA, is_channels_last

SCORES = "aten::_safe_softmax"
CONTIGUOUS_FIRST = ("aten::native_layer_norm", "aten::_softmax")
UPSAMPLING = ("aten::upsample_nearest2d", "aten::upsample_bilinear2d")
CONVOLUTIONS = ("aten::convolution", "aten::_convolution")
SMALL_OUTPUT = 128
"""Height plus width up to which upsampling goes through channels-last copies."""
ONEDNN_LIMIT = "ONEDNN_MAX_CPU_ISA"
"""The variable that keeps oneDNN from a processor's newer instructions."""
ISAS = ("SSE41", "AVX2", "AVX512")
ONEDNN_LIMITS = {"SSE41": 0, "AVX": 0, "AVX2": 1, "AVX2_VNNI": 1, "AVX2_VNNI_2": 1}
"""The last of `ISAS` that it leaves, by its value; what is not here leaves all."""


def scratch_bytes(operator: str, args: Sequence[Any], output: Any, device: str) -> int:
    """Bytes that an operator needs beyond what it is given and what it returns.

    Args:
        operator: with its namespace, such as ``aten::convolution``.
        args: positional arguments of the call.
        output: what it returned.
        device: ``cpu`` or ``cuda``: where the operator would run.
    """
    if operator == SCORES:
        return _safe_softmax(output)
    if operator in CONTIGUOUS_FIRST:
        return 0 if args[0].is_contiguous() else _bytes(args[0].shape, args[0].element_size())
    estimate = (ON_CPU if device == "cpu" else ON_CUDA).get(operator)
    return 0 if estimate is None else estimate(args, output)


def _safe_softmax(scores: torch.Tensor) -> int:
    """Where a score is minus infinity, and whether a whole row is: booleans."""
    return scores.numel() + scores.numel() // scores.shape[-1]


def _upsampling(args: Sequence[Any], output: torch.Tensor) -> int:
    """Input and output in channels-last order, where they are small and not in that order already."""
    image = args[0]
    if is_channels_last(image) or sum(output.shape[-2:]) > SMALL_OUTPUT:
        return 0
    return _bytes(image.shape, image.element_size()) + _bytes(output.shape, output.element_size())


def _convolution(args: Sequence[Any], output: torch.Tensor) -> int:
    """oneDNN's copies in its blocked order, or the columns of a convolution by matrix product."""
    image, weight, groups = args[0], args[1], args[8]
    if image.dtype != torch.float32 or args[6]:
        return 0
    image_shape, weight_shape, output_shape = (_two_dimensional(tensor.shape) for tensor in (image, weight, output))
    contiguous = 0 if image.is_contiguous() else _bytes(image_shape)
    if _uses_onednn(image_shape, weight_shape, groups):
        if is_channels_last(image):
            return _bytes(weight_shape)
        return contiguous + _blocked_copies(image_shape, weight_shape, output_shape, groups)
    window = weight_shape[2:]
    columns = image_shape[0] * prod(weight_shape[1:]) * prod(output_shape[2:])
    return contiguous + (4 * columns if prod(window) > 1 else 0)


def is_by_matrix_product(args: Sequence[Any]) -> bool:
    """Whether a CPU does this convolution by its own matrix product, whose output is contiguous whatever its input is."""
    image, weight, transposed, groups = args[0], args[1], args[6], args[8]
    return not transposed and not _uses_onednn(_two_dimensional(image.shape), _two_dimensional(weight.shape), groups)


def _two_dimensional(shape: Sequence[int]) -> tuple[int, ...]:
    """A convolution along one axis is done as one along two, the first of length 1."""
    return (*shape[:2], 1, shape[2]) if len(shape) == 3 else tuple(shape)


def _uses_onednn(image: Sequence[int], weight: Sequence[int], groups: int) -> bool:
    """As ATen's Convolution.cpp decides it for float32."""
    if weight[-2:] == (1, 1) and torch.get_num_threads() == 1:
        return False
    return groups > 1 or min(weight[-2:]) > 3 or image[0] > 1 or prod(image[:4]) > 20480


def onednn_isa() -> str:
    """The newest of ``SSE41``, ``AVX2`` and ``AVX512`` whose kernels oneDNN takes here.

    Not ``torch.backends.cpu.get_cpu_capability()``, which tells of ATen's own kernels: each library has its own limit.
    """
    has = torch.cpu._is_avx2_supported() + torch.cpu._is_avx512_supported()
    return ISAS[min(has, ONEDNN_LIMITS.get(os.environ.get(ONEDNN_LIMIT, "").upper(), has))]


def _blocked_copies(image: Sequence[int], weight: Sequence[int], output: Sequence[int], groups: int) -> int:
    """Input, weight and output with channels in whole blocks; the output's plain copy comes when the first two are gone.

    A grouped convolution is taken to need none.
    """
    if groups > 1:
        return 0
    block = 16 if onednn_isa() == "AVX512" else 8
    is_first = image[1] < block  # few channels stay as they are
    channels = image[1] if is_first else _padded(image[1], block)
    out_channels = _padded(output[1], block)
    blocked_input = 0 if is_first else _bytes((image[0], channels, *image[2:]))
    blocked_weight = _bytes((out_channels, channels, *weight[2:]))
    blocked_output = _bytes((output[0], out_channels, *output[2:]))
    return max(blocked_input + blocked_weight + blocked_output - _bytes(output), blocked_output)


def _padded(length: int, block: int) -> int:
    return -(-length // block) * block


def _bytes(shape: Sequence[int], element_size: int = 4) -> int:
    return prod(shape) * element_size


ON_CPU: Mapping[str, Callable[[Sequence[Any], Any], int]] = {
    **dict.fromkeys(UPSAMPLING, _upsampling),
    **dict.fromkeys(CONVOLUTIONS, _convolution),
}
