"""Checks of what Zhan et al. 2024 claim: peak memory and latency of their Table 1, and the cost of grouping by a loop.

Their "GB" is read as GiB (read as 10^9 bytes, ours would be 7 % more). Of which counter it is they do not say, so a size that
theirs exceeds contradicts nothing; sizes relative to the original are judged.
"""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reports.claims.claim import read_source
from reports.claims.evidence import ORIGINAL, Case, Evidence, Reading
from reports.claims.judge import band
from reports.comparison import latencies
from suite.estimates import error_words, own_machine
from suite.units import is_number

SOURCE = read_source("zhan_2024")

GIB = 2**30
METHODS = {"original": ORIGINAL, "naive_slicing": "naive_slicing", "streamlined": "streamlined"}
"""Their name of a method, and the stack that it is here."""

_HALF = ("float16", "bfloat16")


def table_1_peak(evidence: Evidence, case: str) -> Iterator[Reading]:
    if evidence.precision not in _HALF:
        return
    for run in _runs(evidence, case):
        for counter in ("allocated", "reserved"):
            ours = _peak(evidence, run, counter)
            if ours is None:
                continue
            kept = {"basis": evidence.memory_basis, "run_ids": (run.run_id,)}
            below = f"a device holds more than its {counter} memory, and which of them theirs is they do not say"
            is_less = ours / GIB < band(SOURCE.claims["table_1_peak"], _published("table_1_peak", case))[0]
            unknown = below if is_less else None
            yield Reading(value=ours / GIB, words=f"{counter} memory", incomparable=unknown, **kept)
            for original in _runs(evidence, _original(case)) if run.stack != ORIGINAL else ():
                theirs = _relative("table_1_peak", case)
                if whole := _peak(evidence, original, counter):
                    kept["run_ids"] = (run.run_id, original.run_id)
                    words = f"{counter} memory, relative to the original"
                    yield Reading(value=ours / whole, published=theirs, words=words, unit="share", **kept)


def table_1_latency(evidence: Evidence, case: str) -> Iterator[Reading]:
    theirs = _published("table_1_latency", case)
    for run in _runs(evidence, case):
        if evidence.time_basis == "measured":
            yield from _measured(evidence, run)
        elif (seconds := evidence.seconds(run)) is not None and "A100" in (evidence.hardware or ""):
            yield _estimated(run, seconds, theirs)
        for original in _runs(evidence, _original(case)) if run.stack != ORIGINAL else ():
            before, after = evidence.seconds(original), evidence.seconds(run)
            if before and after and evidence.time_basis == "estimated":
                yield Reading(
                    value=after / before, published=_relative("table_1_latency", case), basis="estimated", unit="share",
                    run_ids=(run.run_id, original.run_id), words="relative to the original",
                )  # fmt: skip


def _estimated(run: Case, seconds: float, theirs: float) -> Reading:
    """A calibrated estimate is told with its error; a roofline's is a bound from below, and refutes only what lies under it."""
    kept: Any = {"value": seconds, "basis": "estimated", "run_ids": (run.run_id,)}
    machine = own_machine(run.record)
    if machine is not None and machine.calibration is not None:
        return Reading(**kept, note=f"the estimate is off by {error_words(machine)}")
    if seconds <= theirs:
        return Reading(**kept, incomparable="an estimate bounds the time from below")
    return Reading(**kept, note="the estimate is a bound from below, and above theirs")


def for_loop_grouping_slowdown(evidence: Evidence) -> Iterator[Reading]:
    if evidence.time_basis != "measured":
        return
    frame = latencies(evidence.runs)
    for run in evidence.select(stack="operator_grouping"):
        rows = frame[(frame["run_id"] == run.run_id) & frame["box_speedup"].notna()] if len(frame) else frame
        for row in rows.to_dict("records"):
            ends = {"low": row["box_high"], "high": row["box_low"]}
            kept = {name: 1 / end if is_number(end) else None for name, end in ends.items()}
            yield Reading(
                value=1 / row["box_speedup"], basis="measured", run_ids=(run.run_id,), words=run.workload, **kept
            )


def _runs(evidence: Evidence, case: str) -> list[Case]:
    """The runs of a case of Table 1: workload, height x width, method."""
    workload, size, method = case.split(" ")
    height, width = (int(side) for side in size.split("x"))
    return [
        run for run in evidence.select(workload=workload, stack=METHODS[method])
        if (run.request.get("height"), run.request.get("width")) == (height, width)
    ]  # fmt: skip


def _original(case: str) -> str:
    return f"{case.rsplit(' ', 1)[0]} original"


def _relative(claim: str, case: str) -> float:
    """What was published for a case over what was published for the original."""
    return _published(claim, case) / _published(claim, _original(case))


def _published(claim: str, case: str) -> float:
    value = SOURCE.claims[claim].cases[case]
    assert isinstance(value, float)  # Table 1 has one number a cell
    return value


def _peak(evidence: Evidence, run: Case, counter: str) -> float | None:
    peaks = evidence.runs.memory_peaks
    rows = peaks[(peaks["run_id"] == run.run_id) & (peaks["stage"] == "generate")]
    values = rows[f"{counter}_bytes"].dropna()
    return float(values.iloc[0]) if len(values) else None


def _measured(evidence: Evidence, run: Case) -> Iterator[Reading]:
    elsewhere = None if "A100" in (evidence.hardware or "") else f"measured on {evidence.hardware}, not on an A100"
    frame = latencies(evidence.runs)
    for row in frame[frame["run_id"] == run.run_id].to_dict("records") if len(frame) else ():
        yield Reading(
            value=row["median_s"], low=row["low_s"], high=row["high_s"], basis="measured", run_ids=(run.run_id,),
            incomparable=elsewhere, note=f"{row['trials']} trials",
        )  # fmt: skip
