"""A few lines of text about an attribution, for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from suite.attribution.kineto import Attribution

_Row = dict[str, Any]


def summary(attribution: Attribution) -> str:
    """Time by operator class, and attention calls by kind and length."""
    classes = _grouped(attribution.operators.to_pylist(), "operator_class")
    sums = [(name, *(_sum(rows, c) for c in ("host_self_s", "device_self_s", "flops"))) for (name,), rows in classes]
    sums.sort(key=lambda row: (row[2] or 0, row[1] or 0), reverse=True)
    lines = _aligned(
        [
            ("operator class", "host ms", "device ms", "TFLOP"),
            *(
                (name, _scaled(host, 1e3), _scaled(device, 1e3), _scaled(flops, 1e-12))
                for name, host, device, flops in sums
            ),
        ]
    )
    calls = _grouped(attribution.attention.to_pylist(), "attention_kind", "key_length")
    if calls:
        lines += ["", *_aligned([("attention", "keys", "calls", "host ms", "device ms"), *map(_attention, calls)])]
    return "\n".join(lines) + "\n"


def _grouped(rows: Iterable[_Row], *columns: str) -> list[tuple[tuple[Any, ...], list[_Row]]]:
    groups: defaultdict[tuple[Any, ...], list[_Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[column] for column in columns)].append(row)
    return list(groups.items())


def _sum(rows: Iterable[_Row], column: str) -> float | None:
    """Sum of what is known; None where nothing is."""
    known = [row[column] for row in rows if row[column] is not None]
    return sum(known) if known else None


def _attention(group: tuple[tuple[Any, ...], list[_Row]]) -> tuple[str, ...]:
    (kind, length), rows = group
    times = (_scaled(_sum(rows, column), 1e3) for column in ("host_s", "device_s"))
    return kind or "unknown", "-" if length is None else str(length), str(len(rows)), *times


def _scaled(value: float | None, factor: float) -> str:
    return "-" if value is None else f"{value * factor:.3f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
