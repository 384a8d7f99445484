"""Small records for claims: operators, attention calls and latencies that are known by construction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from suite import record_folder
from suite.record import Arm, Outcome, Part, Record, Sample, WorkloadFacts
from suite.record_tables import TABLES

A100 = {"name": "NVIDIA A100 80GB SXM"}


def save_run(
    folder: Path,
    workload: str,
    stack: Sequence[str] = ("flash_attention",),
    *,
    family: str = "diffusion_latent",
    media: str = "image",
    scale: str = "paper",
    request: dict[str, Any] | None = None,
    operators: Sequence[dict[str, Any]] = (),
    attention: Sequence[dict[str, Any]] = (),
    peaks: Sequence[dict[str, Any]] = (),
    parts: dict[str, Part] | None = None,
    precision: str = "bfloat16",
    samples: Sequence[Sample] = (),
    reference: str | None = None,
    gpu: str | None = None,
    doubts: dict[str, str | None] | None = None,
    outcome: Outcome | None = None,
) -> Path:
    """One run: simulated on an A100, or measured on `gpu`; `doubts` are its arms with why each is to be doubted."""
    request = request or {}
    number = len(list(folder.glob("*"))) if folder.is_dir() else 0
    config = {"optimization": {name: {} for name in stack}, "device": {"precision": precision}}
    config |= {"reference": {reference: {}}} if reference else {}
    environment = {"device": "cuda", "gpu": {"name": gpu}} if gpu else {"machine": A100}
    found = Record(
        run_id=f"run{number:05d}", name=f"{workload}-{number}", created="2026-01-01T00:00:00+00:00",
        execution="measure" if gpu else "simulate", outcome=outcome or Outcome(status="ok"), request=request, config=config,
        workload=WorkloadFacts(name=workload, family=family, media=media, scale=scale, parts=parts or {}),
        environment=environment, samples=list(samples),
        arms=[Arm(name=name, doubt=doubt) for name, doubt in (doubts or {}).items()],
    )  # fmt: skip
    rows = {"operators": operators, "attention": attention, "memory_peaks": peaks}
    tables = {name: pa.Table.from_pylist(list(kept), schema=TABLES[name]) for name, kept in rows.items() if kept}
    record_folder.save(found, tables, folder / f"{number}")
    return folder


def operator(
    operator_class: str,
    seconds: float,
    flops: int = 0,
    *,
    kind: str | None = None,
    part: str | None = None,
    stage: str = "denoise_step",
    moved: int = 0,
) -> dict[str, Any]:
    return {
        "stage": stage, "step": 0, "module": "denoiser.x", "operator": "aten::op", "operator_class": operator_class,
        "attention_kind": kind, "attention_part": part, "precision": "bfloat16", "calls": 1, "estimated_s": seconds,
        "flops": flops, "bytes_read": moved, "bytes_written": 0,
    }  # fmt: skip


def call(
    module: str, kind: str, query: int, key: int | None = None, *, step: int = 0, **changes: Any
) -> dict[str, Any]:
    return {
        "call": 0, "stage": "denoise_step", "step": step, "module": module, "attention_kind": kind, "batch": 2, "heads": 8,
        "query_length": query, "key_length": query if key is None else key, "head_dim": 64, **changes,
    }  # fmt: skip


def trials(seconds: Sequence[float], arm: str = "stack", *, aside: Collection[int] = ()) -> list[Sample]:
    """Whole generations in order; `aside` are those that their run set aside."""
    return [
        Sample(metric="latency_s", value=value, trial=trial, arm=arm, set_aside=trial in aside)
        for trial, value in enumerate(seconds)
    ]


def save_in_doubt(folder: Path) -> Path:
    """Three runs of one workload: out of the box on a quiet machine, and two on machines that were not.

    Of their pairs the ratio is 2 throughout in ``carried``, and 1 and then 2 in ``steps``.
    """
    quiet = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0] * 3
    steps = quiet[:10] + [2 * value for value in quiet[10:]]
    save_run(folder, "toy", (), samples=trials(quiet), doubts={"stack": None}, gpu="GPU")
    for name, own, other in (("carried", [2 * value for value in steps], steps), ("steps", steps, quiet)):
        samples = trials(own, aside=range(10, 30)) + trials(other, "out_of_the_box")
        save_run(folder, "toy", (name,), samples=samples, doubts={"stack": "Trials jump."}, gpu="GPU")
    return folder
