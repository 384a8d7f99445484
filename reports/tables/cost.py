"""What an image or a video costs: seconds, dollars and energy on every known machine."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order, latencies
from reports.estimates import error_words, estimates, known_machines, own_machine
from reports.table import number, quantity, text
from suite.machine import RECALLED, Machine

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

SECTION, ORDER = "cost", 20
TITLE = "Cost"
CAPTION = (
    "Time, price and energy of one item (image, video or generation) and of 1,000. Simulated runs are estimated on every known "
    "machine; a measured run (median of its quiet trials) is priced on the machine that it ran on, if that is known. The "
    "machine is taken to be rented for just that time and to draw all the power that its vendor states, so energy is an upper "
    "bound for a given time. Prices are list prices of one provider on one day; those called reported were not verified."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Precision", "precision"),
    text("Machine", "machine"),
    text("Time is", "basis"),
    text("Item", "item"),
    quantity("Time an item", "seconds", "s"),
    number("USD an item", "usd"),
    number("USD per 1,000", "usd_per_1000"),
    number("kWh per 1,000", "kwh_per_1000"),
    number("USD an hour", "usd_per_hour"),
    text("Price from", "price_source"),
    text("Error of the time", "error"),
)
_ITEMS = {"image": "image", "video": "video"}


def build(runs: Runs) -> pd.DataFrame:
    """A row for each simulated run and machine, and one for each measured run on a known machine."""
    records = {record.run_id: record for record in runs.records}
    rows = [
        {key: run[key] for key in ("run_id", "group", "stack", "precision")}
        | {"item": _ITEMS.get(run["media"], "generation"), "machine": machine.name, "basis": basis, "error": error}
        | _priced(seconds / _batch(records[run["run_id"]]), machine)
        for run in in_order(runs).to_dict("records")
        for machine, seconds, basis, error in _timed(runs, run, records[run["run_id"]])
    ]
    return pd.DataFrame(rows)


def _timed(runs: Runs, run: dict[Any, Any], record: Record) -> Iterator[tuple[Machine, float, str, str | None]]:
    """Machines with the seconds of one generation, whether they were measured, and how far off they may be."""
    measured, found = latencies(runs), estimates(runs)
    mine = measured[measured["run_id"] == record.run_id] if len(measured) else measured
    for machine in known_machines().values() if len(mine) else ():
        if run["device_name"] in machine.reported_as:
            yield machine, float(mine["median_s"].iloc[0]), "measured", None
    own = own_machine(record)
    known = {machine.name: machine for machine in known_machines().values()} | ({own.name: own} if own else {})
    rows = found[found["run_id"] == record.run_id] if len(found) else found
    for name, parts in rows.groupby("machine", sort=False) if len(rows) else ():
        machine, seconds = known[str(name)], float(parts["seconds"].sum(skipna=False))
        basis = "estimated, calibrated" if machine.calibration else "estimated, roofline"
        error = error_words(machine) if seconds >= 0 else f"no peak of this machine is known for {run['precision']}"
        yield machine, seconds, basis, error


def _batch(record: Record) -> int:
    """Items of one generation."""
    return record.request.get("batch_size") or 1


def _priced(seconds: float, machine: Machine) -> dict[str, Any]:
    """What a time costs on a machine; None where a figure is not known."""
    price, power = machine.price_per_hour_usd, machine.power_w
    hours = seconds / 3600
    usd = None if price is None else hours * price
    source = machine.sources.get("price_per_hour_usd")
    if machine.is_recalled("price_per_hour_usd"):
        source = f"reported, not verified{str(source).removeprefix(RECALLED)}"
    return {
        "seconds": seconds,
        "usd": usd,
        "usd_per_1000": None if usd is None else 1000 * usd,
        "kwh_per_1000": None if power is None else 1000 * hours * power / 1000,
        "usd_per_hour": price,
        "price_source": "unknown" if price is None else source,
    }
