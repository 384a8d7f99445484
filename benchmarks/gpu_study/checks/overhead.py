"""What our marks cost on top of torch's profiler."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.gpu_study.checks.setting import Setting, Verdict, middle, warm

QUESTION = "Does a profiled generation take at most 1.25 times what it takes under torch.profiler alone?"
NUM_TRIALS = 3
MOST = 1.25


def check(setting: Setting) -> dict[str, Verdict]:
    from suite.profiling import profile_generation

    subject = setting.subject("request.num_inference_steps=5")  # a profile of them all takes its seconds to write
    ours, alone = [], []
    with warm(subject):
        for _ in range(NUM_TRIALS):
            alone.append(_alone(setting.device, subject.timed_generation))
            ours.append(
                profile_generation(subject.workload, subject.timed_generation, setting.scratch, keep=False).watched_s
            )
    ratio = middle([mine / theirs for mine, theirs in zip(ours, alone, strict=True)])
    told = f"Ours takes {ratio:.3f} times torch.profiler's {middle(alone):.4g} s (at most {MOST:g} is asked for)."
    return {"profiled": Verdict(ratio <= MOST, told, {"ratio": ratio, "ours_s": ours, "alone_s": alone})}


def _alone(device: str, generate: Callable[[], float]) -> float:
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities, record_shapes=True):
        return generate()
