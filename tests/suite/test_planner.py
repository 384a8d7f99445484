"""The planner: the fewest slices that fit, against brute force, and its answer against simulated and measured peaks.

Names for the mirror: suite.optimizations.auto_slices.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite import record_folder
from suite.errors import ConfigError
from suite.optimizations.auto_slices import AutoSlices
from suite.planner import fewest, planned, simulated_peak
from suite.progress import announce

GIB = 2**30
AUTO = ("workload=animatediff", "optimization=auto_slices")


@given(peaks=st.lists(st.integers(1, 1000), min_size=2, max_size=40), budget=st.integers(1, 1000))
def test_the_fewest_slices_are_those_of_a_linear_search_where_peaks_fall(peaks: list[int], budget: int) -> None:
    falling = sorted(peaks, reverse=True)
    found, seen = fewest(lambda slices: falling[slices - 1], budget, len(falling))
    fitting = [number + 1 for number, peak in enumerate(falling) if peak <= budget]
    assert found == (fitting[0] if fitting else None)
    assert all(falling[number - 1] == peak for number, peak in seen.items())


@given(peaks=st.lists(st.integers(1, 1000), min_size=2, max_size=40), budget=st.integers(1, 1000))
def test_what_is_found_fits_and_one_fewer_does_not_however_peaks_go(peaks: list[int], budget: int) -> None:
    found, seen = fewest(lambda slices: peaks[slices - 1], budget, len(peaks))
    if found is not None:
        assert peaks[found - 1] <= budget
        assert found == 1 or (seen[found - 1] > budget)


ONE_TRIAL = ("protocol.max_warmup_trials=1", "protocol.min_trials=1", "protocol.max_trials=1")
"""Memory is not a matter of chance."""


@pytest.mark.slow
def test_a_planned_run_is_measured_within_its_budget(experiment: Callable, tmp_path: Path) -> None:
    """At the size of a test the profiler confirms what the simulation promised, and that one slice fewer would not do."""
    whole = simulated_peak(experiment("workload=animatediff", "device=cpu"), "allocated").size
    weights = 0.97 * whole  # most of this small model is weights: the budget lies between them and the whole
    budget = (weights + whole) / 2 / GIB
    overrides = (*AUTO, "device=cpu", f"optimization.auto_slices.memory_budget_gib={budget}", f"output_dir={tmp_path}")
    run = experiment(*overrides, "probe=[memory]", "protocol=quick", *ONE_TRIAL)
    chosen = planned(run).stack["auto_slices"].grouping
    assert chosen is not None
    fewer = AutoSlices(budget, "allocated", 64, False).grouping(chosen.frame_slices - 1)
    if chosen.frame_slices > 2:
        stack = experiment("workload=animatediff", "device=cpu", "optimization=operator_grouping")
        object.__setattr__(stack, "stack", {"operator_grouping": fewer})
        assert simulated_peak(stack, "allocated").size > budget * GIB
    found = announce(run, rerun=False)
    assert found.outcome.status == "ok"
    assert f"{chosen.frame_slices} slices: simulated peak" in found.arms[0].optimizations[0].changes
    (folder,) = record_folder.find_records(tmp_path)
    measured = max(record_folder.load_table(folder, "memory_peaks").column("allocated_bytes").to_pylist())
    assert measured <= budget * GIB


def test_where_nothing_fits_the_outcome_says_by_how_much(experiment: Callable, tmp_path: Path) -> None:
    overrides = (*AUTO, "execution=simulate", "optimization.auto_slices.memory_budget_gib=0.01")
    found = announce(
        experiment(*overrides, "optimization.auto_slices.max_slices=2", f"output_dir={tmp_path}"), rerun=False
    )
    assert found.outcome.status == "unsupported"
    assert re.search(r"[MG]iB too much; (decode|denoise_step|text_encode) holds it$", found.outcome.reason or "")


def test_what_fits_is_left_whole(experiment: Callable) -> None:
    run = experiment(*AUTO, "execution=simulate", "machine=rtx_2080ti")
    chosen = planned(run).stack["auto_slices"]
    assert chosen.grouping is None
    assert chosen.plan.startswith("no slices")


def test_a_machines_budget_is_what_its_context_leaves(experiment: Callable) -> None:
    """Reserved bytes of the machine's own allocator: all of them fit to the byte, and one byte less does not do."""
    words = ("workload=animatediff", "device=cuda", "execution=simulate", "machine=h100")
    auto = ("optimization=auto_slices", "optimization.auto_slices.counter=reserved")
    peak, context = simulated_peak(experiment(*words), "reserved").size, 10**9

    def plan(capacity: int) -> str:
        machine = (f"machine.capacity_bytes={capacity}", f"machine.context_bytes={context}")
        return planned(experiment(*words, *machine, *auto)).stack["auto_slices"].plan

    assert plan(peak + context).startswith("no slices")
    assert plan(peak + context - 1).startswith("2 slices")


def test_a_plan_needs_a_budget(experiment: Callable) -> None:
    with pytest.raises(ConfigError, match="memory_budget_gib is not set"):
        planned(experiment(*AUTO, "execution=simulate"))
    with pytest.raises(ConfigError, match="memory_budget_gib=0"):
        experiment(*AUTO, "optimization.auto_slices.memory_budget_gib=0")
