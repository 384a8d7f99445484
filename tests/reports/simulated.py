"""A simulated record whose operators are few enough to be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from suite import record_folder
from suite.machine import Machine
from suite.record import Outcome, Part, Record, Sample, WorkloadFacts
from suite.record_tables import TABLES

ROWS: tuple[dict[str, Any], ...] = (
    # 312 TFLOP of convolution in bfloat16 and few bytes: one second of an A100.
    {"stage": "denoise_step", "step": 0, "module": "denoiser.conv", "operator": "aten::convolution",
     "operator_class": "convolution", "precision": "bfloat16", "calls": 4, "flops": 312 * 10**12,
     "bytes_read": 10**9, "bytes_written": 10**9},
    # 2.039 TB moved: one second of an A100 80GB.
    {"stage": "denoise_step", "step": 1, "module": "denoiser.norm", "operator": "aten::mul",
     "operator_class": "elementwise", "precision": "bfloat16", "calls": 2, "flops": None,
     "bytes_read": 1_039 * 10**9, "bytes_written": 1_000 * 10**9},
    {"stage": "decode", "step": None, "module": "decoder.proj", "operator": "aten::mm", "operator_class": "linear",
     "attention_kind": "spatial", "attention_part": "projection", "precision": "bfloat16", "calls": 1,
     "flops": 156 * 10**12, "bytes_read": 10**9, "bytes_written": 10**9},
    {"stage": "decode", "step": None, "module": "decoder.proj", "operator": "aten::view",
     "operator_class": "data_movement", "precision": "bfloat16", "calls": 9, "flops": 0, "bytes_read": 0,
     "bytes_written": 0},
)  # fmt: skip
"""2.5 s on an A100 80GB: 1 of convolution, 1 of memory, 0.5 of decoding."""


def save_simulated(
    folder: Path,
    name: str = "toy",
    *,
    machine: Machine | None = None,
    batch_size: int = 1,
    rows: Any = ROWS,
    device: dict[str, Any] | None = None,
) -> Path:
    """One simulated run; its rows have no estimate of their own."""
    parts = {"denoiser": Part(class_name="Toy", num_parameters=10**9, weight_bytes=2 * 10**9),
             "decoder": Part(class_name="Toy", num_parameters=10**8, weight_bytes=10**9)}  # fmt: skip
    found = Record(
        run_id=f"{name}-{machine.name if machine else 'none'}", name=name, created="2026-01-01T00:00:00+00:00",
        execution="simulate", outcome=Outcome(status="ok"), request={"batch_size": batch_size},
        workload=WorkloadFacts(name=name, media="image", scale="paper", parts=parts),
        config={"device": device or {"precision": "bfloat16", "allow_tf32": False}},
        environment={"machine": msgspec.to_builtins(machine)} if machine else {},
    )  # fmt: skip
    table = pa.Table.from_pylist(list(rows), schema=TABLES["operators"])
    record_folder.save(found, {"operators": table}, folder / f"{name}-{found.run_id[-8:]}")
    return folder


def save_measured(folder: Path, device_name: str, latencies_s: tuple[float, ...]) -> Path:
    """A measured run with latencies alone, on a GPU of that name."""
    samples = [Sample(metric="latency_s", value=value, trial=trial) for trial, value in enumerate(latencies_s)]
    found = Record(
        run_id=device_name, name="measured", created="2026-01-01T00:00:00+00:00", execution="measure",
        outcome=Outcome(status="ok"), request={"batch_size": 2}, samples=samples,
        workload=WorkloadFacts(name="measured", media="video"),
        environment={"device": "cuda", "gpu": {"name": device_name}},
    )  # fmt: skip
    record_folder.save(found, {}, folder / device_name.replace(" ", "_"))
    return folder
