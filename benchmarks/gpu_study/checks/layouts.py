"""What operators allocate and in which order their outputs lie, against the simulator's rules, one operator at a time.

For every case the peak above its inputs is taken twice: the caching allocator's while it runs on the device, and the
simulator's of the same call on fake tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_study.checks.setting import Setting, Verdict

if TYPE_CHECKING:
    import torch

QUESTION = (
    "Are an operator's temporaries and its output's order those of the simulator's rules, within 3 % of its peak?"
)
TOLERANCE = 0.03
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


@dataclass
class Seen:
    """Bytes above the inputs, and the output's strides."""

    peak_bytes: int
    output_bytes: int
    strides: tuple[int, ...]
    kept_bytes: int = 0
    """That the first call left allocated: workspaces of libraries."""
    reserved_bytes: int = 0
    kernels: list[str] = field(default_factory=list)


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


def check(setting: Setting) -> dict[str, Verdict]:
    return {
        f"{name}, {precision}, {order}": _verdict(setting, case, precision, order)
        for name, case in cases().items()
        for precision in case.precisions
        for order in case.orders
    }


def _verdict(setting: Setting, case: Case, precision: str, order: str) -> Verdict:
    try:
        simulated = simulated_call(case, precision, order)
    except RuntimeError as error:
        return Verdict(False, f"The simulation fails: {_short(error)}")
    if not setting.on_gpu:
        return Verdict(None, "Not told: it asks a GPU.", {"simulated": asdict(simulated)})
    try:
        real = real_call(case, precision, order)
    except RuntimeError as error:
        return Verdict(None, f"Not told: {_short(error)}", {"simulated": asdict(simulated)})
    return compared(real, simulated)


def compared(real: Seen, simulated: Seen) -> Verdict:
    """Whether peak and order agree."""
    ratio = simulated.peak_bytes / real.peak_bytes if real.peak_bytes else float("nan")
    same_order = real.strides == simulated.strides
    told = (
        f"Simulated {simulated.peak_bytes} beside {real.peak_bytes} bytes above the inputs, {ratio:.4f} of it; "
        f"{'the same order' if same_order else f'strides {simulated.strides} beside {real.strides}'}."
    )
    figures = {"ratio": ratio, "real": asdict(real), "simulated": asdict(simulated)}
    return Verdict(abs(ratio - 1) <= TOLERANCE and same_order, told, figures)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def real_call(case: Case, precision: str, order: str) -> Seen:
    """The call on the device, once libraries are loaded and have made what they keep."""
    import torch

    from suite.tensor_cores import allowing_tf32

    inputs = _inputs(case, precision, order, "cuda")
    with torch.inference_mode(), allowing_tf32(precision == "tf32"):
        first, seen = _observed(case, inputs), _observed(case, inputs)
        kernels = _kernels(lambda: case.run(*inputs))
    return replace(seen, kept_bytes=first.kept_bytes, kernels=kernels)


def _observed(case: Case, inputs: Sequence[torch.Tensor]) -> Seen:
    import torch

    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    output = case.run(*inputs)
    torch.cuda.synchronize()
    strides, num_bytes = tuple(output.stride()), output.untyped_storage().nbytes()
    del output
    return Seen(
        peak_bytes=torch.cuda.max_memory_allocated() - allocated,
        output_bytes=num_bytes,
        strides=strides,
        kept_bytes=torch.cuda.memory_allocated() - allocated,
        reserved_bytes=torch.cuda.max_memory_reserved() - reserved,
    )


def _kernels(run: Callable[[], Any]) -> list[str]:
    """Names of what one call launches, in order."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        run()
        torch.cuda.synchronize()
    return [one.name for one in profiler.events() or () if one.device_type == torch.autograd.DeviceType.CUDA]


def simulated_call(case: Case, precision: str, order: str) -> Seen:
    """The call on fake tensors, as a simulation of a CUDA device runs it."""
    import numpy as np
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from suite.simulation.known_operators import KnownOperators
    from suite.simulation.observer import Observer
    from suite.tensor_cores import allowing_tf32

    mode = FakeTensorMode()
    observer = Observer("cuda", lambda function, args, kwargs: function(*args, **kwargs), KnownOperators(mode))
    with torch.inference_mode(), allowing_tf32(precision == "tf32"), mode:
        inputs = _inputs(case, precision, order, "cpu")
        observer.memory.hold(inputs)
        observer.memory.cut()
        with observer.watching({}, []):
            output = case.run(*inputs)
        events = observer.memory.cut()
        peak = int(np.cumsum(events.sizes).max(initial=0))
        return Seen(peak, output.untyped_storage().nbytes(), tuple(output.stride()))


def _inputs(case: Case, precision: str, order: str, device: str) -> Sequence[torch.Tensor]:
    import torch

    dtype = torch.float32 if precision == "tf32" else getattr(torch, precision)

    def draw(*shape: int, order: str = "contiguous") -> torch.Tensor:
        return _ordered(torch.randn(shape, dtype=dtype, device=device), order)

    first, *others = case.make(draw)
    return (_ordered(first, order), *others)


def _ordered(tensor: torch.Tensor, order: str) -> torch.Tensor:
    import torch

    if order == "contiguous":
        return tensor
    last = {4: torch.channels_last, 5: torch.channels_last_3d}[tensor.ndim]
    return tensor.contiguous(memory_format=last)
