"""What was run: parts, parameters and weights of each workload."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportCallIssue=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import in_order
from reports.table import count, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "setup", 20
TITLE = "Parts and parameters"
CAPTION = (
    "Parts of each workload as it was built for the first run of its group: parameters, and bytes as they were held."
)
COLUMNS = (
    text("Workload", "group"),
    text("Part", "part"),
    text("Class", "class_name"),
    count("Parameters", "num_parameters"),
    quantity("Weights", "weight_bytes", "bytes"),
    text("Precision", "precision"),
    text("Weights from", "weights"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each group and part; bytes."""
    records = {record.run_id: record for record in runs.records}
    rows = []
    ordered = in_order(runs)
    ordered = ordered[[bool(records[run_id].workload.parts) for run_id in ordered["run_id"]]]
    for run in ordered.drop_duplicates("group").to_dict("records"):
        workload = records[run["run_id"]].workload
        for name, part in workload.parts.items():
            rows.append(
                {"group": run["group"], "part": name, "class_name": part.class_name, "weights": workload.weights}
                | {
                    "num_parameters": part.num_parameters,
                    "weight_bytes": part.weight_bytes,
                    "precision": part.precision,
                }
            )
    return pd.DataFrame(rows)
