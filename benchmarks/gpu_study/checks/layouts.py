"""What operators allocate and in which order their outputs lie, against the simulator's rules, one operator at a time.

For every case the peak above its inputs is taken twice: the caching allocator's while it runs on the device, and the
simulator's of the same call on fake tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_study.checks.operator_cases import Case, cases
from benchmarks.gpu_study.checks.setting import Setting, Verdict

if TYPE_CHECKING:
    import torch

QUESTION = (
    "Are an operator's temporaries and its output's order those of the simulator's rules, within 3 % of its peak?"
)
TOLERANCE = 0.03


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

    from suite.tensor_cores import ALL_TF32, NO_TF32, allowing_tf32

    inputs = _inputs(case, precision, order, "cuda")
    with torch.inference_mode(), allowing_tf32(ALL_TF32 if precision == "tf32" else NO_TF32):
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
    from suite.tensor_cores import ALL_TF32, NO_TF32, allowing_tf32

    mode = FakeTensorMode()
    observer = Observer("cuda", lambda function, args, kwargs: function(*args, **kwargs), KnownOperators(mode))
    with torch.inference_mode(), allowing_tf32(ALL_TF32 if precision == "tf32" else NO_TF32), mode:
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
