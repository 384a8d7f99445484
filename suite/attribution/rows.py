"""Rows of the operator table before they are grouped: one a span, all columns numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
    named = {key: _names(_numpy(grouped, key), names) for key, names in lists.items()}
    step = _numpy(grouped, "step")
    named["step"] = pa.array(step, mask=step < 0)
    named["calls"] = pa.array(_numpy(grouped, "calls_sum"))
    named["host_self_s"] = pa.array(_numpy(grouped, "host_ns_sum") / 1e9)
    if has_device:
        named["device_self_s"] = pa.array(_numpy(grouped, "device_ns_sum") / 1e9)
    named["flops"] = pa.array(_numpy(grouped, "flops_sum"), mask=_numpy(grouped, "unknown_sum") > 0)
    schema = TABLES["operators"]
    nothing = pa.nulls(len(grouped))
    return pa.table({name: named.get(name, nothing) for name in schema.names}).cast(schema)


def _numpy(table: pa.Table, column: str) -> Ints:
    return table[column].to_numpy()


def _names(numbers: Ints, names: Sequence[str | None]) -> pa.Array:
    """Names for numbers; the null that -1 stands for is put last."""
    return pa.array([*names, None], pa.string()).take(pa.array(np.where(numbers < 0, len(names), numbers)))
