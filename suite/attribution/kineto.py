"""From a trace to tables: who spent the time, on what, in which stage, step and module.

    host spans   --nest, marks-->  rows of (stage, step, module, operator, class, kind, part, precision), self time, FLOPs
    device spans --correlation-->  rows of the operator that launched them, device time
                                   both --group--> operators;  cores of attention calls --> attention

Everything is accounted for. Host rows add up to the ``generate`` span(s): what Python did between operators is a row called
``unattributed``, in the stage and module where it happened. Kernels add up to all kernels of the window. Without marks the
window is the whole trace, and the host rows add up to the time from the first begin to the last end, if one thread worked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from suite.attribution.activity import device_activity
from suite.attribution.arrow import table
from suite.attribution.attention import AttentionCall, core_rows, find_attention
from suite.attribution.calls import PRECISION_NAMES
from suite.attribution.context import Context, find_context
from suite.attribution.counting import Counts, count_flops
from suite.attribution.device import DeviceWork, device_work
from suite.attribution.events import Events, arrange
from suite.attribution.extent import Extent, find_extent
from suite.attribution.flaws import CUT, LAUNCHED_TWICE, Flaws
from suite.attribution.kinds import infer_kinds
from suite.attribution.memory import memory_tables
from suite.attribution.nesting import Ints, Mask
from suite.attribution.rows import Rows, operator_table
from suite.attribution.taxonomy import (
    ATTENTION_KINDS,
    ATTENTION_PARTS,
    OPERATOR_CLASSES,
    WITHOUT_ARITHMETIC,
    kernel_short_name,
)
from suite.attribution.trace import KERNEL, LAUNCH, MEMCPY, MEMSET, Trace
from suite.record_tables import TABLES

UNATTRIBUTED = "unattributed"
"""Operator of the rows that hold host time between operators."""
MEMCPY_OPERATOR, MEMSET_OPERATOR = "gpu_memcpy", "gpu_memset"
"""Operators of the rows that hold the device's copies and fills, which are no kernels."""

_OTHER, _MOVES = OPERATOR_CLASSES.index("other"), OPERATOR_CLASSES.index("data_movement")
_ATTENTION = OPERATOR_CLASSES.index("attention")
_PROJECTING = [OPERATOR_CLASSES.index(name) for name in ("linear", "convolution")]
_COMPUTES = np.array([name not in WITHOUT_ARITHMETIC for name in OPERATOR_CLASSES])
_CORE, _PROJECTION = (ATTENTION_PARTS.index(part) for part in ("core", "projection"))


@dataclass(frozen=True, slots=True)
class Attribution:
    """What a trace says, as tables of `suite.record_tables.TABLES`, with the totals that the tables add up to."""

    operators: pa.Table
    attention: pa.Table
    device_activity: pa.Table | None
    memory: pa.Table | None
    memory_peaks: pa.Table | None
    span_s: float
    """Time of the ``generate`` spans; in a trace without marks, from the first begin to the last end on host and device."""
    aside_s: float
    """Host time of other threads meanwhile; the rows' `host_self_s` sums to ``span_s + aside_s``, if there is a host at all."""
    num_events: int
    flaws: Flaws
    """Events that are mended or left out."""
    num_steps: int | None
    """Steps of the generation; None where the trace marks no generation."""
    operators_without_flops: list[str]
    kernel_total_s: float | None
    """Device time of kernels; with that of copies and fills, the rows' `device_self_s` sums to it. None: no device."""
    memcpy_total_s: float | None
    memset_total_s: float | None


def attribute(trace: Trace, *, num_frames: int | None = None, weights_bytes: int | None = None) -> Attribution:
    """Reduce a trace to tables.

    Args:
        trace: what `read_trace` gave.
        num_frames: frames of the video, to tell temporal attention by its length where no mark tells.
        weights_bytes: bytes of weights that were there before the trace began, for allocators that only tell changes.
    """
    events = arrange(trace)
    context = find_context(events)
    calls = infer_kinds(find_attention(events, context), num_frames)
    work = device_work(trace, events, context)
    operators = [*trace.names, UNATTRIBUTED, MEMCPY_OPERATOR, MEMSET_OPERATOR]
    counts = count_flops(events)
    host = _host_rows(events, context, calls, counts)
    device = _device_rows(trace, host, context, work, operators)
    has_device = len(trace.device) > 0
    covered = host if context.window.all() else host.take(np.flatnonzero(context.window))
    extent = find_extent(events, context, work)
    flaws = trace.flaws + Flaws({CUT: events.nesting.num_cut, LAUNCHED_TWICE: work.num_ambiguous})
    memory, memory_peaks = memory_tables(trace.allocations, events, context, weights_bytes)
    parts = [covered, _nowhere_rows(extent, len(trace.names)), device]
    rows = operator_table(parts, operators, context.stages, context.modules, has_device)
    return Attribution(
        operators=rows,
        attention=_attention_table(events, context, calls, work, has_device),
        device_activity=device_activity(events, context, work),
        memory=memory,
        memory_peaks=memory_peaks,
        span_s=extent.span_ns / 1e9,
        aside_s=extent.aside_ns / 1e9,
        num_events=trace.num_events,
        flaws=flaws,
        num_steps=int(context.step.max(initial=-1)) + 1 if len(context.generations) else None,
        operators_without_flops=sorted(set(rows.filter(rows["vector_flops"].is_null())["operator"].to_pylist())),
        kernel_total_s=_seconds(work.duration_ns, work.of(KERNEL)) if has_device else None,
        memcpy_total_s=_seconds(work.duration_ns, work.of(MEMCPY)) if has_device else None,
        memset_total_s=_seconds(work.duration_ns, work.of(MEMSET)) if has_device else None,
    )


def _seconds(times_ns: Ints, rows: Mask) -> float:
    return int(times_ns[rows].sum()) / 1e9


def _host_rows(events: Events, context: Context, calls: list[AttentionCall], counts: Counts) -> Rows:
    """One row a span of the host, whether in the window or not. A launch belongs to the operator around it."""
    is_launch = events.spans.category == LAUNCH
    speaks = events.is_operator | (is_launch & (events.owner >= 0))
    owner_signature = events.spans.signature[events.owner]
    class_of = np.array([OPERATOR_CLASSES.index(call.operator_class) for call in events.calls])
    precision_of = np.array([PRECISION_NAMES.index(call.precision) for call in events.calls])
    core = core_rows(events, calls)[events.owner] if len(events) else events.owner
    core = np.where(speaks, core, -1)
    kind_of = np.array([ATTENTION_KINDS.index(call.kind) if call.kind else -1 for call in calls] or [-1])
    operator_class = np.where(speaks, class_of[owner_signature], _OTHER)
    projects = (context.kind >= 0) & np.isin(operator_class, _PROJECTING)
    name = np.where(speaks, events.spans.name[events.owner], events.spans.name)
    return Rows(
        stage=context.stage,
        step=context.step,
        module=context.module,
        operator=np.where(speaks | is_launch, name, len(events.names)),
        operator_class=np.where(core >= 0, _ATTENTION, operator_class),
        attention_kind=np.where(core >= 0, kind_of[core], context.kind),
        attention_part=np.where(core >= 0, _CORE, np.where(projects, _PROJECTION, -1)),
        precision=np.where(speaks, precision_of[owner_signature], 0),
        calls=(~(is_launch & speaks)).astype(np.int64),
        host_ns=events.nesting.self_ns,
        device_ns=np.zeros(len(events), np.int64),
        flops=counts.matrix,
        vector_flops=counts.vector,
        unknown=counts.unknown.astype(np.int64),
    )


def _nowhere_rows(extent: Extent, unattributed: int) -> Rows:
    """A row of the host time that lies in no span of a trace without marks; none where there is no such time."""
    values = Rows.__slots__, (-1, -1, -1, unattributed, _OTHER, -1, -1, 0, 0, extent.nowhere_ns, 0, 0, 0, 0)
    columns = {name: np.full(int(extent.nowhere_ns > 0), value) for name, value in zip(*values, strict=True)}
    return Rows(**columns)


def _device_rows(trace: Trace, host: Rows, context: Context, work: DeviceWork, operators: list[str]) -> Rows:
    """One row a kernel, copy or fill: like the row of the operator that owns it, but for what is its own.

    What a kernel computes that no operator owns (of a CUDA graph, or of a compiler) has been counted nowhere.
    """
    source = np.where(work.owner >= 0, work.owner, work.origin)
    placed, owned = source >= 0, (work.owner >= 0) & work.of(KERNEL)
    kernels = _short_names(trace, work, operators)
    own_operator = np.where(
        work.of(MEMCPY), len(trace.names) + 1, np.where(work.of(MEMSET), len(trace.names) + 2, kernels)
    )
    own_class = np.where(work.of(KERNEL), work.kernel_class, _MOVES)
    stage, step = context.moments.at(work.spans.start_ns)
    nothing = np.zeros(len(work.spans), np.int64)

    def of_source(column: Ints, otherwise: Ints | int, where: Mask = placed) -> Ints:
        return np.where(where, column[source], otherwise) if len(column) else np.where(where, 0, otherwise)

    return Rows(
        stage=of_source(host.stage, stage),
        step=of_source(host.step, step),
        module=of_source(host.module, -1),
        operator=of_source(host.operator, own_operator, owned),
        operator_class=of_source(host.operator_class, own_class, owned),
        attention_kind=of_source(host.attention_kind, -1),
        attention_part=of_source(host.attention_part, np.where(own_class == _ATTENTION, _CORE, -1), owned),
        precision=of_source(host.precision, 0, owned),
        calls=(~owned).astype(np.int64),
        host_ns=nothing,
        device_ns=work.duration_ns,
        flops=nothing,
        vector_flops=nothing,
        unknown=(~owned & work.of(KERNEL) & _COMPUTES[work.kernel_class]).astype(np.int64),
    )


def _short_names(trace: Trace, work: DeviceWork, operators: list[str]) -> Ints:
    """Number of every device span's short name, which is added to the operators."""
    numbers: dict[str, int] = {}
    short = np.zeros(max(len(trace.names), 1), np.int64)
    for name in np.unique(work.spans.name).tolist():
        short_name = kernel_short_name(trace.names[name])
        short[name] = numbers.setdefault(short_name, len(operators) + len(numbers))
    operators.extend(numbers)
    return short[work.spans.name]


def _attention_table(
    events: Events, context: Context, calls: list[AttentionCall], work: DeviceWork, has_device: bool
) -> pa.Table:
    kernels = work.of(KERNEL) & (work.owner >= 0)
    device_ns = np.bincount(work.owner[kernels], weights=work.duration_ns[kernels], minlength=len(events))
    host_before, device_before = (np.concatenate(([0], np.cumsum(t))) for t in (events.nesting.self_ns, device_ns))

    def seconds(call: AttentionCall, before: Ints) -> float:
        inside = sum(before[events.nesting.stop[row]] - before[row] for row in call.rows)
        return float(inside + sum(before[row + 1] - before[row] for row in call.wrappers)) / 1e9

    def name(names: list[str], number: int) -> str | None:
        return names[number] if number >= 0 else None

    rows = [call.rows[0] for call in calls]
    columns = {
        "call": range(len(calls)),
        "stage": [name(context.stages, context.stage[row]) for row in rows],
        "step": [int(context.step[row]) if context.step[row] >= 0 else None for row in rows],
        "module": [name(context.modules, context.module[row]) for row in rows],
        "attention_kind": [call.kind for call in calls],
        "batch": [call.batch for call in calls],
        "heads": [call.heads for call in calls],
        "query_length": [call.query_length for call in calls],
        "key_length": [call.key_length for call in calls],
        "head_dim": [call.head_dim for call in calls],
        "kernel": [call.kernel for call in calls],
        "precision": [call.precision for call in calls],
        "host_s": [seconds(call, host_before) for call in calls],
        "device_s": [seconds(call, device_before) if has_device else None for call in calls],
    }
    return table(TABLES["attention"], columns, len(calls))
