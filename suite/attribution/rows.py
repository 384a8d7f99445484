"""Rows of the operator table before they are grouped: one a span, all columns numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from suite.attribution.calls import PRECISION_NAMES
from suite.attribution.nesting import Ints
from suite.attribution.taxonomy import ATTENTION_KINDS, ATTENTION_PARTS, OPERATOR_CLASSES
from suite.record import TABLES

_KEYS = (
    "stage",
    "step",
    "module",
    "operator",
    "operator_class",
    "attention_kind",
    "attention_part",
    "precision",
)
_SUMS = ("calls", "host_ns", "device_ns", "flops", "unknown")


@dataclass(frozen=True, slots=True)
class Rows:
    """The keys point into lists of names, -1 is none; the rest is summed over rows of the same keys."""

    stage: Ints
    step: Ints
    module: Ints
    operator: Ints
    operator_class: Ints
    attention_kind: Ints
    attention_part: Ints
    precision: Ints
    calls: Ints
    host_ns: Ints
    device_ns: Ints
    flops: Ints
    unknown: Ints
    """1 where a row computes what no formula counts."""

    def take(self, rows: npt.NDArray[np.int64]) -> Rows:
        return Rows(*(getattr(self, column)[rows] for column in self.__slots__))


def operator_table(
    parts: Sequence[Rows], operators: list[str], stages: list[str], modules: list[str], has_device: bool
) -> pa.Table:
    """Group the rows and put names in place of numbers, as `suite.record.TABLES` has it, in order of first appearance."""
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in (*_KEYS, *_SUMS)}
    grouped = pa.table(columns).group_by(list(_KEYS), use_threads=False).aggregate([(name, "sum") for name in _SUMS])
    lists = {
        "stage": stages,
        "module": modules,
        "operator": operators,
        "operator_class": OPERATOR_CLASSES,
        "attention_kind": ATTENTION_KINDS,
        "attention_part": ATTENTION_PARTS,
        "precision": PRECISION_NAMES,
    }
    named: dict[str, pa.Array | pa.ChunkedArray] = {key: _names(grouped[key], names) for key, names in lists.items()}
    step = grouped["step"]
    named["step"] = pc.if_else(pc.greater_equal(step, 0), step, None)
    named["calls"] = grouped["calls_sum"]
    named["host_self_s"] = pc.divide(pc.cast(grouped["host_ns_sum"], pa.float64()), 1e9)
    if has_device:
        named["device_self_s"] = pc.divide(pc.cast(grouped["device_ns_sum"], pa.float64()), 1e9)
    named["flops"] = pc.if_else(pc.equal(grouped["unknown_sum"], 0), grouped["flops_sum"], None)
    schema = TABLES["operators"]
    nothing = pa.nulls(len(grouped))
    return pa.table({name: named.get(name, nothing) for name in schema.names}).cast(schema)


def _names(numbers: pa.ChunkedArray, names: Sequence[str | None]) -> pa.Array:
    return pa.array(names, pa.string()).take(pc.if_else(pc.greater_equal(numbers, 0), numbers, None).combine_chunks())
