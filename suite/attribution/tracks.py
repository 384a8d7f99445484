"""Tracks for a viewer: stages and attention as slices in rows of their own, beside what the profiler recorded.

On the host a slice is a mark or an attention call. On a device, which runs later than it is told to, a slice is a run of
work on one stream that belongs to the same stage and step, or to the same kind of attention. Slices of a track lie side by
side or inside each other, never across.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from suite.attribution.attention import AttentionCall, core_rows, find_attention
from suite.attribution.context import Context, find_context
from suite.attribution.device import device_work
from suite.attribution.events import Events, arrange
from suite.attribution.kinds import infer_kinds
from suite.attribution.marks import parse, stage_mark
from suite.attribution.nesting import Ints
from suite.attribution.taxonomy import ATTENTION_KINDS
from suite.attribution.trace import Spans, Trace
from suite.stage import DENOISER_FORWARD, STEP_STAGES

_UNKNOWN = "attention of unknown kind"


@dataclass(frozen=True, slots=True)
class Slice:
    """Something that lasted from `start_ns` to `end_ns`, on the trace's own clock."""

    name: str
    start_ns: int
    end_ns: int
    args: dict[str, Any] = field(default_factory=dict)


def tracks(trace: Trace, num_frames: int | None = None) -> list[tuple[str, list[Slice]]]:
    """The tracks that have slices, each with its name, in the order in which they are to be shown.

    Args:
        trace: what `read_trace` gave.
        num_frames: frames of the video, as for `suite.attribution.kineto.attribute`.
    """
    events = arrange(trace)
    if len(events) == 0:
        return []
    context = find_context(events)
    calls = infer_kinds(find_attention(events, context), num_frames)
    found = [("stages", _stages(events, context)), *_attention(events, context, calls)]
    return [(name, slices) for name, slices in [*found, *_device(trace, events, context, calls)] if slices]


def _stages(events: Events, context: Context) -> list[Slice]:
    """Stages of the thread that generates; a step with its number, a forward of the denoiser inside its step."""
    is_mark = np.zeros(len(events), bool)
    is_mark[context.stage_marks] = True
    is_mark |= events.named(stage_mark(DENOISER_FORWARD))
    threads = events.spans.thread[context.generations[:1]]
    rows = np.flatnonzero(is_mark & np.isin(events.spans.thread, threads))
    return [_slice(events, row, _stage_name(events, context, row)) for row in rows.tolist()]


def _attention(events: Events, context: Context, calls: list[AttentionCall]) -> Iterator[tuple[str, list[Slice]]]:
    """A track a thread: modules by their kind of attention, and inside them the core of each call with its lengths."""
    scopes = np.flatnonzero(context.scope == np.arange(len(events)))
    first = np.array([call.rows[0] for call in calls], np.int64)
    for thread in np.unique(events.spans.thread[np.concatenate((scopes, first))]).tolist():
        modules = [
            _slice(events, row, _kind_name(int(context.kind[row])), module=context.modules[context.module[row]])
            for row in scopes[events.spans.thread[scopes] == thread].tolist()
        ]
        cores = [_core(events, call) for call in calls if events.spans.thread[call.rows[0]] == thread]
        yield "attention", sorted([*modules, *_in_turn(cores)], key=lambda one: (one.start_ns, -one.end_ns))


def _core(events: Events, call: AttentionCall) -> Slice:
    stops = [_slice(events, row, "") for row in call.rows]
    lengths = f"{call.query_length} x {call.key_length}" if call.query_length and call.key_length else "core"
    told = {name: getattr(call, name) for name in ("batch", "heads", "head_dim", "kernel", "precision")}
    return Slice(
        f"{call.kind or 'attention'} {lengths}",
        min(one.start_ns for one in stops),
        max(one.end_ns for one in stops),
        {name: value for name, value in told.items() if value is not None},
    )


def _device(
    trace: Trace, events: Events, context: Context, calls: list[AttentionCall]
) -> Iterator[tuple[str, list[Slice]]]:
    """Two tracks a stream. Work that nobody is known to have launched has the stage of its moment, and no kind."""
    work = device_work(trace, events, context)
    source = np.where(work.owner >= 0, work.owner, work.origin)
    stage_then, step_then = context.moments.at(work.spans.start_ns)
    stage = np.where(source >= 0, context.stage[source], stage_then)
    step = np.where(source >= 0, context.step[source], step_then)
    kind = np.where(source >= 0, _kinds(events, context, calls)[source], -1)
    for thread in np.unique(work.spans.thread).tolist():
        rows = np.flatnonzero(work.spans.thread == thread)
        rows = rows[np.argsort(work.spans.start_ns[rows], kind="stable")]
        stages = [
            _run(work.spans, run, _numbered(context.stages[stage[run[0]]], int(step[run[0]])))
            for run in _runs(rows, stage, step)
            if stage[run[0]] >= 0
        ]
        kinds = [_run(work.spans, run, _kind_name(int(kind[run[0]]))) for run in _runs(rows, kind) if kind[run[0]] >= 0]
        yield "stages on the device", list(_in_turn(stages))
        yield "attention on the device", list(_in_turn(kinds))


def _kinds(events: Events, context: Context, calls: list[AttentionCall]) -> Ints:
    """Kind of attention of every host row: of the call whose core it belongs to, else of the module around."""
    kind_of = np.array(
        [ATTENTION_KINDS.index(call.kind) if call.kind else len(ATTENTION_KINDS) for call in calls] or [-1]
    )
    core = core_rows(events, calls)
    return np.where(core >= 0, kind_of[core], context.kind)


def _kind_name(kind: int) -> str:
    return f"{ATTENTION_KINDS[kind]} attention" if kind < len(ATTENTION_KINDS) else _UNKNOWN


def _stage_name(events: Events, context: Context, row: int) -> str:
    """What a mark of a stage marks; a forward of the denoiser is no stage of its own and has that of the step around."""
    mark = parse(events.names[events.spans.name[row]])
    name = mark.stage if mark and mark.stage else ""
    return _numbered(name, int(context.step[row]))


def _numbered(stage: str, step: int) -> str:
    return f"{stage} {step}" if stage in STEP_STAGES and step >= 0 else stage


def _slice(events: Events, row: int, name: str, **args: Any) -> Slice:
    start = int(events.spans.start_ns[row])
    return Slice(name, start, start + int(events.nesting.duration_ns[row]), args)


def _run(spans: Spans, rows: Ints, name: str) -> Slice:
    return Slice(name, int(spans.start_ns[rows[0]]), int(spans.end_ns[rows].max()), {"num_spans": len(rows)})


def _runs(rows: Ints, *columns: Ints) -> Iterator[Ints]:
    """The rows, cut wherever the value of a column changes."""
    changes = np.logical_or.reduce([np.diff(column[rows]) != 0 for column in columns])
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(rows)]
    return (rows[first:stop] for first, stop in pairwise(edges))


def _in_turn(slices: Sequence[Slice]) -> Iterable[Slice]:
    """The slices in time order, each begun no sooner than the one before it ended."""
    free_ns = 0
    for one in sorted(slices, key=lambda one: (one.start_ns, one.end_ns)):
        start = max(one.start_ns, free_ns)
        if start < one.end_ns:
            yield replace(one, start_ns=start)
            free_ns = one.end_ns
