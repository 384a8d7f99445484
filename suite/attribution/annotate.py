"""A trace for people: what TensorBoard's profiler plugin and Perfetto make of our marks.

The profiler records our marks as if they were operators, since that is by far its cheapest span. In a trace that is kept they
become what they are. Stages become annotations, which no tool counts as operators. Modules become calls of modules, which is
what the plugin's module view is made of. All keep their names, so `suite.attribution` reads the file as before. Beside the
threads, a process of its own shows stages and attention on tracks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
from msgspec import Raw

from suite.attribution.decode import repaired
from suite.attribution.marks import PREFIX, Mark, parse
from suite.attribution.trace import Trace
from suite.attribution.tracks import tracks

PROCESS = 2_000_000_000
"""Number of the process that holds the tracks; larger than any that Linux or Kineto gives."""
CATEGORY = "genscope"
"""Category of what is on the tracks, which other tools, and our reader, leave alone."""

_NO_PARENT = -1
_EXTERNAL_ID = re.compile(rb'("External id":\s*)(\d+)')

_Fields = dict[str, Raw]
_encode = msgspec.json.Encoder(decimal_format="number").encode


def annotated(text: bytes, trace: Trace, num_frames: int | None = None) -> bytes:
    """The trace file's text, annotated.

    Args:
        text: the file as the profiler wrote it.
        trace: what `read_trace` makes of it.
        num_frames: frames of the video, as for `suite.attribution.kineto.attribute`.

    Raises:
        msgspec.DecodeError: it is no trace.
    """
    document = msgspec.json.decode(repaired(text), type=_Fields)
    events = msgspec.json.decode(document["traceEvents"], type=list[Raw])
    marks = _marks(events)
    orphaned = {bytes(_field(fields, "External id")) for _, fields in marks.values()}
    _turn_into_what_they_are(marks)
    written = [
        _encode(marks[place][1]) if place in marks else _without_owner(bytes(event), orphaned)
        for place, event in enumerate(events)
    ]
    written += [_encode(event) for event in _track_events(trace, num_frames)]
    document["traceEvents"] = Raw(b"[\n" + b",\n".join(written) + b"\n]")
    return _encode(document)


def _marks(events: Sequence[Raw]) -> dict[int, tuple[Mark, _Fields]]:
    """The marks among the events, by place."""
    found = {}
    prefix = f'"{PREFIX}'.encode()
    for place, event in enumerate(events):
        if prefix in bytes(event):
            fields = msgspec.json.decode(event, type=_Fields)
            mark = parse(msgspec.json.decode(fields["name"], type=str)) if "dur" in fields else None
            if mark is not None:
                found[place] = mark, fields
    return found


def _turn_into_what_they_are(marks: dict[int, tuple[Mark, _Fields]]) -> None:
    """Give the marks their category, and those of modules what the plugin builds its tree of modules from."""
    for mark, fields in marks.values():
        fields["cat"] = Raw(_encode("user_annotation" if mark.stage else "python_function"))
    modules = [fields for mark, fields in marks.values() if mark.module is not None]
    numbers: defaultdict[bytes, int] = defaultdict(count().__next__)
    for number, (fields, parent) in enumerate(_with_parents(modules)):
        told = {"Python id": number, "Python parent id": parent, "Python module id": numbers[bytes(fields["name"])]}
        args = msgspec.json.decode(fields["args"], type=_Fields) if "args" in fields else {}
        fields["args"] = Raw(_encode(args | told))


def _with_parents(spans: Sequence[_Fields]) -> Iterator[tuple[_Fields, int]]:
    """The spans in the order in which they began, each with the number in this order of the one around it on its thread."""
    timed = []
    for fields in spans:
        start = msgspec.json.decode(fields["ts"], type=Decimal)
        end = start + msgspec.json.decode(fields["dur"], type=Decimal)
        timed.append((start, -end, (bytes(fields["pid"]), bytes(fields["tid"])), fields))
    open_spans: defaultdict[tuple[bytes, bytes], list[tuple[Decimal, int]]] = defaultdict(list)
    for number, (start, minus_end, thread, fields) in enumerate(sorted(timed, key=lambda span: span[:2])):
        around = open_spans[thread]
        while around and around[-1][0] <= start:
            around.pop()
        yield fields, around[-1][1] if around else _NO_PARENT
        around.append((-minus_end, number))


def _field(fields: _Fields, name: str) -> bytes:
    """One of an event's details, as the file has it; empty where it has none."""
    args = msgspec.json.decode(fields["args"], type=_Fields) if "args" in fields else {}
    return bytes(args.get(name, b""))


def _without_owner(event: bytes, orphaned: set[bytes]) -> bytes:
    """An event that names a mark as the operator around it names none, as it would had there been no mark."""
    if b'"correlation"' not in event:
        return event
    return _EXTERNAL_ID.sub(lambda found: found[1] + (b"0" if found[2] in orphaned else found[2]), event, count=1)


def _track_events(trace: Trace, num_frames: int | None) -> Iterator[dict[str, Any]]:
    """The tracks as events, in a process that viewers show first."""
    found = tracks(trace, num_frames)
    if not found:
        return
    yield _named("process_name", PROCESS, name="genscope")
    yield _named("process_sort_index", PROCESS, sort_index=-1)
    for number, (name, slices) in enumerate(found, PROCESS + 1):
        yield _named("thread_name", number, name=name)
        yield _named("thread_sort_index", number, sort_index=number)
        for one in slices:
            yield {
                "ph": "X",
                "cat": CATEGORY,
                "name": one.name,
                "pid": PROCESS,
                "tid": number,
                "ts": Decimal(one.start_ns) / 1000,
                "dur": Decimal(one.end_ns - one.start_ns) / 1000,
                "args": one.args,
            }


def _named(what: str, thread: int, **args: Any) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": PROCESS, "tid": thread, "ts": 0, "args": args}
