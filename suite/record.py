"""The record: everything a run produced, as facts and raw samples.

All values are raw and in SI units, never rounded and never averaged: statistics are made by readers. The tables beside them:
`suite.record_tables`. How a record becomes a folder and is read back: `suite.record_folder`. Nothing here needs torch or Hydra.
"""

from __future__ import annotations

from typing import Any

import msgspec

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
    plan: str | None = None
    """What was chosen for it before the run began, and by what numbers; None where nothing was to choose."""
    left_out: dict[str, str] = {}
    """Parts of it that have no meaning on the workload, and why."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ended: one of `OUTCOMES`, and why when it is not ``ok``."""

    status: str
    reason: str | None = None


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """What a device said of itself at one moment. None: not told."""

    sm_clock_hz: float | None = None
    memory_clock_hz: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    throttle_reasons: list[str] | None = None


class MachineState(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine said of its load at one moment. None: not told."""

    load_average: float | None = None
    """Threads that run or wait to, over the last minute."""
    cpu_pressure: float | None = None
    """Share of the last ten seconds in which some thread of the machine waited for a core."""
    cpu_clock_hz: float | None = None
    """Mean over cores."""
    gpu: DeviceState | None = None


class HostMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What the host's memory holds of a workload's weights, beside the device's, between two generations."""

    weights_bytes: int
    pinned_bytes: int
    """Of these, in pages that stay where they are (page-locked), from which a device copies by itself."""


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration whose trials were interleaved with the others' in this run.

    ``stack`` is the run's own optimization stack; ``out_of_the_box`` is the workload as its library ships it;
    ``reference`` is the stack that the user named for comparison.
    """

    name: str
    optimizations: list[Applied] = []
    host_memory: HostMemory | None = None
    """None: nothing is offloaded."""
    outcome: Outcome = Outcome(status="ok")
    num_warmup_trials: int = 0
    steady: bool | None = None
    """Whether the trials are of one kind (`suite.steadiness`); of too few to tell, whether they had stopped getting faster when
    warm-up ended. None: not warmed up."""
    doubt: str | None = None
    """Why its times are to be doubted, with the evidence: trials of more than one kind, or other work on the machine.
    None: no reason to."""
    before: MachineState | None = None
    """When the first round of interleaved trials began."""
    after: MachineState | None = None
    """When the last round had ended."""


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
    set_aside: bool = False
    """A trial of another regime than the number of the run is of (`suite.steadiness`): no median counts it."""


class ProbeCost(msgspec.Struct, frozen=True, kw_only=True):
    """What watching cost: one watched generation against the median quiet one of the same arm, both by their ``generate`` stage
    on the same clock."""

    probe: str
    watched_s: float
    quiet_s: float | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator table covers."""

    span_s: float | None = None
    """Time of the profiled ``generate`` span; of a trace that marks none, from the first begin to the last end of what was
    attributed. None where nothing was timed."""
    aside_s: float | None = None
    """Host time of other threads meanwhile: the operator rows' host time sums to ``span_s + aside_s`` (to 0 where a trace has
    no host). None: not known."""
    num_events: int | None = None
    """Events of the trace that the table was made from."""
    num_steps: int | None = None
    """Steps of the denoising or decoding loop inside the span."""
    operators_without_flops: list[str] = []
    """Operators that compute but have no FLOP formula: their rows hold a null in ``vector_flops``, and in ``flops`` too where
    they may multiply matrices; never 0."""
    flaws: dict[str, int] = {}
    """Events of the trace that were mended or left out: how many, by what was wrong and what was done."""


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

    def latencies(self, arm: str = "stack", *, all_regimes: bool = False) -> dict[int, float]:
        """Seconds of an arm's quiet generations by trial, warm-up left out.

        Args:
            arm: whose.
            all_regimes: with the trials that were set aside, for pairs: both trials of one round saw the same machine.
        """
        return {
            sample.trial: sample.value
            for sample in self.samples
            if (sample.metric, sample.stage, sample.arm, sample.warmup) == ("latency_s", "generate", arm, False)
            and (all_regimes or not sample.set_aside)
        }

    @property
    def label(self) -> str:
        """The stack as people read it."""
        return "+".join(self.stack) or "out_of_the_box"
