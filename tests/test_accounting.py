"""Everything is accounted for: the quickstart's workloads and stacks against torch's own totals and its own FLOP counter.

The oracle of time is ``key_averages()`` of the very same profile; the oracle of FLOPs is FlopCounterMode over the same
generation with math attention (on a CPU it counts nothing for fused attention in torch 2.13, pytorch#195460).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from suite.attribution.kineto import attribute
from suite.attribution.marks import PREFIX
from suite.attribution.scopes import StageScopes, module_scopes
from suite.attribution.trace import read_trace
from suite.probes.attention import disagreements
from suite.profiling import profiled
from suite.stage import watched_by
from suite.subject import Subject
from suite.workload import NotApplicableError

WORKLOADS = ("stable_diffusion", "animatediff", "parti")
STACKS = ("[]", "baseline_attention", "flash_attention", "vae_slicing")
KINDS = {
    "stable_diffusion": {"causal", "cross", "spatial"},
    "animatediff": {"causal", "cross", "spatial", "temporal"},
    "parti": {"causal", "cross", "joint", "spatial"},
}


class AttentionCounter(TorchFunctionMode):
    """Counts what reaches scaled_dot_product_attention, in closed form: two products of 2 B H Q K D each."""

    flops = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.nn.functional.scaled_dot_product_attention:
            given = [*args, *(kwargs or {}).values()]
            (batch, heads, queries, width), keys = given[0].shape, given[1].shape[2]
            self.flops += 2 * (2 * batch * heads * queries * keys * width)
        return function(*args, **(kwargs or {}))


@contextmanager
def no_collection() -> Iterator[None]:
    """torch's own averages make half a million objects that all live: to look for garbage among them took half of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def subject_of(experiment: Callable, workload: object, stack: str, scratch: Path) -> Subject:
    run = experiment(f"optimization={stack}")
    return Subject(workload, {"stack": run.stack}, run.protocol, scratch)  # type: ignore[arg-type]


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_time_adds_up_to_torchs_own_totals(
    name: str, stack: str, experiment: Callable, short_workload: Callable, tmp_path: Path
) -> None:
    workload = short_workload(name)
    subject = subject_of(experiment, workload, stack, tmp_path)
    if (name, stack) == ("parti", "vae_slicing"):
        with pytest.raises(NotApplicableError, match="does not decode latents in slices"), subject.configured("stack"):
            pytest.fail("parti's decoder cannot slice")
        return
    trace = tmp_path / "trace.json"
    with (
        subject.configured("stack"),
        profiled("cpu", trace, record_shapes=True) as profiler,
        watched_by([StageScopes()]),
        module_scopes(workload.parts, workload.attention_rules),
    ):
        subject.generate()
    found = attribute(read_trace(trace), num_frames=workload.request.num_frames)
    rows = found.operators.to_pandas()
    # The oracle sums over the whole profile; what torch did before and after the span is left out by its marks' own total.
    with no_collection():
        averages = pd.DataFrame(
            [(event.key, event.self_cpu_time_total / 1e6) for event in profiler.key_averages()],
            columns=["key", "seconds"],
        )
    marks = averages["key"].str.startswith(PREFIX)
    assert rows["host_self_s"].sum() == pytest.approx(averages["seconds"].sum(), rel=0.01)
    operators = rows[rows["operator"] != "unattributed"]
    total = averages[~marks]["seconds"].sum()
    assert operators["host_self_s"].sum() == pytest.approx(total, rel=0.01)
    assert operators.loc[operators["operator_class"] != "other", "host_self_s"].sum() >= 0.97 * total
    assert rows["host_self_s"].sum() == pytest.approx(found.span_s, rel=1e-9)
    assert set(rows["attention_kind"].dropna()) == KINDS[name]
    assert disagreements(found.attention, workload.temporal_lengths) == []


@pytest.mark.parametrize("stack", ["baseline_attention", "flash_attention"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_flops_equal_torchs_counter_to_the_last_digit(
    name: str, stack: str, short_workload: Callable, short_profile: Callable
) -> None:
    workload = short_workload(name)
    rows = short_profile(name, stack).operators.to_pandas()
    ours = rows.groupby("operator_class")["flops"].sum()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, AttentionCounter() as attention:
        workload.generate()
    counted = {str(operator): flops for operator, flops in counter.get_flop_counts()["Global"].items()}
    assert ours.sum() == sum(counted.values()) > 1e8
    assert ours["convolution"] == counted["aten.convolution"]
    assert ours["attention"] == attention.flops > 0
    assert ours["linear"] == sum(counted.values()) - counted["aten.convolution"] - attention.flops


def test_what_has_no_formula_is_listed_and_null(short_profile: Callable) -> None:
    found = short_profile("parti", "flash_attention")
    rows = found.operators.to_pandas()
    assert "aten::exponential_" in found.operators_without_flops  # random numbers, inside of multinomial
    uncounted = rows[rows["operator"].isin(found.operators_without_flops)]
    assert not (uncounted["vector_flops"] > 0).any(), (
        "a call that only hands on to another one counts 0, by whatever name"
    )
    assert set(rows.loc[rows["vector_flops"].isna(), "operator"]) == set(found.operators_without_flops)
    assert rows["flops"].notna().all(), "of what multiplies matrices, nothing in it is without a formula"


def test_profiling_changes_no_output_bit(short_workload: Callable, tmp_path: Path, experiment: Callable) -> None:
    from suite.probes.memory import Memory

    for name in WORKLOADS:
        workload = short_workload(name)
        quiet = workload.generate()
        subject = subject_of(experiment, workload, "[]", tmp_path)
        subject.profile()
        assert torch.equal(subject.last_output, quiet)
        Memory().observe(subject)
        assert torch.equal(subject.last_output, quiet)
