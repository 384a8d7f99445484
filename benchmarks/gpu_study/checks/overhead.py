"""What our marks cost on top of torch's profiler."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.gpu_study.checks.setting import Setting, Verdict, middle, warm

QUESTION = "Does a profiled generation take at most 1.25 times what it takes under torch.profiler alone?"
NUM_TRIALS = 5
MOST = 1.25


def check(setting: Setting) -> dict[str, Verdict]:
    from suite.profiling import profile_generation

    subject = setting.subject()

    def generate() -> None:
        subject.generate()
        subject.clock.synchronize()

    ours, alone = [], []
    with warm(subject):
        for _ in range(NUM_TRIALS):
            alone.append(_alone(setting.device, generate))
            ours.append(profile_generation(subject.workload, generate, setting.scratch, keep=False).watched_s)
    ratio = middle([mine / theirs for mine, theirs in zip(ours, alone, strict=True)])
    told = f"Ours takes {ratio:.3f} times torch.profiler's {middle(alone):.4g} s (at most {MOST:g} is asked for)."
    return {"profiled": Verdict(ratio <= MOST, told, {"ratio": ratio, "ours_s": ours, "alone_s": alone})}


def _alone(device: str, generate: Any) -> float:
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities, record_shapes=True):
        start = time.perf_counter()
        generate()
        return time.perf_counter() - start
