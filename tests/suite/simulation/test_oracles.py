"""Simulated FLOPs against torch's own counter, closed forms, and published shares of Stable Diffusion's U-Net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from torch.utils.flop_counter import FlopCounterMode

from suite.simulation.generation import simulate
from suite.subject import Subject

# px, GFLOP of one forward, shares of convolution, linear and attention, shortest and longest sequence: independent desk counts
STABLE_DIFFUSION = [
    (64, 13.6, 50.9, 48.5, 0.6, 1, 64),
    (128, 45.8, 60.5, 38.0, 1.5, 4, 256),
    (256, 180.1, 61.7, 33.6, 4.7, 16, 1024),
    (512, 803.3, 55.2, 29.0, 15.7, 64, 4096),
    (768, 2148, 46.5, 24.3, 29.2, 144, 9216),
    (1024, 4674, 38.0, 19.8, 42.2, 256, 16384),
]


def simulated(experiment: Callable, *overrides: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    run = experiment("execution=simulate", *overrides)
    workload = run.make_workload(replace(run.placement, device="meta"))
    workload.placement = run.placement
    with Subject(workload, {"stack": run.stack}, run.protocol, Path()).configured("stack"):
        found = simulate(workload, device=run.placement.device)
    return found.operators.to_pandas(), found.attention.to_pandas()


@pytest.mark.parametrize("name", ["stable_diffusion", "animatediff", "muse", "phenaki", "stable_video_diffusion"])
def test_flops_are_flop_counter_modes_to_the_last_digit(
    name: str, experiment: Callable, smoke_workload: Callable
) -> None:
    run = experiment("optimization=baseline_attention", "device=cpu")
    subject = Subject(smoke_workload(name), {"stack": run.stack}, run.protocol, Path())
    with subject.configured("stack"), FlopCounterMode(display=False) as counter:
        subject.generate()
    operators, _ = simulated(experiment, f"workload={name}", "optimization=baseline_attention", "device=cpu")
    assert operators["flops"].sum() == counter.get_total_flops()


@pytest.mark.parametrize("name", ["stable_diffusion", "animatediff", "muse", "phenaki"])
def test_attention_flops_are_the_closed_form(name: str, experiment: Callable) -> None:
    """4 B H Sq Sk D a call, with the fused kernel as with the product of matrices."""
    for stack in ("flash_attention", "baseline_attention"):
        operators, calls = simulated(experiment, f"workload={name}", f"optimization={stack}")
        lengths = calls["query_length"] * calls["key_length"]
        expected = (4 * calls["batch"] * calls["heads"] * lengths * calls["head_dim"]).sum()
        assert operators.query("attention_part == 'core'")["flops"].sum() == expected


@pytest.mark.parametrize(
    ("pixels", "gflop", "convolution", "linear", "attention", "shortest", "longest"), STABLE_DIFFUSION
)
def test_stable_diffusions_unet_has_its_published_shares_at_every_size(
    pixels: int, gflop: float, convolution: float, linear: float, attention: float, shortest: int, longest: int,
    experiment: Callable,
) -> None:  # fmt: skip
    one_forward = ("request.guidance_scale=1", "request.num_inference_steps=1", "optimization=flash_attention")
    size = (f"request.height={pixels}", f"request.width={pixels}")
    operators, calls = simulated(experiment, "device.name=cuda", "scale=paper", *one_forward, *size)
    unet = operators[operators["module"].fillna("").str.startswith("denoiser")]
    total = unet["flops"].sum()
    assert total / 1e9 == pytest.approx(gflop, rel=0.01)
    share = 100 * unet.groupby("operator_class")["flops"].sum() / total
    for name, published in (("convolution", convolution), ("linear", linear), ("attention", attention)):
        assert share[name] == pytest.approx(published, abs=1.0)
    spatial = calls[(calls["stage"] == "denoise_step") & (calls["attention_kind"] == "spatial")]
    assert (spatial["query_length"].min(), spatial["query_length"].max()) == (shortest, longest)
