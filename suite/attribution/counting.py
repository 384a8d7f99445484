"""FLOPs of every row of a trace, each counted once however many operators call each other to do the work."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from suite.attribution.events import Events
from suite.attribution.flops import FORMULAS
from suite.attribution.nesting import Ints, Mask


class Counts(NamedTuple):
    """One value a row."""

    matrix: Ints
    """FLOPs of matrix products and convolutions."""
    vector: Ints
    """FLOPs of everything else that has a formula."""
    unknown: Mask
    """Rows whose FLOPs of either kind nobody knows; both are 0 there."""


def count_flops(events: Events) -> Counts:
    """FLOPs by row, and the rows whose FLOPs nobody knows.

    A formula counts at the outermost operator that has one, and stands for all that is inside. A wrapper counts only where
    nothing inside it was; what vector units do counts only outside of what was. A row is unknown if it computes, has no
    formula, lies in nothing that was counted and holds no operator that does the work in its place. What is neither is zero by
    nature: it moves data, or only calls others.
    """
    nesting, signature = events.nesting, events.spans.signature
    known, vector = (
        np.array([-1 if found is None else found for found in column], np.int64)[signature]
        for column in ([call.flops for call in events.calls], [call.vector_flops for call in events.calls])
    )
    has_formula = np.array([call.operator in FORMULAS for call in events.calls], bool)[signature]
    computes = np.array([call.computes for call in events.calls], bool)[signature] & events.is_operator

    worked = nesting.outermost(has_formula & (known >= 0) & events.is_operator)
    is_wrapper = ~has_formula & (known >= 0) & events.is_operator
    wrapped = nesting.outermost(is_wrapper & ~nesting.around(worked) & ~nesting.inside(worked))
    multiplied = worked | wrapped
    has_vector = (vector >= 0) & events.is_operator
    alone = nesting.outermost(has_vector & ~multiplied & ~nesting.inside(multiplied) & ~nesting.around(multiplied))
    counted = multiplied | alone
    open_work = computes & ~counted & ~nesting.inside(counted)
    unknown = open_work & ~nesting.around(counted | open_work)
    return Counts(np.where(multiplied, known, 0), np.where(counted & has_vector, vector, 0), unknown)
