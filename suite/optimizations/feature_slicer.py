"""Feature Slicer (Zhan et al. 2024, arXiv 2411.01171, section 4.1): every operator by itself computed slice by slice.

Spatial operators are cut by frames or images, temporal ones by pixels, linear layers and norms of tokens by tokens, attention
that is not inside one of these by blocks of queries. Every operator gathers its whole output before the next one starts, so all
that lies between operators is there whole: the paper's reason for grouping (`suite.optimizations.operator_grouping`), shown
here as it is. Inside a group's slices nothing is cut again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from suite.optimizations.contract import Handle
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import by_class, find_recipes, named, put_on
from suite.workload import NotApplicableError, Workload


@dataclass(frozen=True)
class FeatureSlicer:
    """Put slicing on every operator module of every part.

    Args:
        frame_slices, pixel_slices, token_slices, smallest_slice: see `SlicePlan`.
    """

    frame_slices: int
    pixel_slices: int
    token_slices: int
    smallest_slice: int
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.plan()

    def plan(self) -> SlicePlan:
        """
        Raises:
            ConfigError: a count below 1.
        """
        return SlicePlan(
            frame_slices=self.frame_slices,
            pixel_slices=self.pixel_slices,
            token_slices=self.token_slices,
            smallest_slice=self.smallest_slice,
        )

    def apply(self, workload: Workload) -> Handle:
        from suite.optimizations.grouping.operators import operator_recipes, patch_attention

        recipes = by_class(operator_recipes(workload.request.num_rows))
        served = [found for part in workload.parts.values() for found in find_recipes(part, recipes)]
        if not served:
            raise NotApplicableError("no part has a convolution, norm, linear layer or attention that is a module")
        plan = self.plan()
        said = f"{named(module for module, _ in served)} and attention, by blocks of queries"
        handle = Handle(f"each by itself slice by slice{plan.told()}: {said}")
        for module, recipe in served:
            handle.on_revert(put_on(module, recipe, plan))
        handle.on_revert(patch_attention(plan))
        return handle
