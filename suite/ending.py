"""How a run ended, in a few lines: its outcome and the numbers that a person came for.

    ok
      0.303 [0.299-0.308] s a generation over 10 trials; 20.1 GFLOP
      peak 180 MiB allocated, in decode; next is denoise_step with 150 MiB

A record and its tables go in, text comes out. Everything is in the record already; nothing is measured or decided here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from suite import record_folder, roofline
from suite.estimates import chosen_machine, error_words, own_machine, price_usd, unknown_words
from suite.machine import Machine
from suite.peaks import Peak, peak_of
from suite.record import Record
from suite.statistics import Interval, median_interval
from suite.tensor_cores import Tf32
from suite.units import Unit, quantity, rounded, unit_for, with_interval

OWN_ARM = "stack"


@dataclass(frozen=True)
class Estimate:
    """Seconds of one generation on a machine; NaN where they cannot be known."""

    machine: Machine
    seconds: float
    is_named: bool
    """Whether the run named the machine, or it is the one that reports take, too, where none is named."""

    @property
    def cost_usd(self) -> float | None:
        return None if math.isnan(self.seconds) else price_usd(self.machine, self.seconds)


@dataclass(frozen=True)
class Work:
    """FLOPs of one generation's matrix products and convolutions."""

    flops: int
    is_whole: bool
    """False: there are such operators without a formula, so that it is more."""


@dataclass(frozen=True)
class Numbers:
    """What a run came to; None for what it did not tell."""

    latency: Interval | None = None
    """Seconds of the run's own stack, warm-up and trials that are set aside left out."""
    doubt: str | None = None
    """Why that is to be doubted, with the evidence."""
    work: Work | None = None
    allocated: Peak | None = None
    reserved: Peak | None = None
    device: Peak | None = None
    """What a driver says that the process holds, or would."""
    out_of_the_box: Peak | None = None
    """Allocated by the same run without its stack."""
    estimate: Estimate | None = None


def numbers_of(record: Record, folder: Path, out_of_the_box: Path | None = None) -> Numbers:
    """The main numbers of a run that is saved.

    Args:
        record: the run's.
        folder: the run's.
        out_of_the_box: folder of the run that differs in having no optimizations, whether it was made or not.

    Raises:
        suite.record_folder.RecordError: a table is there and cannot be read.
    """
    operators = record_folder.load_table(folder, "operators", roofline.COLUMNS)
    peaks = record_folder.load_table(folder, "memory_peaks")
    trials = list(record.latencies().values())
    return Numbers(
        latency=median_interval(trials) if trials else None,
        doubt=next((arm.doubt for arm in record.arms if arm.name == OWN_ARM), None),
        work=_work(operators),
        allocated=peak_of(peaks),
        reserved=peak_of(peaks, "reserved"),
        device=peak_of(peaks, "device"),
        out_of_the_box=None
        if out_of_the_box is None
        else peak_of(record_folder.load_table(out_of_the_box, "memory_peaks")),
        estimate=_estimate(record, operators),
    )


def headline(record: Record) -> str:
    """The outcome, with its reason."""
    outcome = record.outcome
    return outcome.status if outcome.status == "ok" else f"{outcome.status}: {outcome.reason or ''}"


def lines(record: Record, found: Numbers) -> list[str]:
    """The main numbers, two or three lines of them; none for a run that came to none."""
    return [line for said in LINES for line in said(record, found)]


def latency_words(latency: Interval, unit: Unit | None = None) -> str:
    """``0.303 [0.299-0.308] s``; in the unit that suits it where none is given."""
    unit = unit or unit_for([latency.median], "s")
    low, median, high = (value / unit.size for value in (latency.low, latency.median, latency.high))
    return f"{with_interval(median, low, high)} {unit.symbol}"


def work_words(work: Work) -> str:
    """``20.1 GFLOP``."""
    return quantity(work.flops, "flops") if work.is_whole else f"at least {quantity(work.flops, 'flops')}"


def _time(record: Record, found: Numbers) -> Iterator[str]:
    """How long a generation takes and how much work it is."""
    work = [] if found.work is None else [work_words(found.work)]
    if found.latency is not None:
        work.insert(0, latency_line(found.latency))
    elif found.estimate is not None:
        yield estimate_line(record, found.estimate)
        work.insert(0, cost_words(found.estimate))
    if any(work):
        yield "; ".join(filter(None, work))


def latency_line(latency: Interval) -> str:
    """What was measured."""
    trials = f"over {latency.num_values} trials" if latency.num_values > 1 else "in one trial"
    return f"{latency_words(latency)} a generation {trials}"


def estimate_line(record: Record, estimate: Estimate) -> str:
    """What was estimated, for which machine, and how far off it may be."""
    machine = estimate.machine
    where = machine.name if estimate.is_named else f"{machine.name} (machine=NAME takes another)"
    if math.isnan(estimate.seconds):
        return f"no time is estimated on {where}: {unknown_words(record, machine)}"
    return f"{quantity(estimate.seconds, 's')} a generation estimated on {where}; error {error_words(machine)}"


def cost_words(estimate: Estimate) -> str:
    """The price of a generation; empty where there is no time to pay for."""
    machine, cost = estimate.machine, estimate.cost_usd
    if cost is None:
        return "" if math.isnan(estimate.seconds) else "price unknown"
    unverified = ", not verified" if machine.is_recalled("price_per_hour_usd") else ""
    return f"{rounded(cost)} USD at {machine.price_per_hour_usd:g} USD an hour{unverified}"


def _doubts(record: Record, found: Numbers) -> Iterator[str]:
    """Which times are to be doubted, and why."""
    del found
    for arm in record.arms:
        if arm.doubt is not None:
            yield f"in doubt: {arm.doubt}" if arm.name == OWN_ARM else f"in doubt, {_spoken(arm.name)}: {arm.doubt}"


def _spoken(arm: str) -> str:
    return arm.replace("_", " ")


def _memory(record: Record, found: Numbers) -> Iterator[str]:
    """The peak, and which stage holds it where the stack does not lower it."""
    del record
    peak = found.allocated
    if peak is None:
        return
    said = f"peak {quantity(peak.size, 'bytes')} allocated, {_held(peak, found.out_of_the_box)}"
    if peak.next is not None:
        said += f"; next is {peak.next[0]} with {quantity(peak.next[1], 'bytes')}"
    if found.reserved is not None:
        said += f"; {quantity(found.reserved.size, 'bytes')} reserved"
    yield said if found.device is None else f"{said}; {quantity(found.device.size, 'bytes')} on the device"


def _held(peak: Peak, out_of_the_box: Peak | None) -> str:
    if out_of_the_box is None:
        return f"in {peak.holder}"
    before = quantity(out_of_the_box.size, "bytes")
    if peak.size < out_of_the_box.size and before != quantity(peak.size, "bytes"):
        return f"in {peak.holder} (out of the box {before})"
    return f"no less than out of the box ({before}): {peak.holder} holds it"


def _plans(record: Record, found: Numbers) -> Iterator[str]:
    """What was chosen for the run before it began."""
    del found
    own = next((arm.optimizations for arm in record.arms if arm.name == OWN_ARM), [])
    yield from (f"{one.name}: {one.plan}" for one in own if one.plan)


LINES: tuple[Callable[[Record, Numbers], Iterator[str]], ...] = (_time, _doubts, _memory, _plans)
"""In this order; whatever else a run should say of itself at its end is one more of them."""


def _work(operators: pa.Table) -> Work | None:
    if operators.num_rows == 0:
        return None
    flops = operators.column("flops").cast(pa.float64()).to_numpy()  # null is NaN
    classes = operators.column("operator_class").cast(pa.string()).to_pylist()
    unknown = np.isnan(flops) & [name in roofline.MATRIX_CLASSES for name in classes]
    return Work(int(np.nansum(flops)), not unknown.any())


def _estimate(record: Record, operators: pa.Table) -> Estimate | None:
    if record.execution != "simulate" or operators.num_rows == 0:
        return None
    machine = chosen_machine(record)
    seconds = float(roofline.estimate(operators, machine, allow_tf32=Tf32.of(record.config)).seconds.sum())
    return Estimate(machine, seconds, is_named=own_machine(record) is not None)
