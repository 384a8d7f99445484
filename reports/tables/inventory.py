"""What each workload is made of, beside what its paper says: parameters, steps and sequence lengths."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportAssignmentType=false
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.claims.architecture import Published, published
from reports.comparison import in_order
from reports.table import count, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import WorkloadFacts

SECTION, ORDER = "setup", 30
TITLE = "Inventory"
CAPTION = (
    "Parts as built, the stages and steps of one generation, and attention's query lengths (the set of them, and keys of "
    "cross-attention). Published: parameters as the model's authors or the characterization state them, with where the number "
    "was seen; the difference is ours over theirs."
)
COLUMNS = (
    text("Workload", "group"),
    text("Part", "part"),
    text("Class", "class_name"),
    count("Parameters", "num_parameters"),
    quantity("Weights", "weight_bytes", "bytes"),
    count("Published", "published"),
    text("Difference", "difference"),
    text("Seen in", "seen"),
    text("Stages and steps", "stages"),
    text("Query lengths", "query_lengths"),
)
MOST_LENGTHS = 8
TOTAL = "all parts"


def build(runs: Runs) -> pd.DataFrame:
    """A row for each group and part; a group is a workload at one scale and request."""
    records = {record.run_id: record for record in runs.records}
    rows: list[dict[str, Any]] = []
    ordered = in_order(runs)
    ordered = ordered[[bool(records[run_id].workload.parts) for run_id in ordered["run_id"]]]
    ordered = ordered.drop_duplicates("group")
    if ordered.empty:
        return pd.DataFrame()
    every_stage, every_length = _stages(runs, ordered["run_id"]), _query_lengths(runs, ordered["run_id"])
    for run in ordered.to_dict("records"):
        workload = records[run["run_id"]].workload
        stages, lengths = every_stage.get(run["run_id"], {}), every_length.get(run["run_id"], {})
        for name, part in workload.parts.items():
            claimed = published(workload.name, name) if workload.scale == "paper" else None
            row = {"group": run["group"], "part": name, "class_name": part.class_name, "stages": stages.get(name)}
            row |= {"num_parameters": part.num_parameters, "weight_bytes": part.weight_bytes}
            rows.append(row | _beside(part.num_parameters, claimed) | {"query_lengths": lengths.get(name)})
        rows += _total(run["group"], workload)
    return pd.DataFrame(rows)


def _total(group: str, workload: WorkloadFacts) -> list[dict[str, Any]]:
    """A row for several parts together, where their total is what was published."""
    claimed = published(workload.name, TOTAL) if workload.scale == "paper" else None
    if claimed is None:
        return []
    parts = [workload.parts[name] for name in claimed.of]
    parameters = sum(part.num_parameters for part in parts)
    row = {"group": group, "part": " + ".join(claimed.of), "num_parameters": parameters}
    row["weight_bytes"] = sum(part.weight_bytes for part in parts)
    return [row | {"class_name": None, "stages": None, "query_lengths": None} | _beside(parameters, claimed)]


def _beside(ours: int, claimed: Published | None) -> dict[str, Any]:
    if claimed is None:
        return {"published": None, "difference": None, "seen": None}
    note = f"; {claimed.note}" if claimed.note else ""
    return {
        "published": claimed.parameters,
        "difference": f"{ours / claimed.parameters - 1:+.1%}",
        "seen": f"{claimed.trust}{note}",
    }


def _stages(runs: Runs, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Of every run the stages that run each part, with how many steps they have."""
    rows = _with_parts(runs.table("operators", run_ids, ["module", "stage", "step"]), ["stage", "step"])
    found: dict[str, dict[str, list[str]]] = {}
    for (run_id, name, stage), steps in rows.groupby(["run_id", "part", "stage"], sort=False, observed=True)["step"]:
        num_steps = steps.nunique()
        found.setdefault(run_id, {}).setdefault(name, []).append(f"{stage} x {num_steps}" if num_steps else stage)
    return {run_id: {name: ", ".join(stages) for name, stages in parts.items()} for run_id, parts in found.items()}


def _query_lengths(runs: Runs, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Of every run the distinct query lengths of each part by kind, longest first."""
    columns = ["attention_kind", "query_length", "key_length"]
    calls = _with_parts(runs.table("attention", run_ids, ["module", *columns]), columns)
    calls["kind"] = calls["attention_kind"].astype(object).fillna("unknown")
    found: dict[str, dict[str, list[str]]] = {}
    for (run_id, name, kind), lengths in calls.groupby(["run_id", "part", "kind"], sort=False, observed=True):
        queries, keys = sorted(set(lengths["query_length"]), reverse=True), sorted(set(lengths["key_length"]))
        against = f" against {_listed(keys)}" if kind == "cross" or queries != keys[::-1] else ""
        found.setdefault(run_id, {}).setdefault(name, []).append(f"{kind} {_listed(queries)}{against}")
    return {run_id: {name: "; ".join(kinds) for name, kinds in parts.items()} for run_id, parts in found.items()}


def _with_parts(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Distinct rows of a table with the part that each module lies in; what no module ran is left out."""
    rows = rows[rows["module"].notna()]
    modules = rows["module"].cat
    parts, names = pd.factorize(modules.categories.str.split(".").str[0])
    rows = rows[["run_id", *columns]].assign(part=pd.Categorical.from_codes(parts[modules.codes], names))
    return rows.drop_duplicates()


def _listed(lengths: list[int]) -> str:
    """Few lengths as they are, a long row of them by its ends."""
    if len(lengths) > MOST_LENGTHS:
        return f"{lengths[0]} to {lengths[-1]}"
    return ", ".join(str(length) for length in lengths)
