"""Trace files of the Kineto profiler (Chrome's JSON, plain or gzipped), decoded into NumPy columns.

Only the fields that attribution needs are decoded, into structs the garbage collector does not track; what repeats (names,
threads, shapes) is kept once and referred to by number. Times are integer nanoseconds, exactly as the file has them.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Raw

Ints = npt.NDArray[np.int64]

OPERATOR, ANNOTATION, FRAME, LAUNCH, KERNEL, MEMCPY, MEMSET = range(7)
"""What a span is: a torch operator, a named range, a Python frame, a call of the device runtime, or work on the device."""

_CATEGORIES = {
    "cpu_op": OPERATOR,
    "operator": OPERATOR,
    "user_annotation": ANNOTATION,
    "python_function": FRAME,
    "cuda_runtime": LAUNCH,
    "cuda_driver": LAUNCH,
    "hip_runtime": LAUNCH,
    "hip_driver": LAUNCH,
    "xpu_runtime": LAUNCH,
    "privateuse1_runtime": LAUNCH,
    "runtime": LAUNCH,
    "kernel": KERNEL,
    "gpu_memcpy": MEMCPY,
    "memcpy": MEMCPY,
    "gpu_memset": MEMSET,
    "memset": MEMSET,
}

_EXACT_LIMIT_US = 2.0**42
"""Below this many microseconds a double times 1000 rounds to the very nanosecond that was written."""

_NOT_JSON = re.compile(rb":\s*-?(?:inf|nan|Infinity|NaN)(?=\s*[,}])")
"""Numbers that some versions of the exporter write although JSON has no word for them."""


class TraceError(ValueError):
    """A file that should hold a trace holds none, or one that cannot be read. The message is one sentence."""


class Signature(NamedTuple):
    """What an operator was called with, as the file has it: JSON texts, empty where the file has none."""

    name: str
    dims: bytes
    types: bytes
    concrete: bytes


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans as columns. Numbers in `name` and `signature` point into the trace's lists; -1 is none."""

    category: npt.NDArray[np.int8]
    name: Ints
    thread: Ints
    start_ns: Ints
    end_ns: Ints
    correlation: Ints
    external_id: Ints
    signature: Ints

    def __len__(self) -> int:
        return len(self.start_ns)

    def take(self, rows: npt.NDArray[Any]) -> Spans:
        """These rows, in this order; a mask works too."""
        return Spans(*(getattr(self, column)[rows] for column in self.__slots__))


@dataclass(frozen=True, slots=True)
class Allocations:
    """Allocator events in time order: bytes given out (or back, negative) and the totals where the allocator told them."""

    time_ns: Ints
    num_bytes: Ints
    device_type: Ints
    device_id: Ints
    total_allocated: Ints
    total_reserved: Ints

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, rows: npt.NDArray[Any]) -> Allocations:
        """These rows, in this order; a mask works too."""
        return Allocations(*(getattr(self, column)[rows] for column in self.__slots__))


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace: spans of host and device, allocator events, and the lists that their numbers point into."""

    names: list[str]
    signatures: list[Signature]
    host: Spans
    device: Spans
    allocations: Allocations
    devices: list[dict[str, Any]]
    """Device properties as the file has them; empty on a host without devices."""
    num_events: int
    num_unreadable: int
    """Events that could not be decoded and are left out."""


class _Args(msgspec.Struct, gc=False, frozen=True):
    external_id: int = msgspec.field(name="External id", default=-1)
    correlation: int = -1
    dims: Raw = msgspec.field(name="Input Dims", default=Raw())
    types: Raw = msgspec.field(name="Input type", default=Raw())
    concrete: Raw = msgspec.field(name="Concrete Inputs", default=Raw())
    num_bytes: int = msgspec.field(name="Bytes", default=0)
    device_type: int = msgspec.field(name="Device Type", default=0)
    device_id: int = msgspec.field(name="Device Id", default=-1)
    total_allocated: int = msgspec.field(name="Total Allocated", default=-1)
    total_reserved: int = msgspec.field(name="Total Reserved", default=-1)


_NO_ARGS = _Args()


class _Event(msgspec.Struct, gc=False, frozen=True):
    """One event, its times as floats, which are quick to decode."""

    ph: str = ""
    cat: str = ""
    name: str = ""
    pid: int | str | None = None
    tid: int | str | None = None
    ts: float | None = None
    dur: float | None = None
    args: _Args | None = None


class _ExactEvent(_Event, gc=False, frozen=True):
    """One event, its times as decimals, for clocks that count so far that a float would lose nanoseconds."""

    ts: Decimal | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    dur: Decimal | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


_E = TypeVar("_E")


class _Document(msgspec.Struct, Generic[_E]):
    traceEvents: list[_E] | None = None  # noqa: N815 - the file's word
    deviceProperties: list[dict[str, Any]] | None = None  # noqa: N815 - the file's word


def read_trace(path: Path) -> Trace:
    """Read a trace file, plain or gzipped, whatever its name ends in.

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
    del text
    return _columns(document.traceEvents, document.deviceProperties or [], num_unreadable)


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
        document = _decode_as(text, _Event)
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
        document = _decode_as(text, _ExactEvent)
    return document, 0


def _decode_as(text: bytes, event: type[Any]) -> _Document[Any]:
    """A file is an object that holds the events, or, as Chrome also allows, just their list."""
    if text[:100].lstrip()[:1] == b"[":
        return _Document(traceEvents=msgspec.json.decode(text, type=list[event]))
    return msgspec.json.decode(text, type=_Document[event])


def _decode_leniently(text: bytes) -> tuple[_Document[Any], int]:
    """Event by event, for files in which some event has a field of an unexpected type."""
    document = _decode_as(text, Raw)
    decoder = msgspec.json.Decoder(_ExactEvent, strict=False)
    events = []
    for raw in document.traceEvents or ():
        try:
            events.append(decoder.decode(raw))
        except msgspec.ValidationError:
            continue
    num_unreadable = len(document.traceEvents or ()) - len(events)
    document.traceEvents = events if document.traceEvents is not None else None
    return document, num_unreadable


def _columns(events: list[Any], devices: list[dict[str, Any]], num_unreadable: int) -> Trace:
    spans = [e for e in events if e.ph == "X" and e.ts is not None and e.cat.lower() in _CATEGORIES]
    allocations = [e for e in events if e.name == "[memory]" and e.ts is not None and e.args is not None]
    names: defaultdict[Hashable, int] = _numbered()
    signatures: defaultdict[Hashable, int] = _numbered()
    columns = _span_columns(spans, names, signatures)
    on_device = columns.category >= KERNEL
    return Trace(
        names=[str(name) for name in names],
        signatures=[Signature(*key) for key in signatures],  # pyright: ignore[reportGeneralTypeIssues]
        host=columns.take(~on_device),
        device=columns.take(on_device),
        allocations=_allocation_columns(allocations),
        devices=devices,
        num_events=len(events),
        num_unreadable=num_unreadable,
    )


def _numbered() -> defaultdict[Any, int]:
    """A table that gives every new key the next number."""
    return defaultdict(count().__next__)


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)


def _span_columns(spans: list[Any], names: defaultdict[Any, int], signatures: defaultdict[Any, int]) -> Spans:
    threads = _numbered()
    args = [e.args or _NO_ARGS for e in spans]
    start_ns = _nanoseconds([e.ts for e in spans])
    return Spans(
        category=np.fromiter((_CATEGORIES[e.cat.lower()] for e in spans), np.int8, len(spans)),
        name=_ints([names[e.name] for e in spans]),
        thread=_ints([threads[e.pid, e.tid] for e in spans]),
        start_ns=start_ns,
        end_ns=start_ns + np.maximum(_nanoseconds([e.dur or 0 for e in spans]), 0),
        correlation=_ints([a.correlation for a in args]),
        external_id=_ints([a.external_id for a in args]),
        signature=_signature_column(spans, args, signatures),
    )


def _signature_column(spans: list[Any], args: list[_Args], signatures: defaultdict[Any, int]) -> Ints:
    def key(name: str, a: _Args) -> tuple[str, bytes, bytes, bytes]:
        # Concrete values (an offset, a seed) differ from call to call, and only a convolution's decide what it computes.
        concrete = bytes(a.concrete) if "conv" in name else b""
        return name, bytes(a.dims), bytes(a.types), concrete

    return _ints(
        [
            signatures[key(e.name, a)] if _CATEGORIES[e.cat.lower()] == OPERATOR else -1
            for e, a in zip(spans, args, strict=True)
        ]
    )


def _nanoseconds(times_us: Sequence[Any]) -> Ints:
    if any(isinstance(time, Decimal) for time in times_us):
        return _ints([round(time * 1000) for time in times_us])
    return np.rint(np.array(times_us, np.float64) * 1000).astype(np.int64)


def _allocation_columns(events: list[Any]) -> Allocations:
    def column(value: Callable[[Any], int]) -> Ints:
        return _ints([value(e.args) for e in events])

    times = _nanoseconds([e.ts for e in events])
    return Allocations(
        time_ns=times,
        num_bytes=column(lambda a: a.num_bytes),
        device_type=column(lambda a: a.device_type),
        device_id=column(lambda a: a.device_id),
        total_allocated=column(lambda a: a.total_allocated),
        total_reserved=column(lambda a: a.total_reserved),
    ).take(np.argsort(times, kind="stable"))
