"""Which kernel scaled_dot_product_attention would take on a GPU: the checks of torch's sdp_utils.cpp that shapes decide.

A simulation runs on fake CPU tensors, for which torch knows a fused kernel and math only. Fused kernels cost and hold the
same, so the CPU's one stands for all of them; what has to be told is whether a call gets one at all, and its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.attention import SDPBackend

FAKE_FUSED = "aten::_scaled_dot_product_flash_attention_for_cpu"
"""The operator that stands for all of them."""
HALVES = (torch.float16, torch.bfloat16)


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


def cuda_kernel(call: Call) -> str:
    """``flash``, ``efficient``, ``cudnn`` or ``math``: the first that is allowed now and takes the call, in torch's order."""
    for backend in _allowed():
        name, takes = KERNELS[backend]
        if takes(call):
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


def _allowed() -> Iterator[SDPBackend]:
    allowed = {
        SDPBackend.FLASH_ATTENTION: torch.backends.cuda.flash_sdp_enabled(),
        SDPBackend.EFFICIENT_ATTENTION: torch.backends.cuda.mem_efficient_sdp_enabled(),
        SDPBackend.CUDNN_ATTENTION: torch.backends.cuda.cudnn_sdp_enabled(),
        SDPBackend.MATH: torch.backends.cuda.math_sdp_enabled(),
    }
    for number in torch._C._get_sdp_priority_order():
        backend = SDPBackend(number)
        if allowed.get(backend):
            yield backend


def _flash(call: Call) -> bool:
    return (
        call.query.dtype in HALVES
        and not call.has_mask
        and len(call.head_dims) == 1
        and max(call.head_dims) <= 256
        and not (call.is_causal and call.query.shape[-2] != call.key.shape[-2])
    )


def _efficient(call: Call) -> bool:
    return call.query.dtype in (*HALVES, torch.float32) and not call.is_grouped


def _cudnn(call: Call) -> bool:
    return call.query.dtype in HALVES and all(size <= 128 and size % 8 == 0 for size in call.head_dims)


KERNELS: Mapping[SDPBackend, tuple[str, Callable[[Call], bool]]] = {
    SDPBackend.FLASH_ATTENTION: ("flash", _flash),
    SDPBackend.EFFICIENT_ATTENTION: ("efficient", _efficient),
    SDPBackend.CUDNN_ATTENTION: ("cudnn", _cudnn),
    SDPBackend.MATH: ("math", lambda call: True),
}
"""What each backend is called, and whether it takes a call."""
