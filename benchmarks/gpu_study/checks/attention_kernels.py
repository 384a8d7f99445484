"""Every kernel of scaled_dot_product_attention: whether it runs where it is asked for, by what name, and how exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_study.checks.setting import Setting, Verdict

if TYPE_CHECKING:
    import torch

QUESTION = (
    "Does the attention table name the kernel that was asked for, and are its values as near to float32 as math's?"
)
OPTIMIZATIONS = {
    "math": "baseline_attention",
    "flash": "flash_attention",
    "efficient": "efficient_attention",
    "cudnn": "cudnn_attention",
}
SHAPE = (2, 8, 4096, 64)
FARTHEST = 4.0
"""Times the error of math in the same precision: fused kernels round probabilities, which math keeps in float32."""
REFUSED = "math"
"""What optimizations fall back to for calls that their kernel refuses."""


def check(setting: Setting) -> dict[str, Verdict]:
    verdicts = {f"{kernel}, named": _named(setting, kernel) for kernel in OPTIMIZATIONS}
    if setting.on_gpu:
        verdicts |= _values()
    return verdicts


def _named(setting: Setting, kernel: str) -> Verdict:
    overrides = ["probe=[attention]", f"optimization={OPTIMIZATIONS[kernel]}", "request.num_inference_steps=2"]
    if setting.on_gpu:
        overrides.append("device.precision=float16")
    experiment = setting.experiment(*overrides)
    result = experiment.execution.execute(experiment, setting.scratch, lambda message: None)
    outcome = result.record.outcome
    if outcome.status != "ok":
        return Verdict(None if outcome.status == "unsupported" else False, f"{outcome.status}: {outcome.reason}.")
    return named(kernel, result.tables["attention"].to_pylist())


def named(kernel: str, rows: Sequence[Mapping[str, Any]]) -> Verdict:
    """Whether every call ran that kernel, or one that takes what it refuses."""
    calls = Counter(str(row["kernel"]) for row in rows)
    told = ", ".join(f"{number} calls by {name}" for name, number in sorted(calls.items())) or "no calls"
    return Verdict(calls[kernel] > 0 and set(calls) <= {kernel, REFUSED}, f"{told}.", dict(calls))


def _values() -> dict[str, Verdict]:
    import torch

    torch.manual_seed(0)
    exact = [torch.randn(SHAPE, device="cuda") for _ in range(3)]
    verdicts = {}
    for dtype in (torch.float16, torch.bfloat16):
        rounded = [one.to(dtype) for one in exact]
        reference = _attended("math", [one.float() for one in rounded])
        errors = {kernel: _error(_attended(kernel, rounded), reference) for kernel in OPTIMIZATIONS}
        verdicts |= {f"{kernel}, {dtype}": one for kernel, one in as_exact(errors).items()}
    return verdicts


def as_exact(errors: Mapping[str, float]) -> dict[str, Verdict]:
    """Each kernel's error against that of math."""
    verdicts = {}
    for kernel, error in errors.items():
        times = error / errors["math"]
        told = f"error {error:.2e}, {times:.2f} times that of math (at most {FARTHEST:g} is asked for)."
        verdicts[kernel] = Verdict(times <= FARTHEST, told, {"error": error, "times": times})
    return verdicts


def _attended(kernel: str, inputs: list[torch.Tensor]) -> torch.Tensor:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from suite.optimizations.attention import KERNELS

    query, key, value = inputs
    with torch.inference_mode(), sdpa_kernel(getattr(SDPBackend, KERNELS[kernel])):
        return torch.nn.functional.scaled_dot_product_attention(query, key, value)


def _error(output: torch.Tensor, reference: torch.Tensor) -> float:
    return float((output.float() - reference).norm() / reference.norm())
