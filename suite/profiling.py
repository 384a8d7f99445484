"""The profiled pass: one generation under torch's profiler, with stages and modules marked, reduced to tables.

The profiler writes its trace file from C++ and `suite.attribution` reads it back: one reader serves live runs and files made
elsewhere, and is an order of magnitude faster than ``prof.events()``.
"""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.attribution.annotate import annotated
from suite.attribution.kineto import Attribution, attribute
from suite.attribution.scopes import StageScopes, module_scopes
from suite.attribution.trace import read_trace
from suite.stage import watched_by
from suite.workload import Workload

TRACE_FOLDER = "trace"
QUIET_KINETO = "6"
"""Above the level at which Kineto tells the error stream that profiling began and ended."""


@dataclass(frozen=True)
class ProfiledGeneration:
    """What one profiled generation told, and how long its ``generate`` stage took while being watched."""

    attribution: Attribution
    watched_s: float


@contextmanager
def profiled(device: str, trace: Path, **options: Any) -> Iterator[Any]:
    """Profile this block and write its Kineto trace to `trace`; yields torch's profiler.

    Args:
        device: ``cpu`` or ``cuda``; the latter records kernels too.
        trace: a ``.json`` file.
        options: of torch.profiler.profile, e.g. ``record_shapes``.
    """
    from torch.profiler import ProfilerActivity, profile

    os.environ.setdefault("KINETO_LOG_LEVEL", QUIET_KINETO)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities, **options) as profiler:
        yield profiler
    profiler.export_chrome_trace(str(trace))


def profile_generation(
    workload: Workload, generate: Callable[[], float], scratch: Path, keep: bool
) -> ProfiledGeneration:
    """Profile one generation.

    Args:
        workload: whose parts and attention rules are marked.
        generate: does it, and returns the seconds of its ``generate`` stage once the device is done.
        scratch: where the trace is written.
        keep: whether the trace stays there, gzipped.
    """
    path = scratch / "profile.pt.trace.json"
    with (
        profiled(workload.placement.device, path, record_shapes=True),
        watched_by([StageScopes()]),
        module_scopes(workload.parts, workload.attention_rules),
    ):
        watched_s = generate()
    try:
        lengths = workload.temporal_lengths
        num_frames = lengths[0] if len(lengths) == 1 else None
        trace = read_trace(path)
        attribution = attribute(trace, num_frames=num_frames)
        if keep:
            path.write_bytes(annotated(path.read_bytes(), trace, num_frames))
    finally:
        _keep_or_drop(path, keep)
    return ProfiledGeneration(attribution, watched_s)


def _keep_or_drop(path: Path, keep: bool) -> None:
    """Gzip the trace into the folder that TensorBoard's plugin and Perfetto open, or delete it."""
    if keep:
        folder = path.parent / TRACE_FOLDER
        folder.mkdir(exist_ok=True)
        with path.open("rb") as source, gzip.open(folder / f"{path.name}.gz", "wb", compresslevel=3) as target:
            shutil.copyfileobj(source, target)
    path.unlink()
