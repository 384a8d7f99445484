"""Scalars: a run's numbers as the event file that TensorBoard reads, so that ``tensorboard --logdir outputs`` compares runs.

TensorBoard names a run by its folder, which tells workload, scale and optimizations. Tags are made of the record's own words:

    latency_s/generate                    every sample of the run's own arm, one point each
    out_of_the_box/latency_s/generate     of another arm
    warmup/latency_s/generate             before the measured trials
    memory_peaks/decode/allocated_bytes   a value of the table
    operators/host_self_s                 a column's sum over the table
    operator_share/host_self_s/linear     the part of that sum that an operator class has

The file is a copy: the record and its tables hold the same numbers in full precision, here they are 32-bit floats.
"""

# Protobuf makes its classes at run time, where these checks do not see them.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from suite.record import Record, Sample
from suite.subject import STACK

EVENTS_FILE = "events.out.tfevents.genscope"
"""TensorBoard takes every file with ``tfevents`` in its name for one of its own."""

_SHARED = ("host_self_s", "device_self_s", "estimated_s", "flops")


class Scalar(NamedTuple):
    """One point: TensorBoard draws `value` over `step` under the name `tag`."""

    tag: str
    step: int
    value: float


def scalars(record: Record, tables: Mapping[str, pa.Table]) -> Iterator[Scalar]:
    """What a run's event file holds."""
    seen: Counter[str] = Counter()
    for sample in record.samples:
        tag = _tag(sample)
        yield Scalar(tag, seen[tag], sample.value)
        seen[tag] += 1
    if "memory_peaks" in tables:
        for row in tables["memory_peaks"].to_pylist():
            stage = row.pop("stage")
            for column, value in row.items():
                if value is not None:
                    yield Scalar(f"memory_peaks/{stage}/{column}", 0, value)
    if "operators" in tables:
        yield from _operators(tables["operators"])


def with_scalars(record: Record, tables: Mapping[str, pa.Table], folder: Path) -> Record:
    """Write a run's event file into `folder`; gives the record that lists it. A run without numbers has none."""
    points = list(scalars(record, tables))
    if not points:
        return record
    _write(points, datetime.fromisoformat(record.created).timestamp(), folder / EVENTS_FILE)
    return msgspec.structs.replace(record, files=sorted([*record.files, EVENTS_FILE]))


def _write(points: Iterable[Scalar], time: float, path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=time, file_version="brain.Event:2").SerializeToString())
        for tag, step, value in points:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.write(Event(wall_time=time, step=step, summary=summary).SerializeToString())


def _tag(sample: Sample) -> str:
    words = ["warmup"] if sample.warmup else []
    return "/".join([*words, *([sample.arm] if sample.arm != STACK else []), sample.metric, sample.stage])


def _operators(operators: pa.Table) -> Iterator[Scalar]:
    """Sums and shares of the columns that the run could fill: times of a host, of a device, or estimated."""
    by_class = operators.group_by("operator_class").aggregate([(column, "sum") for column in _SHARED])
    classes = by_class["operator_class"].to_pylist()
    for column in _SHARED:
        sums = [value or 0 for value in by_class[f"{column}_sum"].to_pylist()]
        total = sum(sums)
        if total:
            yield Scalar(f"operators/{column}", 0, total)
            yield from (
                Scalar(f"operator_share/{column}/{name}", 0, part / total)
                for name, part in zip(classes, sums, strict=True)
            )
