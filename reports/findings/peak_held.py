"""A stack that saves memory somewhere leaves the run's peak where it was, since another stage holds it."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from reports.comparison import in_order
from reports.facts import OUT_OF_THE_BOX
from reports.findings.finding import Finding
from reports.memory import COUNTERS
from reports.style import readable
from suite.peaks import WHOLE, Peak, peak_of
from suite.units import quantity

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 45, "Memory saved does not lower the peak"
MIN_SAVING = 0.02
THRESHOLD = "2 % off a stage, or an optimization for memory, and nothing off the peak out of the box"
FOR_MEMORY = frozenset(
    {
        "auto_slices", "decode_chunk_size", "feature_slicer", "forward_chunking", "naive_slicing", "operator_grouping",
        "operator_grouping_recompute", "split_inference", "streamlined", "vae_slicing",
    }
)  # fmt: skip
"""Optimizations that are there to save memory: they are told even where they save none. Of others what they save tells."""


def find(runs: Runs) -> Iterator[Finding]:
    """Runs beside the one out of the box of their group; the value is the peak over that one's."""
    tables = _tables(runs)
    finished = in_order(runs)
    finished = finished[finished["is_complete"] & finished["run_id"].isin(list(tables))]
    own = finished[finished["stack"] == OUT_OF_THE_BOX].drop_duplicates("group").set_index("group")["run_id"]
    names = {record.run_id: frozenset(record.stack) for record in runs.records}
    for run in finished[finished["stack"] != OUT_OF_THE_BOX].to_dict("records"):
        run_id, group = str(run["run_id"]), run["group"]
        if group in own.index:
            yield from _held(run_id, tables[run_id], tables[own[group]], is_meant=bool(names[run_id] & FOR_MEMORY))


def _held(run_id: str, table: pa.Table, own: pa.Table, *, is_meant: bool) -> Iterator[Finding]:
    counter = _counter(table, own)
    after, before = (None if counter is None else peak_of(one, counter) for one in (table, own))
    if counter is None or after is None or before is None or _is_lowered(after, before):
        return
    saved = _most_saved(_sizes(table, counter), _sizes(own, counter))
    if not (saved or is_meant):
        return
    evidence = (
        f"the peak is {quantity(after.size, 'bytes')}, no less than out of the box ({quantity(before.size, 'bytes')}): "
        f"{readable(after.holder)} {'holds' if len(after.stages) == 1 else 'hold'} it"
    )
    yield Finding(run_id, after.size / before.size, f"{evidence}; {saved or 'no stage needs less'}.")


def _is_lowered(after: Peak, before: Peak) -> bool:
    """As the end of a run tells it: by as much as can be seen in the numbers that are printed."""
    return after.size < before.size and quantity(after.size, "bytes") != quantity(before.size, "bytes")


def _most_saved(after: dict[str, float], before: dict[str, float]) -> str:
    """The stage of which the stack takes the largest share, in words; empty where it takes next to nothing."""
    shares = {stage: 1 - after[stage] / size for stage, size in before.items() if stage in after and size}
    most = max(shares, key=lambda stage: shares[stage], default=None)
    if most is None or shares[most] < MIN_SAVING:
        return ""
    return f"{readable(most)} needs {quantity(after[most], 'bytes')} in place of {quantity(before[most], 'bytes')}"


def _sizes(table: pa.Table, counter: str) -> dict[str, float]:
    """Bytes by stage, the whole generation left out."""
    sizes = zip(table.column("stage").to_pylist(), table.column(f"{counter}_bytes").to_pylist(), strict=True)
    return {stage: size for stage, size in sizes if size is not None and stage != WHOLE}


def _counter(*tables: pa.Table) -> str | None:
    """The best counter that all of them have."""
    names = [column.removesuffix("_bytes") for column in COUNTERS]
    return next((name for name in names if all(peak_of(table, name) for table in tables)), None)


def _tables(runs: Runs) -> dict[str, pa.Table]:
    """The table of peaks of each run that has one."""
    peaks = runs.memory_peaks
    columns = ["stage", *COUNTERS]
    return {
        str(run_id): pa.Table.from_pandas(rows[columns], preserve_index=False)
        for run_id, rows in peaks.groupby("run_id", observed=True)
    }
