"""What an image or a video costs: seconds, dollars and energy on every known machine, a row a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.cost_of_ownership import costs
from reports.table import factor, number, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "cost", 20
TITLE = "Cost"
CAPTION = (
    "Time, price and energy of one item (image, video or generation) and of 1,000. Simulated runs are estimated on "
    "every known machine; a measured run (median of its quiet trials) is priced on the machine that it ran on, if "
    "that is known. A run fits where its peak of allocated memory is no more than the machine has left beside a "
    "process's context. The machine is taken to be rented for just that time. Energy that no device counted is the "
    "time at the share of the board's power that generations draw, or at all of it: each row says which. Prices are list "
    "prices of one provider on one day; those called reported were not verified."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Precision", "precision"),
    text("Machine", "machine"),
    text("Fits", "fits"),
    quantity("Peak", "peak_bytes", "bytes"),
    quantity("Of", "usable_bytes", "bytes", unit_from="peak_bytes"),
    text("Time is", "basis"),
    text("Item", "item"),
    quantity("Time an item", "seconds", "s"),
    number("USD an item", "usd"),
    number("USD per 1,000", "usd_per_1000"),
    factor("Price over out of the box", "relative_usd"),
    number("kWh per 1,000", "kwh_per_1000"),
    text("Energy is", "energy_is"),
    number("USD an hour", "usd_per_hour"),
    text("Price from", "price_source"),
    text("Error of the time", "error"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each simulated run and machine, and one for each measured run on the machine that it ran on."""
    return costs(runs)
