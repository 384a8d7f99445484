"""The record: everything a run produced, as facts and raw samples, and the columns of the tables beside them.

All values are raw and in SI units, never rounded and never averaged: statistics are made by readers. How a record becomes a
folder and is read back: `suite.record_folder`. Nothing here needs torch or Hydra.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pyarrow as pa

SCHEMA_VERSION = 1

FINAL_OUTCOMES = frozenset({"ok", "oom", "not_applicable", "unsupported"})
"""Outcomes that a second try on the same configuration would only repeat."""
OUTCOMES = (*sorted(FINAL_OUTCOMES), "timeout", "failed")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one part of a workload."""

    class_name: str
    num_parameters: int
    weight_bytes: int
    """Bytes of parameters and buffers as held, shared storage counted once."""
    precision: str | None = None
    """Data type of the largest share of the parameters, e.g. ``float32``."""


class WorkloadFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Which workload ran, at what size, with which weights."""

    name: str
    family: str | None = None
    media: str | None = None
    """``image``, ``video`` or ``text``."""
    scale: str | None = None
    weights: str | None = None
    """``random`` or ``pretrained``."""
    parts: dict[str, Part] = {}
    notes: list[str] = []
    """What a reader must know, one sentence each, e.g. that a stand-in tokenizer was used."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """One optimization as it was really applied."""

    name: str
    exact: bool
    """True: must reproduce the unoptimized output to rounding. False: may change it."""
    changes: str
    left_out: dict[str, str] = {}
    """Parts of it that have no meaning on the workload, and why."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ended: one of `OUTCOMES`, and why when it is not ``ok``."""

    status: str
    reason: str | None = None


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration whose trials were interleaved with the others' in this run.

    ``stack`` is the run's own optimization stack; ``out_of_the_box`` is the workload as its library ships it;
    ``reference`` is the stack that the user named for comparison.
    """

    name: str
    optimizations: list[Applied] = []
    outcome: Outcome = Outcome(status="ok")
    num_warmup_trials: int = 0
    steady: bool | None = None
    """Whether the trials had stopped getting faster when warm-up ended. None: not warmed up."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One raw number in SI units. Never rounded, never averaged."""

    metric: str
    """Name with its unit, e.g. ``latency_s``."""
    value: float
    stage: str = "generate"
    step: int | None = None
    trial: int = 0
    arm: str = "stack"
    warmup: bool = False


class ProbeCost(msgspec.Struct, frozen=True, kw_only=True):
    """What watching cost: one watched generation against the median quiet one of the same arm."""

    probe: str
    watched_s: float
    quiet_s: float | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator table covers."""

    span_s: float | None = None
    """Host time of the profiled ``generate`` span, to which the operator rows sum; None where nothing was timed."""
    num_events: int | None = None
    """Events of the trace that the table was made from."""
    num_steps: int | None = None
    """Steps of the denoising or decoding loop inside the span."""
    operators_without_flops: list[str] = []
    """Operators that compute but have no FLOP formula: their rows hold a null, never 0."""


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """What a device said of itself at one moment. None: not told."""

    sm_clock_hz: float | None = None
    memory_clock_hz: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    throttle_reasons: list[str] | None = None


class EnergyTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What a sample ``energy_j`` stands on: it is the joules of this span over its generations."""

    arm: str
    trial: int
    num_generations: int
    """One after another, so many that the counter's own steps are a small share."""
    span_s: float
    before: DeviceState
    after: DeviceState


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Whose energy was counted, and in which trials; or why it could not be."""

    covers: str | None = None
    """``gpu_board`` or ``cpu_packages``, idle draw and other processes included."""
    unavailable: str | None = None
    """Why there is no sample ``energy_j``."""
    trials: list[EnergyTrial] = []


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A run, complete: facts and samples here, tables beside it.

    ``tables`` maps a table's name to its Arrow table; a loaded record reads a table from its folder when it is asked for.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    name: str
    created: str
    """UTC, ISO 8601."""
    execution: str
    """``measure``, ``simulate`` or ``trace`` (a trace file that was made elsewhere)."""
    workload: WorkloadFacts
    outcome: Outcome
    request: dict[str, Any] = {}
    config: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    arms: list[Arm] = []
    samples: list[Sample] = []
    probe_costs: list[ProbeCost] = []
    profile: Profile | None = None
    energy: Energy | None = None
    """None: nobody asked."""
    attention_disagreements: list[str] = []
    """Attention calls whose shape contradicts the kind that the workload declares. Empty when all is well."""
    files: list[str] = []
    """Other files of the run's folder (outputs, trace), relative to it."""

    @property
    def stack(self) -> list[str]:
        """Names of the optimizations of this run, in the order applied; empty for the workload out of the box."""
        return list(self.config.get("optimization") or {})

    @property
    def label(self) -> str:
        """The stack as people read it."""
        return "+".join(self.stack) or "out_of_the_box"


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


TABLES: Mapping[str, pa.Schema] = {
    # One row per (stage, step, module, operator, class, kind, part, precision). Rows sum to the profiled span.
    "operators": _schema(
        stage=pa.string(),
        step=pa.int32(),
        module=pa.string(),
        operator=pa.string(),
        operator_class=pa.string(),
        attention_kind=pa.string(),
        attention_part=pa.string(),
        precision=pa.string(),
        calls=pa.int64(),
        host_self_s=pa.float64(),
        device_self_s=pa.float64(),
        estimated_s=pa.float64(),
        flops=pa.int64(),
        bytes_read=pa.int64(),
        bytes_written=pa.int64(),
    ),
    # One row per attention call, in time order.
    "attention": _schema(
        call=pa.int32(),
        stage=pa.string(),
        step=pa.int32(),
        module=pa.string(),
        attention_kind=pa.string(),
        batch=pa.int64(),
        heads=pa.int64(),
        query_length=pa.int64(),
        key_length=pa.int64(),
        head_dim=pa.int64(),
        kernel=pa.string(),
        precision=pa.string(),
        host_s=pa.float64(),
        device_s=pa.float64(),
    ),
    # Time line of one generation, t_s from its start; a simulation has no clock and counts operator calls instead. What a
    # machine cannot tell is null, never 0; a simulation's reserved bytes are those of a model of the CUDA allocator.
    "memory": _schema(
        t_s=pa.float64(),
        call=pa.int64(),
        stage=pa.string(),
        step=pa.int32(),
        allocated_bytes=pa.int64(),
        reserved_bytes=pa.int64(),
        device_bytes=pa.int64(),
        resident_bytes=pa.int64(),
    ),
    # Peak of each stage over its spans ("generate" is the whole run); allocated includes weights.
    "memory_peaks": _schema(
        stage=pa.string(),
        weights_bytes=pa.int64(),
        activations_bytes=pa.int64(),
        allocated_bytes=pa.int64(),
        reserved_bytes=pa.int64(),
        device_bytes=pa.int64(),
        resident_bytes=pa.int64(),
    ),
    # How well the host feeds the device, one row a stage and step; a pause of at least 100 us is a long gap; launch latency is
    # the median from the begin of a call, made while the device was idle, to that of its work. Empty without a device.
    "device_activity": _schema(
        stage=pa.string(),
        step=pa.int32(),
        num_kernels=pa.int64(),
        span_s=pa.float64(),
        busy_s=pa.float64(),
        num_long_gaps=pa.int64(),
        long_gaps_s=pa.float64(),
        launch_latency_s=pa.float64(),
        num_synchronizations=pa.int64(),
        synchronization_s=pa.float64(),
    ),
    # Cosine similarity of what a module gave in two steps of one generation; symmetric, every pair of steps is a row.
    "similarity": _schema(
        module=pa.string(),
        step_i=pa.int32(),
        step_j=pa.int32(),
        similarity=pa.float64(),
    ),
    # One row per device kernel of an attention call that was launched again by itself, in launch order; a call that could not
    # be has one row without a kernel, which says why. Rates are shares of sectors, null where a kernel asked for none.
    "attention_kernels": _schema(
        attention_kind=pa.string(),
        batch=pa.int64(),
        heads=pa.int64(),
        query_length=pa.int64(),
        key_length=pa.int64(),
        head_dim=pa.int64(),
        precision=pa.string(),
        calls=pa.int64(),
        attention_kernel=pa.string(),
        launch=pa.int32(),
        kernel=pa.string(),
        kernel_class=pa.string(),
        duration_s=pa.float64(),
        l1_sectors=pa.float64(),
        l1_hit_rate=pa.float64(),
        l2_sectors=pa.float64(),
        l2_hit_rate=pa.float64(),
        dram_bytes=pa.float64(),
        reason=pa.string(),
    ),
}
"""The tables of a record and their columns. Bytes and seconds, never scaled units."""
