"""Quiet latency against a loop that anybody would write by hand, trial by trial in turns; cold and warm."""

from __future__ import annotations

import gc
import time
from typing import Any

from benchmarks.gpu_study.checks.setting import NUM_WARM, PAPER, Setting, Verdict, middle

QUESTION = "Is the quiet latency that of a hand-written loop with CUDA events, within 1 %?"
NUM_TRIALS = 10
TOLERANCE = 0.01


def check(setting: Setting) -> dict[str, Verdict]:
    from suite.statistics import paired_ratio
    from suite.subject import STACK

    subject = setting.subject(*PAPER["animatediff"]) if setting.on_gpu else setting.subject()
    ours, theirs = [], []
    with subject.configured(STACK):
        cold = [_by_hand(subject.workload, setting.on_gpu) for _ in range(NUM_WARM)]
    for trial in range(NUM_TRIALS):
        for mine in (True, False) if trial % 2 else (False, True):
            if mine:
                ours.append(_ours(subject, trial))
            else:
                theirs.append(_by_hand(subject.workload, setting.on_gpu))
    ratio = paired_ratio(ours, theirs)
    is_close = abs(ratio.median - 1) <= TOLERANCE
    told = (
        f"Ours is {ratio.median:.4f} [{ratio.low:.4f}, {ratio.high:.4f}] of the hand-written loop's {middle(theirs):.6g} s, "
        f"over {NUM_TRIALS} pairs (within {TOLERANCE:g} is asked for)."
    )
    noisy = ratio.low <= 1 + TOLERANCE and ratio.high >= 1 - TOLERANCE
    figures = {"ratio": ratio.median, "low": ratio.low, "high": ratio.high, "ours_s": ours, "theirs_s": theirs}
    return {
        "quiet": Verdict(True if is_close else None if noisy else False, told, figures),
        "cold": Verdict(
            True,
            f"The first took {', '.join(f'{seconds:.4g}' for seconds in cold)} s, a warm one {middle(theirs):.4g} s.",
            {"first_s": cold, "warm_s": middle(theirs)},
        ),
    }


def _ours(subject: Any, trial: int) -> float:
    from suite.probes.latency import time_stages
    from suite.subject import STACK

    return next(one.value for one in time_stages(subject, STACK, trial) if one.stage == "generate")


def _by_hand(workload: Any, on_gpu: bool) -> float:
    """One generation with two events, or the host's clock, around it: nothing of genscope's but the workload."""
    gc.collect()
    if not on_gpu:
        start = time.perf_counter()
        workload.generate()
        return time.perf_counter() - start
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    output = workload.generate()
    end.record()
    torch.cuda.synchronize()
    del output
    return begin.elapsed_time(end) / 1e3
