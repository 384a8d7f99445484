"""Streamlined Inference (Zhan et al. 2024, arXiv 2411.01171) as one optimization: slicer, groups and rehash together.

Slicer and groups go on before rehash, as in the paper. They share the work call by call: inside a group's slices the slicer
leaves operators alone, so it cuts what lies in no group or what a group leaves whole.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

from suite.optimizations.contract import Handle, Optimization, is_exact
from suite.optimizations.feature_slicer import FeatureSlicer
from suite.optimizations.operator_grouping import OperatorGrouping
from suite.optimizations.step_rehash import StepRehash
from suite.workload import NotApplicableError, Workload


@dataclass(frozen=True)
class Streamlined:
    """Put on what of the three has a meaning for a workload. Exact where step rehash has none."""

    feature_slicer: FeatureSlicer
    operator_grouping: OperatorGrouping
    step_rehash: StepRehash
    exact: ClassVar[bool] = False

    def apply(self, workload: Workload) -> Handle:
        """
        Raises:
            NotApplicableError: none of them applies.
            UnsupportedError: one applies and cannot be had here.
        """
        parts: dict[str, Optimization] = {
            "feature_slicer": self.feature_slicer,
            "operator_grouping": self.operator_grouping,
            "step_rehash": self.step_rehash,
        }
        said: list[str] = []
        handle = Handle("", exact=True)
        with ExitStack() as undo:
            for name, part in parts.items():
                try:
                    inner = part.apply(workload)
                except NotApplicableError as reason:
                    handle.left_out[name] = str(reason)
                    continue
                undo.callback(inner.revert)
                said.append(f"{name}: {inner.changes}")
                handle.exact = handle.exact and is_exact(part, inner)
                handle.replayable = handle.replayable and inner.replayable
            left_out = [f"{name} is left out: {reason}" for name, reason in handle.left_out.items()]
            if not said:
                raise NotApplicableError("; ".join(left_out))
            handle.undo = undo.pop_all()
        handle.changes = "; ".join([*said, *left_out])
        return handle
