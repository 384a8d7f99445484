"""Decoding of trace files: Chrome's JSON, plain or gzipped, into typed events with only the fields that are needed.

The structs are not tracked by the garbage collector, which would else spend half of the time on them.
"""

from __future__ import annotations

import gzip
import re
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Raw

_EXACT_LIMIT_US = 2.0**42
"""Below this many microseconds a double times 1000 rounds to the very nanosecond that was written."""

_NOT_JSON = re.compile(rb":\s*-?(?:inf|nan|Infinity|NaN)(?=\s*[,}])")
"""Numbers that some versions of the exporter write although JSON has no word for them."""


class TraceError(ValueError):
    """A file that should hold a trace holds none, or one that cannot be read. The message is one sentence."""


_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_LONGEST_US = 9.2e15
"""More nanoseconds than these microseconds do not fit an integer column."""


class Args(msgspec.Struct, gc=False, frozen=True):
    """Details of one event; lists stay JSON texts, since few of them differ."""

    external_id: _Int = msgspec.field(name="External id", default=-1)
    correlation: _Int = -1
    dims: Raw = msgspec.field(name="Input Dims", default=Raw())
    types: Raw = msgspec.field(name="Input type", default=Raw())
    concrete: Raw = msgspec.field(name="Concrete Inputs", default=Raw())
    num_bytes: _Int = msgspec.field(name="Bytes", default=0)
    device_type: _Int = msgspec.field(name="Device Type", default=0)
    device_id: _Int = msgspec.field(name="Device Id", default=-1)
    total_allocated: _Int = msgspec.field(name="Total Allocated", default=-1)
    total_reserved: _Int = msgspec.field(name="Total Reserved", default=-1)


NO_ARGS = Args()


class Event(msgspec.Struct, gc=False, frozen=True):
    """One event, its times as floats, which are quick to decode."""

    ph: str = ""
    cat: str = ""
    name: str = ""
    pid: int | str | None = None
    tid: int | str | None = None
    ts: Annotated[float, Meta(ge=-_LONGEST_US, le=_LONGEST_US)] | None = None
    dur: Annotated[float, Meta(le=_LONGEST_US)] | None = None
    args: Args | None = None


class ExactEvent(Event, gc=False, frozen=True):
    """One event, its times as decimals, for clocks that count so far that a float would lose nanoseconds."""

    ts: Decimal | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    dur: Decimal | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


_E = TypeVar("_E")


class _Document(msgspec.Struct, Generic[_E]):
    traceEvents: list[_E] | None = None  # noqa: N815 - the file's word
    deviceProperties: list[dict[str, Any]] | None = None  # noqa: N815 - the file's word


def decode_trace(path: Path) -> tuple[list[Any], list[dict[str, Any]], int]:
    """Events of a trace file, the properties of its devices, and how many events could not be decoded.

    Raises:
        TraceError: no such file, broken or cut short, or not a trace.
    """
    text = _read(path)
    try:
        document, num_unreadable = _decode(text)
    except msgspec.DecodeError as error:
        raise TraceError(f"{path} is not a trace: {error}") from None
    if document.traceEvents is None:
        raise TraceError(f"{path} is not a trace: it has no traceEvents")
    if num_unreadable and not document.traceEvents:
        raise TraceError(f"{path} is not a trace: none of its {num_unreadable} events can be read")
    return document.traceEvents, document.deviceProperties or [], num_unreadable


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise TraceError(f"there is no trace file {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path} cannot be read as a trace: {error}") from None


def _decode(text: bytes) -> tuple[_Document[Any], int]:
    try:
        document = _decode_as(text, Event)
    except msgspec.ValidationError:
        return _decode_leniently(text)
    except UnicodeDecodeError:
        return _decode(text.decode(errors="replace").encode())
    except msgspec.DecodeError:
        repaired = _NOT_JSON.sub(b": null", text)
        if repaired == text:
            raise
        return _decode(repaired)
    times = [event.ts for event in document.traceEvents or () if event.ts is not None]
    if times and max(times) >= _EXACT_LIMIT_US:
        document = _decode_as(text, ExactEvent)
    return document, 0


def _decode_as(text: bytes, event: type[Any]) -> _Document[Any]:
    """A file is an object that holds the events, or, as Chrome also allows, just their list."""
    if text[:100].lstrip()[:1] == b"[":
        return _Document(traceEvents=msgspec.json.decode(text, type=list[event]))
    return msgspec.json.decode(text, type=_Document[event])


def _decode_leniently(text: bytes) -> tuple[_Document[Any], int]:
    """Event by event, for files in which some event has a field of an unexpected type."""
    document = _decode_as(text, Raw)
    decoder = msgspec.json.Decoder(ExactEvent, strict=False)
    events = []
    for raw in document.traceEvents or ():
        try:
            event = decoder.decode(raw)
        except msgspec.ValidationError:
            continue
        if all(time is None or abs(time) <= _LONGEST_US for time in (event.ts, event.dur)):
            events.append(event)
    num_unreadable = len(document.traceEvents or ()) - len(events)
    document.traceEvents = events if document.traceEvents is not None else None
    return document, num_unreadable
