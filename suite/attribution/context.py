"""Context: in which stage, step, module and kind of attention every span of the host lies, read from the marks around it.

Stages and steps hold for a thread; spans of other threads that run meanwhile get the stage and step of that moment, since
somebody works for the generation there. Modules come from our marks or, in a trace that has none, from the frames
``nn.Module: X_3`` that the profiler writes with ``with_modules``; their path is the chain of these names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import count

import numpy as np

from suite.attribution.events import Events
from suite.attribution.marks import parse
from suite.attribution.nesting import Ints, Mask
from suite.attribution.taxonomy import ATTENTION_KINDS
from suite.attribution.trace import LAUNCH
from suite.stage import DENOISER_FORWARD, STEP_STAGES

GENERATE = "generate"
_MODULE_FRAME = "nn.Module: "


@dataclass(frozen=True, slots=True)
class Moments:
    """Stage and step over time on the thread that generates: segment i begins at ``begin_ns[i]``."""

    begin_ns: Ints
    stage: Ints
    step: Ints

    def at(self, time_ns: Ints) -> tuple[Ints, Ints]:
        """Stage and step at these times; -1 before the first mark and between marks."""
        if len(self.begin_ns) == 0:
            return np.full(len(time_ns), -1), np.full(len(time_ns), -1)
        segment = np.searchsorted(self.begin_ns, time_ns, side="right") - 1
        known = segment >= 0
        return np.where(known, self.stage[segment], -1), np.where(known, self.step[segment], -1)


@dataclass(frozen=True, slots=True)
class Context:
    """Where every row of the events lies. Numbers point into the lists; -1 is none."""

    stages: list[str]
    modules: list[str]
    stage: Ints
    step: Ints
    module: Ints
    kind: Ints
    """Points into `ATTENTION_KINDS`."""
    scope: Ints
    """Row of the innermost attention mark around."""
    window: Mask
    """Rows that the attribution covers: the generations, or everything in a trace without marks."""
    aside: Mask
    """Rows of the window on threads other than the one that generates."""
    generations: Ints
    """Rows of the ``generate`` marks."""
    stage_marks: Ints
    """Rows of all stage marks, in time order."""
    moments: Moments


def find_context(events: Events) -> Context:
    """Read the marks."""
    marks = [parse(name) for name in events.names]
    stages = list(dict.fromkeys(mark.stage for mark in marks if mark and mark.stage and mark.stage != DENOISER_FORWARD))
    stage_numbers = [stages.index(mark.stage) if mark and mark.stage in stages else -1 for mark in marks]
    own_stage = _by_name(events, stage_numbers)
    is_stage = own_stage >= 0
    stage = events.nesting.inherit(own_stage, is_stage)
    own_step = _steps(events, stages, own_stage)
    step = events.nesting.inherit(own_step, own_step >= 0)

    modules = list(dict.fromkeys(mark.module for mark in marks if mark and mark.module is not None))
    numbers = {module: number for number, module in enumerate(modules)}
    own_module = _by_name(events, [numbers[mark.module] if mark and mark.module is not None else -1 for mark in marks])
    module = events.nesting.inherit(own_module, own_module >= 0)
    if not modules:
        modules, module = _module_frames(events)

    kinds = [
        ATTENTION_KINDS.index(mark.attention_kind) if mark and mark.attention_kind in ATTENTION_KINDS else -1
        for mark in marks
    ]
    own_kind = _by_name(events, kinds)
    is_attention = own_kind >= 0
    scope = events.nesting.inherit(np.where(is_attention, np.arange(len(events)), -1), is_attention)

    stage_marks = np.flatnonzero(is_stage)
    stage_marks = stage_marks[np.argsort(events.spans.start_ns[stage_marks], kind="stable")]
    generations = (
        stage_marks[own_stage[stage_marks] == stages.index(GENERATE)] if GENERATE in stages else stage_marks[:0]
    )
    moments = _moments(events, stage_marks, stage, step, generations)
    window, aside = _window(events, generations)
    stage_there, step_there = moments.at(events.spans.start_ns[aside])
    stage[aside], step[aside] = stage_there, step_there
    return Context(
        stages=stages,
        modules=modules,
        stage=stage,
        step=step,
        module=module,
        kind=events.nesting.inherit(own_kind, is_attention),
        scope=scope,
        window=window,
        aside=aside,
        generations=generations,
        stage_marks=stage_marks,
        moments=moments,
    )


def _by_name(events: Events, values: list[int]) -> Ints:
    return np.array(values or [-1], np.int64)[events.spans.name]


def _steps(events: Events, stages: list[str], own_stage: Ints) -> Ints:
    """Number every span of a step stage within its generation."""
    is_generate = own_stage == (stages.index(GENERATE) if GENERATE in stages else -2)
    generation = events.nesting.inherit(np.where(is_generate, np.arange(len(events)), -1), is_generate)
    step_stages = [number for number, name in enumerate(stages) if name in STEP_STAGES]
    steps = np.full(len(events), -1)
    seen: Counter[tuple[int, int, int]] = Counter()
    for row in np.flatnonzero(np.isin(own_stage, step_stages)).tolist():
        key = int(generation[row]), int(events.spans.thread[row]), int(own_stage[row])
        steps[row] = seen[key]
        seen[key] += 1
    return steps


def _module_frames(events: Events) -> tuple[list[str], Ints]:
    is_frame = _by_name(events, [int(name.startswith(_MODULE_FRAME)) for name in events.names]) == 1
    numbers: defaultdict[tuple[int, int], int] = defaultdict(count().__next__)
    module = np.full(len(events), -1)
    for depth, level in enumerate(events.nesting.levels):
        if depth > 0:
            module[level] = module[events.nesting.parent[level]]
        frames = level[is_frame[level]]
        pairs = zip(module[frames].tolist(), events.spans.name[frames].tolist(), strict=True)
        module[frames] = [numbers[pair] for pair in pairs]
    paths: list[str] = []
    for outer, name in numbers:
        own = events.names[name].removeprefix(_MODULE_FRAME)
        paths.append(f"{paths[outer]}.{own}" if outer >= 0 else own)
    return paths, module


def _moments(events: Events, stage_marks: Ints, stage: Ints, step: Ints, generations: Ints) -> Moments:
    """Stage marks of the generating thread as segments of time: where one ends, the one around it goes on."""
    first = generations[:1] if len(generations) else stage_marks[:1]
    rows = stage_marks[np.isin(events.spans.thread[stage_marks], events.spans.thread[first])]
    begin: list[int] = []
    owner: list[int] = []
    open_rows: list[int] = []

    def close_until(time_ns: int) -> None:
        while open_rows and events.spans.end_ns[open_rows[-1]] <= time_ns:
            begin.append(int(events.spans.end_ns[open_rows.pop()]))
            owner.append(open_rows[-1] if open_rows else -1)

    for row in rows.tolist():
        close_until(int(events.spans.start_ns[row]))
        begin.append(int(events.spans.start_ns[row]))
        owner.append(row)
        open_rows.append(row)
    close_until(np.iinfo(np.int64).max)
    rows = np.array(owner, np.int64)
    return Moments(
        begin_ns=np.array(begin, np.int64),
        stage=np.where(rows >= 0, stage[rows], -1) if len(stage) else rows,
        step=np.where(rows >= 0, step[rows], -1) if len(step) else rows,
    )


def _window(events: Events, generations: Ints) -> tuple[Mask, Mask]:
    """Rows inside a generation, and of these the ones on other threads.

    Without a generation: every thread that runs operators or launches kernels; a thread of Python frames alone only waits.
    """
    spans = events.spans
    if len(generations) == 0:
        busy = np.unique(spans.thread[events.is_operator | (spans.category == LAUNCH)])
        return np.isin(spans.thread, busy), np.zeros(len(events), bool)
    is_generation = np.zeros(len(events), bool)
    is_generation[generations] = True
    within = events.nesting.inherit(is_generation, is_generation)
    meanwhile = np.zeros(len(events), bool)
    for row in generations.tolist():
        meanwhile |= (spans.start_ns >= spans.start_ns[row]) & (spans.start_ns < spans.end_ns[row])
    aside = meanwhile & ~np.isin(spans.thread, spans.thread[generations]) & (events.owner >= 0)
    return within | aside, aside
