"""Rows of the operator table before they are grouped: one a span, all columns numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from suite.attribution.arrow import names_column, numbers_column, table
from suite.attribution.calls import PRECISION_NAMES
from suite.attribution.nesting import Ints
from suite.attribution.taxonomy import ATTENTION_KINDS, ATTENTION_PARTS, OPERATOR_CLASSES, WITHOUT_MATRICES
from suite.record_tables import TABLES

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
_N = TypeVar("_N", np.int64, np.float64)
_MULTIPLIES = np.array([name not in WITHOUT_MATRICES for name in OPERATOR_CLASSES])
_SUMS = ("calls", "host_ns", "device_ns", "flops", "vector_flops", "unknown")


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
    vector_flops: Ints
    unknown: Ints
    """1 where a row computes what no formula counts."""

    def take(self, rows: npt.NDArray[np.int64]) -> Rows:
        return Rows(*(getattr(self, column)[rows] for column in self.__slots__))


def operator_table(
    parts: Sequence[Rows], operators: list[str], stages: list[str], modules: list[str], has_device: bool
) -> pa.Table:
    """Group the rows and put names in place of numbers of `suite.record_tables`, in order of first appearance."""
    filled = [part for part in parts if len(part.stage)] or parts[:1]

    def column(name: str) -> Ints:
        return np.concatenate([getattr(part, name) for part in filled]) if len(filled) > 1 else getattr(filled[0], name)

    key, sizes = _one_key([column(name) for name in _KEYS])
    groups = _Groups.of(key)
    numbers: dict[str, Ints] = dict(zip(_KEYS, _apart(key[groups.first], sizes), strict=True))
    sums = {name: groups.sum(column(name)) for name in _SUMS}
    lists: dict[str, Sequence[str | None]] = {
        "stage": stages,
        "module": modules,
        "operator": operators,
        "operator_class": OPERATOR_CLASSES,
        "attention_kind": ATTENTION_KINDS,
        "attention_part": ATTENTION_PARTS,
        "precision": PRECISION_NAMES,
    }
    columns = {name: names_column(numbers[name], names) for name, names in lists.items()}
    columns["step"] = numbers_column(numbers["step"], numbers["step"] < 0)
    columns["calls"] = numbers_column(sums["calls"])
    columns["host_self_s"] = numbers_column(sums["host_ns"] / 1e9)
    if has_device:
        columns["device_self_s"] = numbers_column(sums["device_ns"] / 1e9)
    # Only shapes that nobody has give more FLOPs than an integer holds.
    overflow = {name: groups.sum(column(name).astype(np.float64)) >= 2**63 for name in ("flops", "vector_flops")}
    unknown = sums["unknown"] > 0
    multiplies = unknown & _MULTIPLIES[numbers["operator_class"]]
    columns["flops"] = numbers_column(sums["flops"], multiplies | overflow["flops"])
    columns["vector_flops"] = numbers_column(sums["vector_flops"], unknown | overflow["vector_flops"])
    return table(TABLES["operators"], columns, len(groups.first))


@dataclass(frozen=True, slots=True)
class _Groups:
    """Rows with equal keys, in order of first appearance. Not Arrow's own grouping, which would load pandas."""

    order: Ints
    """Rows, equal keys together."""
    starts: Ints
    """Where in this order each group begins."""
    rank: Ints
    """Groups by first appearance."""
    first: Ints
    """The first row of each group, in the order of the table."""

    @classmethod
    def of(cls, key: Ints) -> _Groups:
        order = np.argsort(key, kind="stable")
        is_start = np.diff(key[order], prepend=key[order][:1] - 1) != 0
        starts = np.flatnonzero(is_start)
        rank = np.argsort(order[starts])
        return cls(order, starts, rank, order[starts][rank])

    def sum(self, column: npt.NDArray[_N]) -> npt.NDArray[_N]:
        return np.add.reduceat(column[self.order], self.starts)[self.rank] if len(column) else column


def _one_key(columns: list[Ints]) -> tuple[Ints, list[int]]:
    """One number for each combination, which groups several times faster than eight columns do."""
    sizes = [int(column.max(initial=-1)) + 2 for column in columns]
    assert prod(sizes) < 2**63, "stages, steps, modules and operators have more combinations than a number can tell"
    key = np.zeros(len(columns[0]), np.int64)
    for column, size in zip(columns, sizes, strict=True):
        key = key * size + (column + 1)
    return key, sizes


def _apart(key: Ints, sizes: list[int]) -> list[Ints]:
    """The columns that `_one_key` was made of."""
    columns = []
    for size in reversed(sizes):
        key, column = np.divmod(key, size)
        columns.append(column - 1)
    return columns[::-1]
