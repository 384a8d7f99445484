"""A few lines of text about an attribution, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from suite.attribution.kineto import Attribution


def summary(attribution: Attribution) -> str:
    """Time by operator class, and attention calls by kind and length."""
    by_class = (
        attribution.operators.group_by("operator_class")
        .aggregate([("host_self_s", "sum"), ("device_self_s", "sum"), ("flops", "sum")])
        .sort_by([("device_self_s_sum", "descending"), ("host_self_s_sum", "descending")])
    )
    classes = [("operator class", "host ms", "device ms", "TFLOP")]
    for row in by_class.to_pylist():
        values = (_milli(row["host_self_s_sum"]), _milli(row["device_self_s_sum"]), _tera(row["flops_sum"]))
        classes.append((row["operator_class"], *values))
    lines = _aligned(classes)
    if len(attribution.attention):
        lines += [
            "",
            *_aligned([("attention", "keys", "calls", "host ms", "device ms"), *_attention(attribution.attention)]),
        ]
    return "\n".join(lines) + "\n"


def _attention(calls: pa.Table) -> Iterable[tuple[str, ...]]:
    grouped = calls.group_by(["attention_kind", "key_length"], use_threads=False).aggregate(
        [("call", "count"), ("host_s", "sum"), ("device_s", "sum")]
    )
    for row in grouped.to_pylist():
        yield (
            row["attention_kind"] or "unknown",
            str(row["key_length"] or "-"),
            str(row["call_count"]),
            _milli(row["host_s_sum"]),
            _milli(row["device_s_sum"]),
        )


def _milli(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.3f}"


def _tera(flops: int | None) -> str:
    return f"{flops / 1e12:.4f}" if flops else "-"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
