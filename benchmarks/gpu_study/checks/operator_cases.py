"""Calls of single operators, of the sizes that image and video models have: what `layouts` asks a device about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PRECISIONS = ("float16", "bfloat16", "float32", "tf32")
ORDERS = ("contiguous", "channels_last")

Make = Callable[[Callable[..., Any]], Sequence[Any]]
"""Given ``draw(*shape)``, the tensors of a call, weights included."""


@dataclass(frozen=True)
class Case:
    """One call of an operator.

    Args:
        make: its tensors, all of the case's precision.
        run: the call.
        orders: of the first tensor.
        precisions: a key of the device's settings, see `PRECISIONS`.
    """

    make: Make
    run: Callable[..., Any]
    orders: Sequence[str] = ("contiguous",)
    precisions: Sequence[str] = ("float16", "float32")


def cases() -> dict[str, Case]:
    """Convolutions, normalizations, resampling, products and attention, of the sizes that image and video models have."""
    import torch.nn.functional as ops

    images, everywhere = {"orders": ORDERS, "precisions": PRECISIONS}, {"precisions": PRECISIONS}
    two = {"orders": ORDERS}
    return {
        "conv2d 3x3": Case(lambda draw: (draw(2, 320, 64, 64), draw(320, 320, 3, 3)), _padded_conv, **images),
        "conv2d 3x3, weight channels last": Case(_last_weight, _padded_conv, **two),
        "conv2d 1x1": Case(lambda draw: (draw(2, 320, 64, 64), draw(640, 320, 1, 1)), ops.conv2d, **images),
        "conv2d 3x3, one image": Case(lambda draw: (draw(1, 512, 128, 128), draw(512, 512, 3, 3)), _padded_conv, **images),
        "conv2d 3x3, decoder": Case(lambda draw: (draw(1, 128, 512, 512), draw(128, 128, 3, 3)), _padded_conv, **images),
        "conv2d 3x3, 4 channels in": Case(lambda draw: (draw(2, 4, 64, 64), draw(320, 4, 3, 3)), _padded_conv, **two),
        "conv2d 3x3, 3 channels out": Case(lambda draw: (draw(1, 128, 512, 512), draw(3, 128, 3, 3)), _padded_conv, **two),
        "conv2d 3x3, stride 2": Case(lambda draw: (draw(2, 320, 64, 64), draw(320, 320, 3, 3)), _strided_conv, **two),
        "conv2d 3x3, by channel": Case(lambda draw: (draw(2, 320, 64, 64), draw(320, 1, 3, 3)), _depthwise, **two),
        "conv3d (3,1,1)": Case(lambda draw: (draw(2, 320, 16, 64, 64), draw(320, 320, 3, 1, 1)), _temporal_conv, **two),
        "conv3d 3x3x3": Case(lambda draw: (draw(1, 96, 9, 128, 128), draw(96, 96, 3, 3, 3)), _conv3d, **two),
        "conv1d 3": Case(lambda draw: (draw(4096, 320, 16), draw(320, 320, 3)), _conv1d),
        "conv_transpose2d": Case(lambda draw: (draw(2, 320, 64, 64), draw(320, 160, 2, 2)), _transposed, **two),
        "group_norm": Case(lambda draw: (draw(2, 320, 64, 64), draw(320), draw(320)), _group_norm, **two),
        "group_norm, one image": Case(lambda draw: (draw(1, 128, 512, 512), draw(128), draw(128)), _group_norm, **two),
        "group_norm, video": Case(lambda draw: (draw(2, 320, 16, 64, 64), draw(320), draw(320)), _group_norm, **two),
        "layer_norm": Case(lambda draw: (draw(2, 4096, 320), draw(320), draw(320)), _layer_norm),
        "layer_norm, across": Case(lambda draw: (draw(320, 4096, 2), draw(320), draw(320)), _layer_norm_across),
        "rms_norm": Case(lambda draw: (draw(2, 4096, 1536), draw(1536)), lambda x, w: ops.rms_norm(x, (1536,), w)),
        "softmax": Case(lambda draw: (draw(16, 4096, 1024),), lambda x: x.softmax(-1)),
        "softmax, across": Case(lambda draw: (draw(16, 1024, 4096),), lambda x: x.transpose(1, 2).softmax(-1)),
        "silu": Case(lambda draw: (draw(2, 320, 64, 64),), ops.silu, **two),
        "gelu": Case(lambda draw: (draw(2, 4096, 1280),), ops.gelu),
        "cat": Case(lambda draw: (draw(2, 320, 64, 64), draw(2, 320, 64, 64)), _cat, **two),
        "interpolate nearest": Case(lambda draw: (draw(2, 320, 64, 64),), _nearest, **two),
        "interpolate nearest, video": Case(lambda draw: (draw(1, 96, 9, 64, 64),), _nearest, **two),
        "interpolate bilinear": Case(lambda draw: (draw(2, 320, 64, 64),), _bilinear, **two),
        "linear": Case(lambda draw: (draw(2, 4096, 320), draw(1280, 320), draw(1280)), ops.linear, **everywhere),
        "linear, no bias": Case(lambda draw: (draw(2, 4096, 320), draw(1280, 320)), ops.linear, **everywhere),
        "bmm": Case(lambda draw: (draw(16, 4096, 64), draw(16, 64, 1024)), lambda x, y: x @ y),
        **_attention(),
    }  # fmt: skip


def _attention() -> dict[str, Case]:
    """Each kernel on heads that were cut from a projection, as diffusers hands them over, of usual and of odd sizes."""
    found = {}
    shapes = {"": (2, 8, 4096, 64), ", 40 a head": (2, 8, 4096, 40), ", short": (4096, 8, 16, 64)}
    for kernel in ("flash", "efficient", "cudnn", "math"):
        for words, (batch, heads, length, size) in shapes.items():
            found[f"attention {kernel}{words}"] = Case(
                _heads(batch, heads, length, size),
                _attend(kernel, heads),
                precisions=("float16", "float32") if kernel in ("efficient", "math") else ("float16",),
            )
    return found


def _heads(batch: int, heads: int, length: int, size: int) -> Make:
    return lambda draw: tuple(draw(batch, length, heads * size) for _ in range(3))


def _attend(kernel: str, heads: int) -> Callable[..., Any]:
    def run(*projected: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as ops
        from torch.nn.attention import SDPBackend, sdpa_kernel

        from suite.optimizations.attention import KERNELS

        query, key, value = (one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in projected)
        with sdpa_kernel(getattr(SDPBackend, KERNELS[kernel])):
            return ops.scaled_dot_product_attention(query, key, value)

    return run


def _last_weight(draw: Callable[..., torch.Tensor]) -> Sequence[torch.Tensor]:
    return draw(2, 320, 64, 64), draw(320, 320, 3, 3, order="channels_last")


def _padded_conv(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.conv2d(x, weight, padding=1)


def _strided_conv(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.conv2d(x, weight, padding=1, stride=2)


def _depthwise(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.conv2d(x, weight, padding=1, groups=x.shape[1])


def _temporal_conv(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.conv3d(x, weight, padding=(1, 0, 0))


def _conv3d(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.conv3d(x, weight, padding=(0, 1, 1))


def _conv1d(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.conv1d(x, weight, padding=1)


def _transposed(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.conv_transpose2d(x, weight, stride=2)


def _group_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.group_norm(x, 32, weight, bias)


def _layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.layer_norm(x, weight.shape, weight, bias)


def _layer_norm_across(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return _layer_norm(x.movedim(0, -1), weight, bias)


def _cat(*tensors: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat(tensors, dim=1)


def _nearest(x: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.interpolate(x, scale_factor=2.0, mode="nearest")


def _bilinear(x: torch.Tensor) -> torch.Tensor:
    import torch.nn.functional as ops

    return ops.interpolate(x, scale_factor=2.0, mode="bilinear")
