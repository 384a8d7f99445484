"""A trace as NumPy columns. What repeats (names, threads, shapes) is kept once and referred to by number.

Times are integer nanoseconds, exactly as the file has them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import DecodeError

from suite.attribution.decode import NO_ARGS, Args, Document, Piece, TraceError, decode, read_text
from suite.attribution.flaws import (
    APART,
    MEMORY_UNTOLD,
    NEGATIVE,
    UNREADABLE,
    Flaws,
    phase_flaw,
    time_flaw,
    with_categories,
)
from suite.attribution.side_by_side import decode_side_by_side
from suite.attribution.vector_flops import READ_BY_VALUE

__all__ = ["Allocations", "Signature", "Spans", "Trace", "TraceError", "read_trace"]

Ints = npt.NDArray[np.int64]

OPERATOR, ANNOTATION, FRAME, LAUNCH, KERNEL, MEMCPY, MEMSET = range(7)
"""What a span is: a torch operator, a named range, a Python frame, a call of the device runtime, or work on the device."""

_CATEGORIES = {  # capitalised: as older profilers wrote them
    "cpu_op": OPERATOR,
    "Operator": OPERATOR,
    "user_annotation": ANNOTATION,
    "python_function": FRAME,
    "cuda_runtime": LAUNCH,
    "cuda_driver": LAUNCH,
    "hip_runtime": LAUNCH,
    "hip_driver": LAUNCH,
    "xpu_runtime": LAUNCH,
    "privateuse1_runtime": LAUNCH,
    "Runtime": LAUNCH,
    "kernel": KERNEL,
    "Kernel": KERNEL,
    "gpu_memcpy": MEMCPY,
    "Memcpy": MEMCPY,
    "gpu_memset": MEMSET,
    "Memset": MEMSET,
}

_WITHOUT_LENGTH = frozenset("iIRMstfPNODC")
"""Phases of events that last no time: moments, metadata, flows, samples, objects, counters."""
_TOLD_ELSEWHERE = frozenset(
    {"Trace", "overhead", "gpu_user_annotation", "cuda_sync", "collective_comm", "cuda_profiler_range", "genscope"}
)
"""Categories of spans that are not read because others tell the same time: the whole trace, the profiler, ranges of kernels."""
_MEMORY = "[memory]"
_UNKNOWN_NS = np.iinfo(np.int64).min
"""A time that an event does not tell."""


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
    flaws: Flaws
    """Events that are mended or left out."""


def read_trace(path: Path, max_bytes: int | None = None) -> Trace:
    """Read a trace file, plain or gzipped, whatever its name ends in.

    Args:
        path: the file.
        max_bytes: most bytes of text, unpacked; None for a trace of our own, which may be as large as it is.

    Raises:
        TraceError: no such file, broken, cut short or too large, or not a trace.
    """
    try:
        return _read(path, read_text(path, max_bytes))
    except RecursionError:
        raise TraceError(f"{path} is not a trace: its JSON is nested too deeply") from None
    except MemoryError:
        raise TraceError(f"{path} cannot be read as a trace: there is too little memory for it") from None


def _read(path: Path, text: bytes) -> Trace:
    try:
        try:
            trace = _assembled(decode_side_by_side(text, _share))
        except DecodeError:
            trace = _assembled([_share(decode(Document(text)))])
    except DecodeError as error:
        raise TraceError(f"{path} is not a trace: {error}") from None
    if trace is None:
        raise TraceError(f"{path} is not a trace: it has no traceEvents")
    if trace.num_events and trace.flaws[UNREADABLE] == trace.num_events:
        raise TraceError(f"{path} is not a trace: none of its {trace.num_events} events can be read")
    return trace


class _Share(NamedTuple):
    """Columns of one piece of the file, whose numbers point into the piece's own lists."""

    spans: Spans | None
    allocations: Allocations | None
    names: list[str]
    threads: list[tuple[Any, Any]]
    signatures: list[tuple[str, bytes, bytes, bytes]]
    devices: list[dict[str, Any]]
    num_events: int
    flaws: Flaws
    unread: Counter[str]
    """Spans of categories that are not read."""


def _share(piece: Piece) -> _Share:
    events, devices, num_events, flaws = piece
    if events is None:
        return _Share(None, None, [], [], [], devices, 0, flaws, Counter())
    numbers = _Numbers(_numbered(), _numbered(), _numbered())
    spans = [e for e in events if e.cat in _CATEGORIES and e.ph == "X"]
    others = [e for e in events if e.cat not in _CATEGORIES or e.ph != "X"] if len(spans) < len(events) else []
    told = [e for e in others if e.name == _MEMORY]
    flaws, unread = _not_read(others, flaws)
    columns, allocations = _span_columns(*_timed(spans, flaws), numbers), _allocation_columns(told, flaws)
    lists = list(numbers.names), list(numbers.threads), list(numbers.signatures)
    return _Share(columns, allocations, *lists, devices, num_events, flaws, unread)


def _not_read(events: list[Any], flaws: Flaws) -> tuple[Flaws, Counter[str]]:
    """The flaws with those of events that are no spans of ours, and the categories of spans among these."""
    unread: Counter[str] = Counter()
    for (phase, category), number in Counter(map(attrgetter("ph", "cat"), events)).items():
        if phase == "X" and category not in _TOLD_ELSEWHERE:
            unread[category] += number
        elif category in _CATEGORIES and phase not in _WITHOUT_LENGTH:
            flaws[APART if phase in ("B", "E") else phase_flaw(phase)] += number
    return flaws, unread


def _timed(spans: list[Any], flaws: Flaws) -> tuple[list[Any], Ints, Ints]:
    """The spans whose times are known, with their begins and durations in nanoseconds; others are counted."""
    start, duration = (_nanoseconds([*map(attrgetter(field), spans)]) for field in ("ts", "dur"))
    good = (start != _UNKNOWN_NS) & (duration >= 0)
    if good.all():
        return spans, start, duration
    without_start = start == _UNKNOWN_NS
    without_end = ~without_start & (duration == _UNKNOWN_NS)
    lost = {
        time_flaw("ts", "missing"): without_start,
        time_flaw("dur", "missing"): without_end,
        NEGATIVE: ~good & ~without_start & ~without_end,
    }
    flaws.update({flaw: int(rows.sum()) for flaw, rows in lost.items() if rows.any()})
    return [spans[row] for row in np.flatnonzero(good).tolist()], start[good], duration[good]


def _assembled(shares: Iterable[_Share]) -> Trace | None:
    """One trace of all shares; None where none has events."""
    numbers = _Numbers(_numbered(), _numbered(), _numbered())
    shares = list(shares)
    told = [(share.spans, share.allocations, share) for share in shares]
    spans = [_renumbered(spans, share, numbers) for spans, _, share in told if spans is not None]
    if not spans:
        return None
    columns = _joined(Spans, spans)
    allocated = _joined(Allocations, [allocations for _, allocations, _ in told if allocations is not None])
    on_device = columns.category >= KERNEL
    return Trace(
        names=list(numbers.names),
        signatures=[Signature(*key) for key in numbers.signatures],
        host=columns.take(~on_device) if on_device.any() else columns,
        device=columns.take(on_device),
        allocations=allocated.take(np.argsort(allocated.time_ns, kind="stable")),
        devices=[properties for share in shares for properties in share.devices],
        num_events=sum(share.num_events for share in shares),
        flaws=with_categories(
            sum((share.flaws for share in shares), Flaws()), sum((share.unread for share in shares), Counter())
        ),
    )


def _renumbered(spans: Spans, share: _Share, numbers: _Numbers) -> Spans:
    """The share's spans with the whole trace's numbers in place of the share's own; -1, the last of each list, stays."""

    def across(known: list[Any], table: defaultdict[Any, int]) -> Ints:
        return np.array([*map(table.__getitem__, known), -1], np.int64)

    return replace(
        spans,
        name=across(share.names, numbers.names)[spans.name],
        thread=across(share.threads, numbers.threads)[spans.thread],
        signature=across(share.signatures, numbers.signatures)[spans.signature],
    )


_Columns = TypeVar("_Columns", Spans, Allocations)


def _joined(kind: type[_Columns], parts: Sequence[_Columns]) -> _Columns:
    return kind(*(np.concatenate([getattr(part, name) for part in parts]) for name in kind.__slots__))


class _Numbers(NamedTuple):
    """The numbers given so far to what repeats."""

    names: defaultdict[str, int]
    threads: defaultdict[tuple[Any, Any], int]
    signatures: defaultdict[tuple[str, bytes, bytes, bytes], int]


def _numbered() -> defaultdict[Any, int]:
    """A table that gives every new key the next number."""
    return defaultdict(count().__next__)


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)


def _span_columns(spans: list[Any], start_ns: Ints, duration_ns: Ints, numbers: _Numbers) -> Spans:
    """Columns by `map` over fields, with no Python between one event and the next: that is where the time would go."""

    def each(field: str, objects: Sequence[Any] = spans) -> Iterable[Any]:
        return map(attrgetter(field), objects)

    args = [e.args or NO_ARGS for e in spans]
    category = np.fromiter(map(_CATEGORIES.__getitem__, each("cat")), np.int8, len(spans))
    name = _ints(map(numbers.names.__getitem__, each("name")))
    return Spans(
        category=category,
        name=name,
        thread=_ints(map(numbers.threads.__getitem__, zip(each("pid"), each("tid"), strict=True))),
        start_ns=start_ns,
        end_ns=start_ns + duration_ns,
        correlation=_ints(each("correlation", args)),
        external_id=_ints(each("external_id", args)),
        signature=_signature_column(category, name, args, numbers),
    )


def _signature_column(category: npt.NDArray[np.int8], name: Ints, args: list[Args], numbers: _Numbers) -> Ints:
    names = list(numbers.names)
    operators = np.flatnonzero(category == OPERATOR)
    called = args if len(operators) == len(args) else [args[row] for row in operators.tolist()]
    name = name[operators]
    # Concrete values (an offset, a seed) differ from call to call, and only of a few operators they decide what is computed.
    concrete = [b""] * len(called)
    has_settings = ["conv" in known or known in READ_BY_VALUE for known in names]
    for place in np.flatnonzero(np.array(has_settings or [False])[name]).tolist():
        concrete[place] = bytes(called[place].concrete)
    keys = zip(
        map(names.__getitem__, name.tolist()),
        map(bytes, map(attrgetter("dims"), called)),
        map(bytes, map(attrgetter("types"), called)),
        concrete,
        strict=True,
    )
    column = np.full(len(args), -1)
    column[operators] = _ints(map(numbers.signatures.__getitem__, keys))
    return column


def _nanoseconds(times_us: Sequence[Any]) -> Ints:
    """Times as the file has them, floats or decimals, in nanoseconds; `_UNKNOWN_NS` for None."""
    if times_us and not isinstance(times_us[0], float):
        return _ints([_UNKNOWN_NS if time is None else round(time * 1000) for time in times_us])
    times_ns = np.rint(np.array(times_us, np.float64) * 1000)
    times_ns[np.isnan(times_ns)] = _UNKNOWN_NS
    return times_ns.astype(np.int64)


def _allocation_columns(events: list[Any], flaws: Flaws) -> Allocations:
    times = _nanoseconds([e.ts for e in events])
    told = [(e.args, time) for e, time in zip(events, times.tolist(), strict=True) if e.args and time != _UNKNOWN_NS]
    if len(told) < len(events):
        flaws[MEMORY_UNTOLD] += len(events) - len(told)

    def column(value: Callable[[Args], int]) -> Ints:
        return _ints([value(args) for args, _ in told])

    return Allocations(
        time_ns=_ints([time for _, time in told]),
        num_bytes=column(lambda a: a.num_bytes),
        device_type=column(lambda a: a.device_type),
        device_id=column(lambda a: a.device_id),
        total_allocated=column(lambda a: a.total_allocated),
        total_reserved=column(lambda a: a.total_reserved),
    )
