"""The tables of a record from what a simulation found, as arrays: a long decoding loop has millions of rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from suite.attribution.taxonomy import WITHOUT_MATRICES
from suite.record_tables import TABLES
from suite.simulation.caching_allocator import CachingAllocator
from suite.simulation.memory_tables import ShortOfMemory, memory_tables
from suite.simulation.tally import Cost, Ints, Place, RowKey, Segment


@dataclass(frozen=True)
class Simulation:
    """What a simulated generation told."""

    operators: pa.Table
    attention: pa.Table
    memory: pa.Table
    memory_peaks: pa.Table
    out_of_memory: ShortOfMemory | None
    """Where the device had too little memory; the tables go on as on one with as much more."""
    num_steps: int | None
    operators_without_flops: list[str]


def simulation_tables(found: Sequence[Segment], weights_bytes: int | None, allocator: CachingAllocator) -> Simulation:
    """Operators grouped by stage, step and row, in order of first appearance; attention calls and memory in time order.

    Args:
        found: what happened, in order.
        weights_bytes: that the parts hold; None where they do not hold them all the time.
        allocator: of the device that is simulated, new.
    """
    steps = [segment.step for segment in found if segment.step is not None]
    memory = memory_tables(found, weights_bytes, allocator)
    operators = _operators(found)
    uncounted = operators.filter(operators.column("vector_flops").is_null()).column("operator")
    return Simulation(
        operators=operators,
        attention=_attention(found),
        memory=memory.memory,
        memory_peaks=memory.memory_peaks,
        out_of_memory=memory.out_of_memory,
        num_steps=max(steps) + 1 if steps else None,
        operators_without_flops=sorted(uncounted.unique().to_pylist()),
    )


def _operators(found: Sequence[Segment]) -> pa.Table:
    places: dict[Place, int] = {}
    rows: dict[RowKey, int] = {}
    rows_of: dict[int, Ints] = {}  # replayed spells share their keys: look each set up once
    place_ids, row_ids = [], []
    for segment in found:
        spell = segment.spell
        if id(spell.keys) not in rows_of:
            rows_of[id(spell.keys)] = np.array([rows.setdefault(key, len(rows)) for key in spell.keys], np.int64)
        row_ids.append(rows_of[id(spell.keys)])
        place_ids.append(np.full(len(spell.keys), places.setdefault(segment.place, len(places))))
    keys = np.concatenate(place_ids) * len(rows) + np.concatenate(row_ids)
    groups, inverse = np.unique(keys, return_inverse=True)
    sums = np.zeros((len(groups), len(Cost._fields)), np.int64)
    np.add.at(sums, inverse, np.concatenate([segment.spell.costs for segment in found]))
    return _operator_table(list(places), list(rows), groups, sums)


def _operator_table(places: list[Place], rows: list[RowKey], groups: Ints, sums: Ints) -> pa.Table:
    place, row = groups // len(rows), groups % len(rows)
    columns: dict[str, pa.Array] = {
        "stage": _spread([stage for stage, _ in places], place, pa.string()),
        "step": _spread([step for _, step in places], place, pa.int32()),
    }
    for index, name in enumerate(RowKey._fields):
        columns[name] = _spread([key[index] for key in rows], row, pa.string())
    for index, name in enumerate(Cost._fields):
        columns[name] = pa.array(sums[:, index])
    unknown = columns.pop("num_unknown").to_numpy() > 0
    multiplies = np.array([key.operator_class not in WITHOUT_MATRICES for key in rows])[row]
    masks = {"flops": unknown & multiplies, "tile_flops": unknown & multiplies, "vector_flops": unknown}
    for name, mask in masks.items():
        columns[name] = pa.array(columns[name].to_numpy(), mask=mask)
    schema = TABLES["operators"]
    return pa.table(
        [columns.get(name, pa.nulls(len(groups), schema.field(name).type)) for name in schema.names], schema
    )


def without_bytes(operators: pa.Table, paths: Collection[str]) -> pa.Table:
    """The operators, of which those inside these modules move no bytes of the device: how many the host moves is not known."""
    modules = operators.column("module").to_pylist()
    elsewhere = np.array([any(f"{module}.".startswith(f"{path}.") for path in paths) for module in modules], bool)
    for name in ("bytes_read", "bytes_written"):
        index = operators.schema.get_field_index(name)
        operators = operators.set_column(index, name, pa.array(operators.column(name).to_numpy(), mask=elsewhere))
    return operators


def _spread(values: Sequence[object], index: Ints, kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind).take(pa.array(index))


def _attention(found: Sequence[Segment]) -> pa.Table:
    calls = [
        {"stage": stage, "step": step, **call._asdict()}
        for segment in found
        for stage, step in (segment.place,)
        for call in segment.spell.attention
    ]
    rows = [{"call": index, **call} for index, call in enumerate(calls)]
    return pa.Table.from_pylist(rows, schema=TABLES["attention"])
