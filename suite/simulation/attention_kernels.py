"""Which kernel scaled_dot_product_attention would take on a GPU: the checks of torch's sdp_utils.cpp that shapes and the GPU's
compute capability decide.

A simulation runs on fake CPU tensors, for which torch knows a fused kernel and math only. Fused kernels cost and hold the
same, so the CPU's one stands for all of them; what has to be told is whether a call gets one at all, and its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch.nn.attention import SDPBackend

from suite.attention_backends import Capability, exists_on

FAKE_FUSED = "aten::_scaled_dot_product_flash_attention_for_cpu"
"""The operator that stands for all of them."""
HALVES = (torch.float16, torch.bfloat16)
PREFERS_CUDNN = (9, 10)
"""Major compute capabilities on which cuDNN comes first, with a cuDNN newer than 9.15: it does in torch 2.11 and later."""
MOST_CUDNN_ROWS = 65535
"""Batch size and heads up to which a call goes to cuDNN."""
WIDEST_BLOCK = 128
"""Values up to this width stay in registers while the efficient kernel sums them."""
MASK_ALIGNMENT = 8
"""Elements."""


class Call(NamedTuple):
    """Arguments of a call that decide about its kernel. Shapes are ``[batch, heads, length, head_dim]``."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    has_mask: bool
    is_causal: bool
    is_grouped: bool
    """Fewer heads of keys and values than of queries."""

    @property
    def head_dims(self) -> set[int]:
        return {self.query.shape[-1], self.value.shape[-1]}


def call_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """From the arguments of scaled_dot_product_attention."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    given = dict(zip(names, args, strict=False)) | dict(kwargs)
    query, key, value = given["query"], given["key"], given["value"]
    is_grouped = bool(given.get("enable_gqa")) and query.shape[-3] != key.shape[-3]
    return Call(query, key, value, given.get("attn_mask") is not None, bool(given.get("is_causal")), is_grouped)


def cuda_kernel(call: Call, capability: Capability | None = None) -> str:
    """``flash``, ``efficient``, ``cudnn`` or ``math``: the first that is allowed now and takes the call, in torch's order.

    Args:
        call: of scaled_dot_product_attention.
        capability: of the GPU. None: one that has every kernel, tried in the order that torch has on most.
    """
    for backend in _allowed(capability):
        name, takes = KERNELS[backend]
        if name == "math" or ((capability is None or exists_on(name, capability)) and takes(call, capability)):
            return name
    raise RuntimeError("No available kernel. Aborting execution.")  # as torch says it


def fake_backends(kernel: str) -> list[SDPBackend]:
    """What stands for a GPU's kernel on a fake CPU: the fused one where it takes the call, math otherwise."""
    return [SDPBackend.MATH] if kernel == "math" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]


def as_kernel(kernel: str, operator: str, output: Any) -> Any:
    """What a fused operator returns with that kernel: only flash keeps rows' log-sum-exp where no gradient is asked for."""
    if kernel == "flash" or operator != FAKE_FUSED:
        return output
    values, statistics = output
    return values, statistics.new_empty(0)


def fused_scratch_bytes(kernel: str, operator: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Bytes that a fused operator needs with that kernel beyond what it is given and what it returns.

    The efficient kernel sums halves wider than a block in float32 (``kNeedsOutputAccumulatorBuffer`` in ATen's
    kernel_forward.h), and gets a mask with rows that are no multiple of 8 elements again, padded (``pad_bias`` in ATen's
    attention.cpp).
    """
    if kernel != "efficient" or operator != FAKE_FUSED:
        return 0
    query, value, mask = args[0], args[2], kwargs.get("attn_mask")
    width = value.shape[-1]
    sums = query.numel() // query.shape[-1] * width * 4 if query.dtype in HALVES and width > WIDEST_BLOCK else 0
    return sums + (0 if mask is None or _has_aligned_rows(mask) else _padded_bytes(mask))


def _has_aligned_rows(mask: torch.Tensor) -> bool:
    *outer, innermost = mask.stride()
    return innermost == 1 and all(stride % MASK_ALIGNMENT == 0 for stride in outer)


def _padded_bytes(mask: torch.Tensor) -> int:
    *outer, length = mask.shape
    return prod(outer) * (length // MASK_ALIGNMENT + 1) * MASK_ALIGNMENT * mask.element_size()


def _allowed(capability: Capability | None) -> Iterator[SDPBackend]:
    allowed = {
        SDPBackend.FLASH_ATTENTION: torch.backends.cuda.flash_sdp_enabled(),
        SDPBackend.EFFICIENT_ATTENTION: torch.backends.cuda.mem_efficient_sdp_enabled(),
        SDPBackend.CUDNN_ATTENTION: torch.backends.cuda.cudnn_sdp_enabled(),
        SDPBackend.MATH: torch.backends.cuda.math_sdp_enabled(),
    }
    return (backend for backend in _order(capability) if allowed.get(backend))


def _order(capability: Capability | None) -> list[SDPBackend]:
    """Torch's order now; unless somebody chose another, cuDNN leads on the GPUs of check_prefer_cudnn_attention."""
    order = [SDPBackend(number) for number in torch._C._get_sdp_priority_order()]
    if order[: len(KERNELS)] == list(KERNELS) and capability is not None and capability[0] in PREFERS_CUDNN:
        return [SDPBackend.CUDNN_ATTENTION, *(one for one in order if one is not SDPBackend.CUDNN_ATTENTION)]
    return order


def _is_fused(call: Call, capability: Capability | None, number_formats: Sequence[torch.dtype]) -> bool:
    """Whether a fused kernel for these number formats may look at the call at all; bfloat16 is of compute capability 8.0 on."""
    tensors = (call.query, call.key, call.value)
    known = call.query.dtype is not torch.bfloat16 or capability is None or capability >= (8, 0)
    return (
        known and call.query.dtype in number_formats and all(one.dim() == 4 and one.stride(-1) == 1 for one in tensors)
    )


def _flash(call: Call, capability: Capability | None) -> bool:
    return (
        _is_fused(call, capability, HALVES)
        and not call.has_mask
        and len(call.head_dims) == 1
        and max(call.head_dims) <= 256
        and not (call.is_causal and call.query.shape[-2] != call.key.shape[-2])
    )


def _efficient(call: Call, capability: Capability | None) -> bool:
    alignment = _alignment(call.query.dtype, capability)
    return (
        _is_fused(call, capability, (*HALVES, torch.float32))
        and not call.is_grouped
        and all(size % alignment == 0 for size in call.head_dims)
    )


def _alignment(dtype: torch.dtype, capability: Capability | None) -> int:
    """Elements that a head's width is a multiple of (minimum_gemm_alignment): 16 bytes where tensor cores read them."""
    if capability is None or capability >= (8, 0) or (capability >= (7, 0) and dtype in HALVES):
        return 16 // dtype.itemsize
    return 1


def _cudnn(call: Call, capability: Capability | None) -> bool:
    """As in torch 2.11 to 2.13 with a cuDNN of 9.15 or newer, which comes with CUDA 13."""
    batch, heads, *_ = call.query.shape
    return (
        _is_fused(call, capability, HALVES)
        and all(size % 8 == 0 for size in call.head_dims)
        and _fits_cudnn(call, capability)
        and max(batch, heads) <= MOST_CUDNN_ROWS
        and call.key.shape[-2] != 1
        and not torch.are_deterministic_algorithms_enabled()
    )


def _fits_cudnn(call: Call, capability: Capability | None) -> bool:
    """Heads as wide as cuDNN takes them, which is up to 256 on compute capability 9.0."""
    if capability is not None and capability[0] == 10 and (call.query.shape[-1], call.value.shape[-1]) == (192, 128):
        return True
    return max(call.head_dims) <= (256 if capability == (9, 0) else 128)


KERNELS: Mapping[SDPBackend, tuple[str, Callable[[Call, Capability | None], bool]]] = {
    SDPBackend.FLASH_ATTENTION: ("flash", _flash),
    SDPBackend.EFFICIENT_ATTENTION: ("efficient", _efficient),
    SDPBackend.MATH: ("math", lambda call, capability: True),
    SDPBackend.CUDNN_ATTENTION: ("cudnn", _cudnn),
}
"""What each backend is called, and whether it takes a call; in the order that torch has them in unless told otherwise."""
