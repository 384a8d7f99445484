"""Decoding of trace files: Chrome's JSON, plain or gzipped, into typed events with only the fields that are needed.

The structs are not tracked by the garbage collector, which would else spend half of the time on them.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw

_EXACT_LIMIT_US = 2.0**42
"""Below this many microseconds a double times 1000 rounds to the very nanosecond that was written."""

_NOT_JSON = re.compile(rb":\s*-?(?:inf|nan|Infinity|NaN)(?=\s*[,}])")
"""Numbers that some versions of the exporter write although JSON has no word for them."""


PIECE_BYTES = 4_000_000
"""Text that is decoded at a time. The objects of a piece are gone before the next, which saves memory, and time with it."""

_BETWEEN_EVENTS = re.compile(rb'\}(,)\s*\{\s*"\w')
"""Between two objects of a list, and never inside a string, where the quote would have a backslash before it."""


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


class _OnlyEvents(msgspec.Struct, Generic[_E], forbid_unknown_fields=True):
    traceEvents: list[_E]  # noqa: N815 - the file's word


class _Trace(msgspec.Struct, Generic[_E]):
    traceEvents: list[_E] | None = None  # noqa: N815 - the file's word
    deviceProperties: list[dict[str, Any]] | None = None  # noqa: N815 - the file's word


class Piece(NamedTuple):
    """What a document tells: its events (None where it has no list of them) and the properties of its devices."""

    events: list[Any] | None
    devices: list[dict[str, Any]]
    num_unreadable: int


def read_text(path: Path) -> bytes:
    """The file's text, unpacked if it is gzipped, whatever its name ends in."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise TraceError(f"there is no trace file {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path} cannot be read as a trace: {error}") from None


def repaired(text: bytes) -> bytes:
    """The text with null where it has a number that JSON has no word for."""
    return _NOT_JSON.sub(b": null", text)


class Document(NamedTuple):
    """A text to decode. `only_events`: if it holds anything but a list of events, it is not what it should be."""

    text: bytes
    only_events: bool = False


def split(text: bytes) -> Iterator[Document]:
    """A trace as several smaller documents, one after the other, each with a share of the events.

    Where events lie is not known before they are decoded, so a cut may fall between objects of another list. What it
    leaves then either does not close what it opens or holds more than events: decoding fails, and the whole can be taken.
    """
    first = text.find(b'"traceEvents"')
    cut = _BETWEEN_EVENTS.search(text, first + PIECE_BYTES) if first >= 0 else None
    if cut is None:
        yield Document(text)
        return
    yield Document(text[:first] + b'"traceEvents": []}')
    start, opening = first, b"{"
    while cut is not None:
        yield Document(b"".join((opening, memoryview(text)[start : cut.start(1)], b"]}")), only_events=True)
        start, opening = cut.end(1), b'{"traceEvents": ['
        cut = _BETWEEN_EVENTS.search(text, start + PIECE_BYTES)
    yield Document(opening + text[start:])


def decode(document: Document) -> Piece:
    """Decode a document.

    Raises:
        msgspec.DecodeError: it is no JSON, or JSON of something else.
    """
    try:
        decoded = _decode_as(document, Event)
    except msgspec.ValidationError:
        return _decode_leniently(document)
    except UnicodeDecodeError:
        return decode(document._replace(text=document.text.decode(errors="replace").encode()))
    except msgspec.DecodeError:
        text = repaired(document.text)
        if text == document.text:
            raise
        return decode(document._replace(text=text))
    times = [event.ts for event in decoded.traceEvents or () if event.ts is not None]
    if times and max(times) >= _EXACT_LIMIT_US:
        decoded = _decode_as(document, ExactEvent)
    return Piece(decoded.traceEvents, decoded.deviceProperties or [], 0)


def _decode_as(document: Document, event: type[Any]) -> _Trace[Any]:
    """A file is an object that holds the events, or, as Chrome also allows, just their list."""
    if document.only_events:
        return _Trace(msgspec.json.decode(document.text, type=_OnlyEvents[event]).traceEvents)
    if document.text[:100].lstrip()[:1] == b"[":
        return _Trace(msgspec.json.decode(document.text, type=list[event]))
    return msgspec.json.decode(document.text, type=_Trace[event])


def _decode_leniently(document: Document) -> Piece:
    """Event by event, for files in which some event has a field of an unexpected type."""
    decoded = _decode_as(document, Raw)
    if decoded.traceEvents is None:
        return Piece(None, decoded.deviceProperties or [], 0)
    decoder = msgspec.json.Decoder(ExactEvent, strict=False)
    events = []
    for raw in decoded.traceEvents:
        try:
            event = decoder.decode(raw)
        except msgspec.ValidationError:
            continue
        if all(time is None or abs(time) <= _LONGEST_US for time in (event.ts, event.dur)):
            events.append(event)
    return Piece(events, decoded.deviceProperties or [], len(decoded.traceEvents) - len(events))
