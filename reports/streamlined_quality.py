"""Runs beside the published scores of skipped steps (Zhan et al. 2024, Table 2): what each way costs, and how far off it is.

The published scores are of trained models on sets of videos; ours tell how far an output is from that of all steps from the
same seed. Neither can be had from the other, so they stand side by side and no ratio is made of both.
"""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.claims.sources.zhan_2024 import SOURCE
from reports.facts import OUT_OF_THE_BOX
from reports.streamlined import steps_and_work
from reports.trade_offs import trade_offs

if TYPE_CHECKING:
    from reports.runs import Runs

ORIGINAL = "original"
SCORES = {
    "published_ucf101_fvd": ("table_2_ucf101_fvd", "table_1_fvd"),
    "published_ucf101_clip": ("table_2_ucf101_clip", "table_1_clip"),
    "published_msrvtt_fvd": ("table_2_msrvtt_fvd",),
    "published_msrvtt_clip": ("table_2_msrvtt_clip",),
}
"""Column, and the claims that hold it: of UCF-101 the originals are those of Table 1."""
METHODS = {OUT_OF_THE_BOX: ORIGINAL, "deepcache": "deepcache", "step_rehash": "step_rehash"}
"""Our stack, and what the paper calls it."""


@lru_cache(maxsize=4)
def beside_published_scores(runs: Runs) -> pd.DataFrame:
    """A row for each approximate run of a published model, after the workload out of the box. Treat it as read-only.

    Runs count whose workload out of the box has as many steps as the published ones, whatever their scale. ``relative_work``
    is FLOPs over the workload's own; the rest is as in `reports.trade_offs.trade_offs`.
    """
    frame = trade_offs(runs)
    if frame.empty:
        return frame
    known = {record.run_id: (record, folder) for record, folder in zip(runs.records, runs.folders, strict=True)}
    kept = []
    for _, rows in frame.groupby("group", sort=False):
        record, _ = known[rows["run_id"].iloc[0]]
        published = SOURCE.requests.get(record.workload.name, {}).get("num_inference_steps")
        is_among = f"{record.workload.name} step_rehash" in SOURCE.claims["table_2_ucf101_fvd"].cases
        changed = rows[(rows["stack"] == OUT_OF_THE_BOX) | ~rows["is_exact"].astype(bool)]
        if is_among and record.request.get("num_inference_steps") == published and len(changed) > 1:
            kept.append(_with_scores(changed, known))
    return pd.concat(kept, ignore_index=True) if kept else frame.iloc[:0]


def _with_scores(rows: pd.DataFrame, known: dict[str, Any]) -> pd.DataFrame:
    """One group with its work, its published scores, and what its outputs were made with; published methods first."""
    facts = [_facts(*known[run_id]) for run_id in rows["run_id"]]
    rows = pd.concat([rows.reset_index(drop=True), pd.DataFrame(facts)], axis=1)
    rows["relative_work"] = rows["flops"] / rows["flops"].iloc[0]
    order = rows["stack"].map({stack: place for place, stack in enumerate(METHODS)}).fillna(len(METHODS))
    return rows.iloc[order.argsort(kind="stable")]


def _facts(record: Any, folder: Any) -> dict[str, Any]:
    method = METHODS.get(record.label)
    scores = {column: _score(claims, record.workload.name, method) for column, claims in SCORES.items()}
    weights = record.workload.weights
    needs = "no probe computes them" if weights == "pretrained" else "need pretrained weights"
    return {"scale": record.workload.scale, "weights": weights, "own_scores": needs} | steps_and_work(folder) | scores


def _score(claims: tuple[str, ...], workload: str, method: str | None) -> float | None:
    cases = [SOURCE.claims[claim].cases.get(f"{workload} {method}") for claim in claims]
    return next((case for case in cases if isinstance(case, float)), None)
