"""Times that nobody measured: every simulated run on every known machine, by stage and operator class.

Frames are kept between calls: treat them as read-only.
"""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.breakdown import segments
from reports.comparison import identities
from reports.reading import read_table
from suite.estimates import known_machines, own_machine
from suite.machine import Machine
from suite.roofline import BOUNDS, COLUMNS, estimate, work
from suite.tensor_cores import Tf32
from suite.units import percent

if TYPE_CHECKING:
    import pyarrow as pa

    from reports.runs import Runs
    from suite.record import Record

SUMS = ["seconds", "flops", "bytes", *(f"{bound}_s" for bound in BOUNDS)]
_KEYS = ["stage", "segment"]


@lru_cache(maxsize=4)
def estimates(runs: Runs) -> pd.DataFrame:
    """Rows of (run, machine, stage, segment): ``seconds`` in all, and by what limits them (``compute_s``, ``memory_s``,
    ``launch_s``, ``link_s``), ``flops`` and ``bytes``. Unknown seconds are NaN. Measured runs tell no bytes and have none.

    Every run is on every known machine; its own replaces the known one of that name.
    """
    frames = []
    for record, folder in zip(runs.records, runs.folders, strict=True):
        if record.execution != "simulate":
            continue
        rows = read_table(folder, "operators", list(dict.fromkeys(["stage", "attention_part", *COLUMNS])))
        if rows.num_rows:
            frames.append(_sums(*distinct(rows), record))
    if not frames:
        return pd.DataFrame()
    return identities(runs).merge(pd.concat(frames, ignore_index=True), on="run_id", sort=False)


def added(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Sums of a frame's numbers by a column, in order of appearance; one unknown addend leaves a sum unknown."""
    return frame.groupby(key, sort=False)[SUMS].agg(lambda column: column.sum(skipna=False))


def bound_words(row: Mapping[str, Any]) -> str | None:
    """What most of the time of a row of sums is limited by, with its share."""
    parts = {bound: row[f"{bound}_s"] for bound in BOUNDS}
    whole = sum(parts.values())
    if not whole > 0:
        return None
    largest = max(parts, key=lambda name: parts[name])
    return f"{largest} ({percent(parts[largest] / whole)})"


def _machines(record: Record) -> list[Machine]:
    own = own_machine(record)
    known = {machine.name: machine for machine in known_machines().values()}
    return list((known | ({} if own is None else {own.name: own})).values())


def distinct(rows: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Each different row once, and how often it occurs: a step of a generation is mostly like the one before it."""
    one = rows.unify_dictionaries().combine_chunks()  # Arrow cannot group by dictionaries that differ between chunks
    counted = one.group_by(rows.column_names, use_threads=False).aggregate([([], "count_all")])
    return counted.select(rows.column_names), counted["count_all"].to_numpy()


def _sums(rows: pa.Table, times: np.ndarray, record: Record) -> pd.DataFrame:
    """The rows of one run, each `times` over, on every machine, summed by stage and segment."""
    allow_tf32 = Tf32.of(record.config)
    places = rows.select(["stage", "operator_class", "attention_part"]).to_pandas()
    places["segment"] = segments(places)
    group, first = _groups(places[_KEYS])
    flops, moved, _ = work(rows)
    frames = []
    for machine in _machines(record):
        found = estimate(rows, machine, allow_tf32=allow_tf32, times=times)
        columns = {"seconds": found.seconds, "flops": flops, "bytes": moved}
        columns |= {f"{bound}_s": found.limited_by(bound) for bound in BOUNDS}
        sums = {name: np.bincount(group, weights=column * times) for name, column in columns.items()}
        frames.append(first.assign(run_id=record.run_id, machine=machine.name, **sums))
    return pd.concat(frames, ignore_index=True)


def _groups(keys: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """The number of every row's group, and each group's keys in that order."""
    group = keys.groupby(_KEYS, sort=False, observed=True, dropna=False).ngroup().to_numpy()
    _, first = np.unique(group, return_index=True)
    return group, keys.iloc[first].astype(object).reset_index(drop=True)
