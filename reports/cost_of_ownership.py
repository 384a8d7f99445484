"""What an image or a video costs where: time, price and energy of every run on a machine, and whether it fits there at all."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order, latencies
from reports.estimates import estimates
from reports.facts import OUT_OF_THE_BOX
from reports.memory import stage_peaks
from suite.estimates import energy_j, error_words, known_machines, own_machine, price_source, price_usd, unknown_words
from suite.machine import Machine
from suite.units import percent

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

FITS, DOES_NOT_FIT, UNKNOWN = "fits", "does not fit", "unknown"
MEASURED = "measured"
CALIBRATED, ROOFLINE = "estimated, calibrated", "estimated, roofline"
UPPER_BOUND = "upper bound: board power"
NO_BOUND = "no bound: board power for a time that is bounded from below"
COVERS = {"gpu_board": "measured, GPU board", "cpu_packages": "measured, CPU packages"}
_ITEMS = {"image": "image", "video": "video"}


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one generation on a machine, NaN where unknown; None where it cannot run."""

    machine: Machine
    seconds: float | None
    basis: str
    error: str | None = None


@lru_cache(maxsize=4)
def costs(runs: Runs) -> pd.DataFrame:
    """A row for each simulated run and machine, and one for each measured run on the machine that it ran on.

    ``seconds``, ``usd`` and ``kwh_per_1000`` are of items (images, videos, generations), None where a figure is not known or
    the run does not fit. ``relative_usd`` is the price over that of the workload out of the box on the same machine. Treat the
    frame as read-only.
    """
    records = {record.run_id: record for record in runs.records}
    rows = []
    for run in in_order(runs).to_dict("records"):
        record = records[run["run_id"]]
        told = {key: run[key] for key in ("run_id", "group", "stack", "precision")}
        told["item"] = _ITEMS.get(run["media"], "generation")
        for timing in (*_measured(runs, run, record), *_estimated(runs, run, record)):
            rows.append(told | _row(runs, record, timing))
    return _beside_own(pd.DataFrame(rows))


def _row(runs: Runs, record: Record, timing: Timing) -> dict[str, Any]:
    machine, peak = timing.machine, _peaks(runs).get(record.run_id)
    fits = _fits(record, machine, peak)
    known = {"machine": machine.name, "basis": timing.basis, "error": timing.error, "fits": fits, "peak_bytes": peak}
    known |= {"usable_bytes": machine.usable_bytes, "power_w": machine.power_w}
    known |= {"usd_per_hour": machine.price_per_hour_usd, "price_source": price_source(machine)}
    if fits == DOES_NOT_FIT or timing.seconds is None:
        return known
    seconds = timing.seconds / _items(record)
    usd = price_usd(machine, seconds)
    known |= {"seconds": seconds, "usd": usd, "usd_per_1000": None if usd is None else 1000 * usd}
    return known | _energy(runs, record, timing, seconds)


def _items(record: Record) -> int:
    """Images or videos of one generation."""
    return record.request.get("batch_size") or 1


def _energy(runs: Runs, record: Record, timing: Timing, seconds: float) -> dict[str, Any]:
    """Energy of 1,000 items that take so many seconds each: counted by a device, estimated as the share of its board's power
    that generations draw, at most all of that where the time is measured, or unknown.

    Joules of one item are 1 / 3600 kWh of a thousand.
    """
    asked = record.energy if timing.basis == MEASURED else None
    counted = joules(runs).get(record.run_id)
    if asked and counted is not None:
        return {"kwh_per_1000": counted / _items(record) / 3600, "energy_is": COVERS[str(asked.covers)]}
    why = f"counter unavailable: {asked.unavailable}" if asked and asked.unavailable else None
    if timing.machine.power_w is None or math.isnan(seconds):
        return {"kwh_per_1000": None, "energy_is": why or UNKNOWN}
    drawn, basis = _drawn_j(timing, seconds)
    return {"kwh_per_1000": drawn / 3600, "energy_is": f"{basis} ({why})" if why else basis}


def _drawn_j(timing: Timing, seconds: float) -> tuple[float, str]:
    """Joules of so many seconds on a machine whose power is known, and what they are."""
    machine = timing.machine
    share = machine.calibration.power_share if machine.calibration else None
    if timing.basis == CALIBRATED and share is not None:
        return energy_j(machine, seconds) or 0.0, f"estimated: {percent(share)} of board power"
    return seconds * (machine.power_w or 0.0), UPPER_BOUND if timing.basis == MEASURED else NO_BOUND


def _measured(runs: Runs, run: dict[Any, Any], record: Record) -> Iterator[Timing]:
    """On the machine that a run ran on; on an unknown one only where its energy was asked for."""
    seconds = _medians(runs).get(record.run_id)
    if seconds is None and not (record.execution == "measure" and record.outcome.status == "oom"):
        return
    known = [machine for machine in known_machines().values() if run["device_name"] in machine.reported_as]
    unknown = [Machine(name=str(run["device_name"]))] if record.energy else []
    for machine in known or unknown:
        yield Timing(machine, seconds, MEASURED)


@lru_cache(maxsize=4)
def _medians(runs: Runs) -> dict[str, float]:
    """Seconds of a generation of every measured run."""
    found = latencies(runs)
    return {} if found.empty else dict(zip(found["run_id"], found["median_s"], strict=True))


def _estimated(runs: Runs, run: dict[Any, Any], record: Record) -> Iterator[Timing]:
    """On every known machine."""
    found, own = estimates(runs), own_machine(record)
    known = {machine.name: machine for machine in known_machines().values()} | ({own.name: own} if own else {})
    rows = found[found["run_id"] == record.run_id] if len(found) else found
    for name, parts in rows.groupby("machine", sort=False) if len(rows) else ():
        machine, seconds = known[str(name)], float(parts["seconds"].sum(skipna=False))
        basis = CALIBRATED if machine.calibration else ROOFLINE
        error = error_words(machine) if seconds >= 0 else unknown_words(record, machine)
        yield Timing(machine, seconds, basis, error)


def _fits(record: Record, machine: Machine, peak: float | None) -> str:
    """Whether a machine holds a run: a measured one says by running, a simulated one by its outcome on the machine that it
    named and by its peak of live tensors on the others. What runs out of memory on a machine does so on those with less."""
    ran_out = record.outcome.status == "oom"
    if record.execution == "measure":
        return DOES_NOT_FIT if ran_out else FITS
    room, own = machine.usable_bytes, own_machine(record)
    if peak is None or room is None:
        return UNKNOWN
    if ran_out and own is not None and room <= (own.usable_bytes or 0):
        return DOES_NOT_FIT
    return FITS if peak <= room else DOES_NOT_FIT


@lru_cache(maxsize=4)
def _peaks(runs: Runs) -> dict[str, float]:
    peaks = stage_peaks(runs)
    return {} if peaks.empty else peaks[peaks["stage"] == "generate"].set_index("run_id")["peak_bytes"].to_dict()


@lru_cache(maxsize=4)
def joules(runs: Runs) -> dict[str, float]:
    """Of one generation of each run's own stack, where a device counted them: the median over trials."""
    samples = runs.samples
    own = samples[(samples["metric"] == "energy_j") & (samples["arm"] == "stack")]
    return own.groupby(own["run_id"].astype(str))["value"].median().to_dict()


def _beside_own(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        return frame
    frame = frame.reindex(columns=list(dict.fromkeys([*frame.columns, "seconds", "usd", "usd_per_1000", "kwh_per_1000",
                                                      "energy_is"])))  # fmt: skip
    own = frame[frame["stack"] == OUT_OF_THE_BOX].drop_duplicates(["group", "machine"])
    own = own[["group", "machine", "usd"]].rename(columns={"usd": "own_usd"})
    beside = frame.merge(own, on=["group", "machine"], how="left")
    return frame.assign(relative_usd=(beside["usd"].astype(float) / beside["own_usd"].astype(float)).to_numpy())


def short_name(machine: str) -> str:
    """A machine's name without its vendor's: ``H200 141GB SXM``."""
    return re.sub(r"^(NVIDIA|AMD) ((GeForce|Instinct) )?", "", machine)


def machines_by_price(frame: pd.DataFrame) -> pd.DataFrame:
    """The machines of a frame of `costs`, the cheapest an hour first, those without a price last."""
    return frame.drop_duplicates("machine").sort_values("usd_per_hour", na_position="last", kind="stable")


def price_notes(frame: pd.DataFrame) -> str:
    """Every price that a frame of `costs` was made with, with its source and date, in a sentence or two."""
    machines = machines_by_price(frame)
    priced = machines[machines["usd_per_hour"].notna()]
    told = [
        f"{source} ({', '.join(f'{row.machine} {row.usd_per_hour:g}' for row in rows.itertuples())})"
        for source, rows in priced.groupby("price_source", sort=False)
    ]
    unknown = list(machines.loc[machines["usd_per_hour"].isna(), "machine"])
    notes = f" Prices in USD an hour: {'; '.join(told)}." if told else ""
    return notes + (f" No price is known of {', '.join(unknown)}." if unknown else "")
