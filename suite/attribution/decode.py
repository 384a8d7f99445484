"""Decoding of trace files: Chrome's JSON, plain or gzipped, into typed events with only the fields that are needed.

The structs are not tracked by the garbage collector, which would else spend half of the time on them.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw

from suite.attribution.flaws import ARGS_ODD, NEGATIVE, UNREADABLE, Flaws, time_flaw

_EXACT_LIMIT_US = 2.0**42
"""Below this many microseconds a double times 1000 rounds to the very nanosecond that was written."""

_NOT_JSON = re.compile(rb":\s*(-?)(inf|nan|Infinity|NaN)(?=\s*[,}])")
"""Numbers that some versions of the exporter write although JSON has no word for them."""
_STAND_IN_NAN, _STAND_IN_INFINITY = "8e99", "9e99"
"""Numbers that are decoded in place of these: more than any time may be, so that they are found again and counted."""

DEFAULT_MAX_BYTES = 2**30
"""Most text that is read of a trace made elsewhere, three times the 345 MB of 800,000 events.

Columns and the pieces being decoded come to about as much as the text once more.
"""
_CHUNK_BYTES = 2**20
"""Text that is unpacked at a time, so that what holds more than the limit is noticed where it exceeds it."""

PIECE_BYTES = 4_000_000
"""Text that is decoded at a time. The objects of a piece are gone before the next, which saves memory, and time with it."""

_BETWEEN_EVENTS = re.compile(rb'\}(,)\s*\{\s*"\w')
"""Between two objects of a list, and never inside a string, where the quote would have a backslash before it."""


class TraceError(ValueError):
    """A file that should hold a trace holds none, or one that cannot be read. The message is one sentence."""


_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Bytes = Annotated[int, Meta(ge=-(2**48), le=2**48)]
"""No machine has 256 TiB, and sums of such numbers still fit an integer."""
_Device = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]

_EARLIEST_US, _LATEST_US = -1e15, 2**62 / 1000
"""Until the year 2116 of a clock that counts from 1970. The difference of any two such times fits an integer column of ns."""
_LONGEST_US = 2**53 / 1000
"""104 days. A double holds every nanosecond of it."""


class Args(msgspec.Struct, gc=False, frozen=True):
    """Details of one event; lists stay JSON texts, since few of them differ."""

    external_id: _Int = msgspec.field(name="External id", default=-1)
    correlation: _Int = -1
    dims: Raw = msgspec.field(name="Input Dims", default=Raw())
    types: Raw = msgspec.field(name="Input type", default=Raw())
    concrete: Raw = msgspec.field(name="Concrete Inputs", default=Raw())
    num_bytes: _Bytes = msgspec.field(name="Bytes", default=0)
    device_type: _Device = msgspec.field(name="Device Type", default=0)
    device_id: _Device = msgspec.field(name="Device Id", default=-1)
    total_allocated: _Bytes = msgspec.field(name="Total Allocated", default=-1)
    total_reserved: _Bytes = msgspec.field(name="Total Reserved", default=-1)


NO_ARGS = Args()


class Event(msgspec.Struct, gc=False, frozen=True):
    """One event, its times as floats, which are quick to decode. The rare clock that is so far below 0 is decoded exactly."""

    ph: str = ""
    cat: str = ""
    name: str = ""
    pid: int | str | None = None
    tid: int | str | None = None
    ts: Annotated[float, Meta(gt=-_EXACT_LIMIT_US, le=_LATEST_US)] | None = None
    dur: Annotated[float, Meta(ge=-_LONGEST_US, le=_LONGEST_US)] | None = None
    args: Args | None = None


class ExactEvent(Event, gc=False, frozen=True):
    """One event, its times as decimals, for clocks that count so far that a float would lose nanoseconds."""

    ts: Decimal | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    dur: Decimal | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class _EventWithoutArgs(ExactEvent, gc=False, frozen=True):
    """One event whose args are not looked at: the field has a name that no file has."""

    args: Args | None = msgspec.field(name="not looked at", default=None)


class _Times(msgspec.Struct, gc=False, frozen=True):
    """The times of an event as texts."""

    ts: Raw = Raw()
    dur: Raw = Raw()


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
    num_events: int
    flaws: Flaws


def read_text(path: Path, max_bytes: int | None = None) -> bytes:
    """The file's text, unpacked if it is gzipped, whatever its name ends in.

    Raises:
        TraceError: no such file, a broken one, or one of more than `max_bytes`, of which no more than these are held.
    """
    try:
        with path.open("rb") as file:
            is_packed = file.peek(2)[:2] == b"\x1f\x8b"
            if path.is_file() and not is_packed:
                _hold_to(max_bytes, path.stat().st_size, f"{path} holds")
                return path.read_bytes()
            source = gzip.GzipFile(fileobj=file) if is_packed else file
            text = BytesIO()
            while chunk := source.read(_CHUNK_BYTES):
                _hold_to(max_bytes, text.tell() + len(chunk), f"{path} has given")
                text.write(chunk)
            return text.getvalue()
    except FileNotFoundError:
        raise TraceError(f"there is no trace file {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path} cannot be read as a trace: {error}") from None


def _hold_to(max_bytes: int | None, num_bytes: int, so_far: str) -> None:
    if max_bytes is not None and num_bytes > max_bytes:
        raise TraceError(
            f"{so_far} {num_bytes / 2**30:.4g} GiB of text, and of a trace {max_bytes / 2**30:.4g} GiB are read at most: "
            "--max-trace-gib allows more"
        )


def repaired(text: bytes) -> bytes:
    """The text with null where it has a number that JSON has no word for."""
    return _NOT_JSON.sub(b": null", text)


def _with_stand_ins(text: bytes) -> bytes:
    """The text with numbers in place of those that JSON has no word for."""

    def number(found: re.Match[bytes]) -> bytes:
        stand_in = _STAND_IN_NAN if found[2].lower() == b"nan" else _STAND_IN_INFINITY
        return b": " + found[1] + stand_in.encode()

    return _NOT_JSON.sub(number, text)


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
        return _decode(document)
    except UnicodeDecodeError:
        return decode(document._replace(text=document.text.decode(errors="replace").encode()))
    except msgspec.DecodeError:
        text = _with_stand_ins(document.text)
        if text == document.text:
            raise
        return decode(document._replace(text=text))


def _decode(document: Document) -> Piece:
    try:
        decoded = _decode_as(document, Event)
    except msgspec.ValidationError:
        return _decode_leniently(document)
    times = [event.ts for event in decoded.traceEvents or () if event.ts is not None]
    if times and max(times) >= _EXACT_LIMIT_US:
        decoded = _decode_as(document, ExactEvent)
    return Piece(decoded.traceEvents, decoded.deviceProperties or [], len(decoded.traceEvents or ()), Flaws())


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
    raws = decoded.traceEvents
    if raws is None:
        return Piece(None, decoded.deviceProperties or [], 0, Flaws())
    flaws = Flaws()
    events = [event for event in (_decode_event(raw, flaws) for raw in raws) if event is not None]
    return Piece(events, decoded.deviceProperties or [], len(raws), flaws)


_whole = msgspec.json.Decoder(ExactEvent, strict=False)
_without_args = msgspec.json.Decoder(_EventWithoutArgs, strict=False)
_times = msgspec.json.Decoder(_Times)
_decimal = msgspec.json.Decoder(Decimal | None, strict=False)


def _decode_event(raw: Raw, flaws: Flaws) -> ExactEvent | None:
    """One event, or None where it cannot be used; what is wrong with it is counted."""
    flaw = None
    try:
        event = _whole.decode(raw)
    except msgspec.ValidationError:
        try:
            event = _without_args.decode(raw)
        except msgspec.ValidationError:
            flaws[_odd_time(raw) or UNREADABLE] += 1
            return None
        flaw = ARGS_ODD if event.ph == "X" else None
    lost = _off_limits("ts", event.ts) or _off_limits("dur", event.dur)
    found = lost or flaw
    if found:
        flaws[found] += 1
    return None if lost else event


def _odd_time(raw: Raw) -> str | None:
    """The flaw of an event of which some field is of no use, if that is one of its times."""
    try:
        times = _times.decode(raw)
    except msgspec.ValidationError:
        return None
    for field, text in (("ts", times.ts), ("dur", times.dur)):
        try:
            _decimal.decode(bytes(text) or b"null")
        except msgspec.DecodeError:
            return time_flaw(field, "not a number")
    return None


def _off_limits(field: str, time_us: Decimal | None) -> str | None:
    """The flaw of a time that no column can hold. An unknown one is left to the reader, who knows whether it is needed."""
    if time_us is None:
        return None
    if time_us.is_nan() or abs(time_us) == Decimal(_STAND_IN_NAN):
        return time_flaw(field, "NaN")
    if time_us.is_infinite() or abs(time_us) == Decimal(_STAND_IN_INFINITY):
        return time_flaw(field, "infinite")
    if field == "ts":
        return None if _EARLIEST_US <= time_us <= _LATEST_US else time_flaw(field, "out of range")
    if time_us < 0:
        return NEGATIVE
    return None if time_us <= _LONGEST_US else time_flaw(field, "out of range")
