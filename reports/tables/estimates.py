"""What every stage of a simulated run asks of a machine: FLOPs, bytes, arithmetic intensity, and the time they take there."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order
from reports.estimates import added, bound_words, estimates
from reports.reading import read_table
from reports.table import number, quantity, text
from suite.estimates import chosen_machine, error_words
from suite.stage import STAGES

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "cost", 10
TITLE = "Estimated time"
CAPTION = (
    "One generation of every simulated run on the machine that it named, or else on an A100 80GB SXM: each operator takes "
    "as long as its FLOPs at the peak of its precision or its bytes at full bandwidth, whichever is longer. Intensity per byte "
    "moved counts every operator's reads and writes; per parameter byte it is the stage's FLOPs over the weights that it runs, "
    "so that steps use them again (the reading of Golden et al.). Limit: what most of the time is limited by."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Precision", "precision"),
    text("Stage", "stage"),
    quantity("FLOPs", "flops", "flops"),
    quantity("Moved", "bytes", "bytes"),
    number("FLOP/byte moved", "flops_per_byte"),
    number("FLOP/parameter byte", "flops_per_parameter_byte"),
    text("Machine", "machine"),
    quantity("Time", "seconds", "s"),
    text("Limit", "bound"),
    text("Error of the time", "error"),
)
TOTAL = "all stages"


def build(runs: Runs) -> pd.DataFrame:
    """A row for each simulated run and stage, and one for the run."""
    found = estimates(runs)
    if found.empty:
        return found
    places = {record.run_id: index for index, record in enumerate(runs.records)}
    rows: list[dict[str, Any]] = []
    for run in in_order(runs).to_dict("records"):
        index = places[run["run_id"]]
        machine = chosen_machine(runs.records[index])
        own = found[(found["run_id"] == run["run_id"]) & (found["machine"] == machine.name)]
        if own.empty:
            continue
        weights = _weight_bytes(runs, index)
        sums = added(own, "stage")
        sums = sums.loc[sorted(sums.index, key=STAGES.index)]
        sums.loc[TOTAL] = sums.sum(skipna=False)
        for stage, row in sums.iterrows():
            told = {key: run[key] for key in ("run_id", "group", "stack", "precision")}
            told |= {"stage": stage, "machine": machine.name, "error": error_words(machine)} | row.to_dict()
            held = weights.get(str(stage))
            told["flops_per_byte"] = row["flops"] / row["bytes"] if row["bytes"] else None
            told["flops_per_parameter_byte"] = row["flops"] / held if held else None
            rows.append(told | {"bound": bound_words(row)})
    return pd.DataFrame(rows)


def _weight_bytes(runs: Runs, index: int) -> dict[str, int]:
    """Bytes of the parts that each stage runs, by stage; of all parts for the whole."""
    parts = runs.records[index].workload.parts
    places = read_table(runs.folders[index], "operators", ["stage", "module"]).to_pandas().drop_duplicates()
    places["part"] = places["module"].astype(object).str.split(".").str[0]
    ran = places[places["part"].isin(list(parts))].groupby("stage", observed=True)["part"].unique()
    found = {str(stage): sum(parts[name].weight_bytes for name in names) for stage, names in ran.items()}
    return found | {TOTAL: sum(part.weight_bytes for part in parts.values())}
