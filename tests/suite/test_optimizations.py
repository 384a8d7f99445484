"""Optimizations: exact ones reproduce the output, every one takes itself off again, and what changes nothing says why.

Names for the mirror: suite.optimizations.attention, suite.optimizations.vae_slicing, suite.optimizations.contract.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from optimizations.exactness import assert_exact

from suite.errors import ConfigError
from suite.experiment import Result
from suite.optimizations.attention import AttentionKernel
from suite.optimizations.contract import Handle
from suite.optimizations.vae_slicing import VaeSlicing
from suite.subject import Subject
from suite.workload import NotApplicableError, Placement, UnsupportedError

EXACT = ("baseline_attention", "flash_attention", "vae_slicing")


def test_a_handle_undoes_in_reverse_and_only_once() -> None:
    order: list[int] = []
    handle = Handle("two things")
    handle.on_revert(lambda: order.append(1))
    handle.on_revert(lambda: order.append(2))
    handle.revert()
    handle.revert()
    assert order == [2, 1]


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("workload_name", ["stable_diffusion", "animatediff"])
def test_exact_means_the_unoptimized_output_to_rounding(
    name: str,
    workload_name: str,
    experiment: Callable,
    smoke_workload: Callable,
    float64_output: Callable,
    smoke_output: Callable,
    tmp_path: Path,
) -> None:
    workload, expected = smoke_workload(workload_name), smoke_output(workload_name)
    run = experiment(f"optimization={name}")
    subject = Subject(workload, {"stack": run.stack}, run.protocol, tmp_path)
    with subject.configured("stack") as applied:
        optimized = workload.generate()
    assert applied[0].exact
    assert_exact(optimized, expected, float64_output(workload_name))
    assert torch.equal(workload.generate(), expected), "taking it off puts everything back"


@pytest.mark.parametrize(("name", "kernel"), [("baseline_attention", "math"), ("flash_attention", "flash")])
def test_the_forced_kernel_is_the_one_that_ran(name: str, kernel: str, short_profile: Callable) -> None:
    kernels = short_profile("parti", name).attention.column("kernel").to_pylist()
    assert set(kernels) == {kernel}


def test_kernels_that_exist_on_gpus_only_are_unsupported_here(smoke_workload: Callable) -> None:
    for kernel in ("efficient", "cudnn"):
        with pytest.raises(UnsupportedError, match=kernel):
            AttentionKernel(kernel, ["math"]).apply(smoke_workload("parti"))


def test_a_kernel_that_a_gpu_lacks_is_unsupported_before_it_is_asked_for() -> None:
    def applied(kernel: str, capability: str | None) -> Handle:
        placement = Placement(device="cuda", precision="float16", compute_capability=capability)
        handle = AttentionKernel(kernel, ["math"]).apply(SimpleNamespace(placement=placement))  # type: ignore[arg-type]
        handle.revert()
        return handle

    for kernel in ("flash", "cudnn"):
        with pytest.raises(UnsupportedError, match=rf"the {kernel} .* 8\.0 to 12\.1, and this GPU's is 7\.5"):
            applied(kernel, "7.5")
        assert applied(kernel, "8.0").changes == applied(kernel, None).changes
    assert "efficient" in applied("efficient", "7.5").changes
    assert "math" in applied("math", "3.7").changes


def simulated_on_a_t4(experiment: Callable, folder: Path, *overrides: str) -> Result:
    run = experiment("execution=simulate", "device=cuda", "machine=t4", f"output_dir={folder}", *overrides)
    return run.execution.execute(run, folder, lambda message: None)


def test_a_simulated_t4_takes_the_efficient_kernel_and_is_refused_flash(experiment: Callable, tmp_path: Path) -> None:
    calls = simulated_on_a_t4(experiment, tmp_path).tables["attention"].to_pandas()
    assert set(zip(calls["kernel"], calls["precision"], strict=True)) == {("efficient", "float16")}
    assert set(calls["stage"]) == {"text_encode", "denoise_step", "decode"}
    refused = simulated_on_a_t4(experiment, tmp_path, "optimization=flash_attention").record.outcome
    assert refused.status == "unsupported"
    assert "compute capabilities 8.0 to 12.1, and this GPU's is 7.5" in (refused.reason or "")


def test_an_unknown_kernel_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="attention kernel fast: one of math, flash"):
        AttentionKernel("fast", [])


def test_slicing_that_would_change_nothing_says_why(experiment: Callable, smoke_workload: Callable) -> None:
    with pytest.raises(NotApplicableError, match="ViTVQGANDecoder"):
        VaeSlicing().apply(smoke_workload("parti"))
    single = experiment("request.batch_size=1").make_workload()
    with pytest.raises(NotApplicableError, match="nothing to slice"):
        VaeSlicing().apply(single)
    workload = smoke_workload("stable_diffusion")
    handle = VaeSlicing().apply(workload)
    with pytest.raises(NotApplicableError, match="slices already"):
        VaeSlicing().apply(workload)
    handle.revert()
    assert not workload.parts["decoder"].use_slicing


def test_slicing_lowers_the_decoders_peak(experiment: Callable, smoke_workload: Callable, tmp_path: Path) -> None:
    """Decoding 8 frames one at a time needs about an eighth of the activations."""
    from suite.probes.memory import Memory

    run = experiment("optimization=vae_slicing")
    workload = smoke_workload("animatediff")
    peaks = []
    for stack in ({}, run.stack):
        subject = Subject(workload, {"stack": stack}, run.protocol, tmp_path)
        rows = Memory().observe(subject).tables["memory_peaks"].to_pylist()
        peaks.append(next(row["activations_bytes"] for row in rows if row["stage"] == "decode"))
    assert peaks[1] < peaks[0] / 3
