"""Operator Grouping (Zhan et al. 2024, arXiv 2411.01171, section 4.2), exactly.

Operators that follow each other and work along the same axis are run slice by slice as one group, so that what lies between
them is never there whole: spatial ones by frames, temporal ones by pixels, a whole denoiser by elements of the batch, such as
guidance's two halves. Group norms over all pixels take their statistics beforehand (the published code slices them too, and is
not exact there). Which module has which groups: `suite.optimizations.grouping`, and the workload's own `slicing_recipes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, by_class, find_recipes, named, put_on
from suite.slicing.streams import take_turns_on
from suite.workload import NotApplicableError, Workload


@dataclass(frozen=True)
class OperatorGrouping:
    """Put the sliced forward on every module that a recipe serves.

    Args:
        batch_slices, frame_slices, pixel_slices, token_slices, smallest_slice: see `SlicePlan`.
        recompute_first_temporal_convolution: compute it again in the last pass of a spatio-temporal residual block instead of
            keeping its output whole; less memory, more work.
        num_streams: of a GPU on which slices are computed in turn; two slices exist at once on two streams. Nothing on a CPU.
    """

    batch_slices: int
    frame_slices: int
    pixel_slices: int
    token_slices: int
    smallest_slice: int
    recompute_first_temporal_convolution: bool
    num_streams: int
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.num_streams < 1:
            raise ConfigError(f"num_streams={self.num_streams}: a whole number of at least 1 is needed")
        self.plan()

    def plan(self) -> SlicePlan:
        """
        Raises:
            ConfigError: a count below 1.
        """
        return SlicePlan(
            batch_slices=self.batch_slices,
            frame_slices=self.frame_slices,
            pixel_slices=self.pixel_slices,
            token_slices=self.token_slices,
            smallest_slice=self.smallest_slice,
            recompute=self.recompute_first_temporal_convolution,
        )

    def apply(self, workload: Workload) -> Handle:
        recipes = {**all_recipes(), **workload.slicing_recipes}
        served = [found for part in workload.parts.values() for found in find_recipes(part, recipes)]
        if not served:
            kinds = ", ".join(sorted({type(part).__name__ for part in workload.parts.values()}))
            raise NotApplicableError(f"no module of {kinds} has groups of operators that are known here")
        single = workload.request.num_rows == 1
        cut = [module for module, recipe in served if recipe.cuts and not (single and recipe.rows_only)]
        if not cut:
            raise NotApplicableError("a single image without guidance has nothing to slice (request.batch_size=1)")
        plan = self.plan()
        handle = Handle(f"computed slice by slice{plan.told()}: {named(cut)}")
        in_place = [module for module, recipe in served if not recipe.cuts]
        handle.changes += f"; with activations in place: {named(in_place)}" if in_place else ""
        for module, recipe in served:
            handle.on_revert(put_on(module, recipe, plan))
        handle.on_revert(take_turns_on(self.num_streams))
        if self.num_streams > 1 and workload.placement.device == "cuda":
            handle.changes += f"; slices in turn on {self.num_streams} streams"
        return handle


def all_recipes() -> Mapping[type, Recipe]:
    """Of diffusers' modules: what every file of `suite.optimizations.grouping` calls its ``RECIPES``."""
    from suite.optimizations import grouping

    families = [import_module(f"{grouping.__name__}.{found.name}") for found in iter_modules(grouping.__path__)]
    return by_class(recipe for family in families for recipe in getattr(family, "RECIPES", ()))
