"""Traces written by hand, with known answers: times in microseconds from an origin like the profiler's."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import ROOT

from suite.attribution.kineto import Attribution, attribute
from suite.attribution.marks import attention_mark, module_mark, stage_mark
from suite.attribution.trace import Trace, read_trace

ORIGIN_US = 4375452181130.591
REAL_TRACES = ROOT.parent / "shared" / "traces"


class HandmadeTrace:
    """Collects events; `read` writes them as a file and reads that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self.document: dict[str, Any] = {"schemaVersion": 1, "deviceProperties": []}

    def span(
        self, category: str, name: str, start: float, end: float, *, pid: Any = 7, tid: Any = 7, **args: Any
    ) -> HandmadeTrace:
        times = {"ts": round(ORIGIN_US + start, 3), "dur": round(end - start, 3)}
        self.events.append({"ph": "X", "cat": category, "name": name, "pid": pid, "tid": tid, **times, "args": args})
        return self

    frame = partialmethod(span, "python_function")
    annotation = partialmethod(span, "user_annotation")

    def operator(
        self, name: str, start: float, end: float, *dims: Any, types: Any = "float", **rest: Any
    ) -> HandmadeTrace:
        """An operator on tensors of these shapes, all of one type."""
        args = {"Input Dims": list(dims), "Input type": [types if shape else "" for shape in dims]}
        return self.span("cpu_op", name, start, end, **(args | rest))

    def stage(self, name: str, start: float, end: float, **rest: Any) -> HandmadeTrace:
        return self.span("cpu_op", stage_mark(name), start, end, **rest)

    def module(self, path: str, start: float, end: float) -> HandmadeTrace:
        return self.span("cpu_op", module_mark(path), start, end)

    def attention(self, kind: str, path: str, start: float, end: float) -> HandmadeTrace:
        return self.span("cpu_op", attention_mark(kind, path), start, end)

    def launch(
        self, start: float, end: float, correlation: int, name: str = "cudaLaunchKernel", **rest: Any
    ) -> HandmadeTrace:
        return self.span("cuda_runtime", name, start, end, correlation=correlation, **rest)

    def kernel(self, name: str, start: float, end: float, category: str = "kernel", **args: Any) -> HandmadeTrace:
        return self.span(category, name, start, end, pid=0, tid=20, **args)

    def memory(
        self, time: float, num_bytes: int, device_type: int = 0, allocated: int = 0, reserved: int = 0
    ) -> HandmadeTrace:
        args = {
            "Bytes": num_bytes,
            "Device Type": device_type,
            "Device Id": device_type - 1,
            "Total Allocated": allocated,
            "Total Reserved": reserved,
        }
        times = {"ts": round(ORIGIN_US + time, 3)}
        event = {"ph": "i", "cat": "cpu_instant_event", "name": "[memory]", "pid": 7, "tid": 7, **times, "args": args}
        self.events.append(event)
        return self

    @property
    def path(self) -> Path:
        return self.folder / "handmade.json"

    def read(self) -> Trace:
        self.path.write_text(json.dumps(self.document | {"traceEvents": self.events}))
        return read_trace(self.path)

    def attribute(self, **options: Any) -> Attribution:
        return attribute(self.read(), **options)


def rows(table: pa.Table, **wanted: Any) -> list[dict[str, Any]]:
    """Rows of a table in which these columns have these values."""
    return [row for row in table.to_pylist() if all(row[column] == value for column, value in wanted.items())]


def only(table: pa.Table, **wanted: Any) -> dict[str, Any]:
    """The one such row."""
    (row,) = rows(table, **wanted)
    return row


def total(table: pa.Table, column: str, where: Callable[[dict[str, Any]], bool] = lambda row: True) -> float:
    """Sum of a column over some rows; nulls count nothing."""
    return sum(row[column] or 0 for row in table.to_pylist() if where(row))


def real_trace(name: str) -> Path:
    """A trace taken on a GPU, of those kept beside the project; the test is skipped where they are not."""
    path = REAL_TRACES / f"h100_{name}.json.gz"
    if not path.exists():
        pytest.skip(f"real CUDA traces are kept outside the project, and {path.name} is not there")
    return path
