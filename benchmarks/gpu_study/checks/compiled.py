"""Device time by operator of compiled models and of CUDA graphs against torch's own sums; a small trace of each is kept."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.gpu_study.checks.attribution import TINY, of_cases
from benchmarks.gpu_study.checks.setting import Setting, Verdict

QUESTION = "Do the rows of compiled models and CUDA graphs sum to what key_averages() sums to, and is 99 % attributed?"
CASES: dict[str, Sequence[str]] = {
    "torch_compile": (*TINY, "optimization=[torch_compile]"),
    "cuda_graphs": (*TINY, "optimization=[torch_compile]", "optimization.torch_compile.mode=reduce-overhead"),
}


def check(setting: Setting) -> dict[str, Verdict]:
    if not setting.on_gpu:  # minutes of compiling for what no CPU can tell
        return setting.cannot_tell()
    return of_cases(setting, CASES)
