"""What the models are and what one generation takes (Golden et al. 2024, Table I), told by their records."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.breakdown import all_totals
from reports.comparison import in_order
from reports.memory import stage_peaks
from reports.table import count, quantity, text

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

SECTION, ORDER = "setup", 20
TITLE = "Taxonomy"
CAPTION = (
    "One run of each workload. Layers, widths (heads times their dimension) and sequence lengths are those of the denoiser's "
    "attention among its own positions (spatial, joint or causal; cross where a layer's keys hold its positions and the text); "
    "frames are temporal attention's lengths, text the key lengths of cross-attention. Channels and residual blocks a level "
    "are those of a U-Net's configuration. To the right: what one generation takes."
)
COLUMNS = (
    text("Workload", "group"),
    text("Family", "family"),
    text("Stack", "stack"),
    count("Parameters", "num_parameters"),
    count("Of the denoiser", "denoiser_parameters"),
    count("Attention layers", "num_layers"),
    text("Width", "widths"),
    text("Head dimension", "head_dims"),
    text("Sequence lengths", "lengths"),
    text("Frames", "frames"),
    text("Text", "text_lengths"),
    text("Channels", "channels"),
    text("Residual blocks", "num_res_blocks"),
    count("Steps", "num_steps"),
    quantity("FLOPs", "flops", "flops"),
    quantity("Peak memory", "peak_bytes", "bytes"),
    quantity("Time", "seconds", "s"),
    text("Time is", "clock"),
)
MOST = 5
_CHANNELS, _BLOCKS = ("block_out_channels", "channels"), ("layers_per_block", "num_res_blocks")


def build(runs: Runs) -> pd.DataFrame:
    """A row for each group: its first finished run; parameters, tokens, FLOPs, bytes, seconds."""
    records = {record.run_id: record for record in runs.records}
    ordered = in_order(runs)
    ordered = ordered[ordered["is_complete"]].drop_duplicates("group")
    if ordered.empty:
        return pd.DataFrame()
    attention, spent = _attention(runs, list(ordered["run_id"])), _spent(runs)
    rows = []
    for run in ordered.to_dict("records"):
        record = records[run["run_id"]]
        row = {key: run[key] for key in ("run_id", "group", "family", "stack")} | _parts(record)
        channels, blocks = _unet(record)
        row |= {"channels": channels, "num_res_blocks": blocks}
        row |= {"num_steps": record.profile.num_steps if record.profile else None}
        rows.append(row | attention.get(run["run_id"], {}) | spent.get(run["run_id"], {}))
    return pd.DataFrame(rows)


def _parts(record: Record) -> dict[str, int | None]:
    parts = record.workload.parts
    denoiser = parts.get("denoiser")
    return {
        "num_parameters": sum(part.num_parameters for part in parts.values()) or None,
        "denoiser_parameters": denoiser.num_parameters if denoiser else None,
    }


def _attention(runs: Runs, run_ids: list[str]) -> dict[str, dict[str, Any]]:
    """Of every run the shape of the denoiser's attention."""
    columns = ["module", "attention_kind", "heads", "head_dim", "query_length", "key_length"]
    calls = runs.table("attention", run_ids, columns).astype({"run_id": object, "attention_kind": object})
    calls = calls[calls["module"].astype(str).str.startswith("denoiser")].drop_duplicates()
    by_run: dict[str, list[dict[str, Any]]] = {}
    for call in calls.to_dict("records"):
        by_run.setdefault(call["run_id"], []).append(call)  # pyright: ignore[reportArgumentType]
    return {run_id: _shape(own) for run_id, own in by_run.items()}


def _shape(calls: list[dict[str, Any]]) -> dict[str, Any]:
    temporal, cross = ([call for call in calls if call["attention_kind"] == kind] for kind in ("temporal", "cross"))
    own = [call for call in calls if call["attention_kind"] not in ("temporal", "cross")] or cross
    is_causal = any(call["attention_kind"] == "causal" for call in own)
    return {
        "num_layers": len({call["module"] for call in own}),
        "widths": _listed(call["heads"] * call["head_dim"] for call in own),
        "head_dims": _listed(call["head_dim"] for call in own),
        "lengths": _listed(call["key_length" if is_causal else "query_length"] for call in own),
        "frames": _listed(call["query_length"] for call in temporal),
        "text_lengths": _listed(call["key_length"] for call in cross),
    }


def _spent(runs: Runs) -> dict[str, dict[str, Any]]:
    """FLOPs, peak bytes and seconds of every run; what is not known is None."""
    totals = all_totals(runs)
    found = totals.groupby("run_id", observed=True)[["flops", "seconds"]].sum(min_count=1)
    found = found.join(totals.drop_duplicates("run_id").set_index("run_id")["clock"])
    peaks = stage_peaks(runs)
    if len(peaks):
        found = found.join(peaks[peaks["stage"] == "generate"].set_index("run_id")["peak_bytes"])
    return {str(run_id): row for run_id, row in found.to_dict("index").items()}


def _unet(record: Record) -> tuple[str | None, str | None]:
    """Channels and residual blocks of each level of the U-Net that denoises, as its configuration has them."""
    workload = record.config.get("workload")
    dimensions = workload.get("dimensions") if isinstance(workload, Mapping) else None
    for path, node in _mappings(dimensions):
        channels, blocks = ([node[key] for key in keys if key in node] for keys in (_CHANNELS, _BLOCKS))
        if ("unet" in path or path == ("decoder",)) and channels and blocks:
            return ", ".join(map(str, channels[0])), str(blocks[0])
    return None, None


def _mappings(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every mapping inside a configuration, with the keys that lead to it."""
    if isinstance(node, Mapping):
        yield path, node
        for key, value in node.items():
            yield from _mappings(value, (*path, str(key)))


def _listed(values: Iterable[float]) -> str | None:
    """Few different values as they are, largest first; many by their ends."""
    found = sorted({int(value) for value in values if pd.notna(value)}, reverse=True)
    if len(found) > MOST:
        return f"{found[-1]} to {found[0]}"
    return ", ".join(map(str, found)) or None
