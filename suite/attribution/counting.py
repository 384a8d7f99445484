"""FLOPs of every row of a trace, each counted once however many operators call each other to do the work."""

from __future__ import annotations

import numpy as np

from suite.attribution.events import Events
from suite.attribution.flops import FORMULAS
from suite.attribution.nesting import Ints, Mask


def count_flops(events: Events) -> tuple[Ints, Mask]:
    """FLOPs by row, and the rows whose FLOPs nobody knows.

    A formula counts at the outermost operator that has one, and stands for all that is inside. A wrapper counts only where
    nothing inside it was. A row is unknown if it computes, has no formula, lies in nothing that was counted and holds
    no operator that does the work in its place. What is neither is zero by nature: it moves data, or only calls others.
    """
    nesting, signature = events.nesting, events.spans.signature
    known = np.array([-1 if call.flops is None else call.flops for call in events.calls], np.int64)[signature]
    has_formula = np.array([call.operator in FORMULAS for call in events.calls], bool)[signature]
    computes = np.array([call.computes for call in events.calls], bool)[signature] & events.is_operator

    worked = nesting.outermost(has_formula & (known >= 0) & events.is_operator)
    is_wrapper = ~has_formula & (known >= 0) & events.is_operator
    wrapped = nesting.outermost(is_wrapper & ~nesting.around(worked) & ~nesting.inside(worked))
    counted = worked | wrapped
    open_work = computes & ~counted & ~nesting.inside(counted)
    unknown = open_work & ~nesting.around(counted | open_work)
    return np.where(counted, known, 0), unknown
