"""Cost of ownership: what 1,000 images or videos cost on each machine, a column a machine, with every price's source."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.cost_of_ownership import DOES_NOT_FIT, UNKNOWN, costs, machines_by_price, price_notes, short_name
from reports.table import Column, quantity, text
from suite.units import NONE, Unit, rounded

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "cost", 15
TITLE = "Cost of ownership"
CAPTION = (
    "USD for 1,000 items (images, videos or generations) and, in brackets, kWh, by machine, the cheapest an hour first. The "
    "machine is rented for just the time of the generations. Estimated times are lower bounds unless they are calibrated. "
    "Energy is what the device counted, or else the time at the share of the board's power that generations draw, or at all "
    "of it: each row says which. Peak: of allocated memory; where a process's context leaves less of the machine's, the run "
    f"{DOES_NOT_FIT}. "
    "Unknown: no price, no power or no peak rate is known."
)
_VALUES = ("fits", "usd_per_1000", "kwh_per_1000")
_SEPARATOR = ": "


def caption(runs: Runs) -> str:
    return CAPTION + price_notes(costs(runs))


def columns(frame: pd.DataFrame) -> list[Column]:
    """One for each machine."""
    machines = [
        name.removeprefix(f"fits{_SEPARATOR}") for name in frame.columns if name.startswith(f"fits{_SEPARATOR}")
    ]
    return [
        text("Workload", "group"),
        text("Stack", "stack"),
        text("Item", "item"),
        quantity("Peak", "peak_bytes", "bytes"),
        *(_machine_column(machine) for machine in machines),
        text("Time is", "basis"),
        text("Energy is", "energy_is"),
    ]


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run; of each machine whether the run fits, USD and kWh, a column each."""
    frame = costs(runs)
    if frame.empty:
        return frame
    machines = list(machines_by_price(frame)["machine"])
    rows = []
    for _, of_run in frame.groupby(["run_id", "basis"], sort=False):
        row = of_run.iloc[0][["run_id", "group", "stack", "precision", "item", "peak_bytes", "basis"]].to_dict()
        row["energy_is"] = next(iter(of_run["energy_is"].dropna().drop_duplicates()), None)
        told = of_run.set_index("machine")
        for machine in machines:
            found = told.loc[machine] if machine in told.index else dict.fromkeys(_VALUES)
            row |= {f"{name}{_SEPARATOR}{machine}": found[name] for name in _VALUES}
        rows.append(row)
    return pd.DataFrame(rows)


def _machine_column(machine: str) -> Column:
    """Price and energy in one cell; it sorts by whether the run fits."""
    fits, usd, kwh = (f"{name}{_SEPARATOR}{machine}" for name in _VALUES)

    def cell(row: dict[str, Any], _: Unit | None) -> str:
        if pd.isna(row[fits]) or row[fits] == DOES_NOT_FIT:
            return NONE if pd.isna(row[fits]) else DOES_NOT_FIT
        price, energy = (UNKNOWN if pd.isna(row[name]) else rounded(row[name]) for name in (usd, kwh))
        return price if price == energy else f"{price} ({energy})"

    return Column(short_name(machine), fits, cell)
