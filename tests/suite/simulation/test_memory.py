"""Simulated memory: against the profiler's peaks on this CPU, published desk figures, conservation, and replayed calls.

Names for the mirror: suite.simulation.memory_events, suite.simulation.lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from simulation.processors import NEEDS_X86

from suite.probes.memory import Memory
from suite.simulation.generation import simulate
from suite.simulation.lists import changed_outline, exchange, outline, refill
from suite.simulation.memory import LiveMemory
from suite.simulation.tables import Simulation
from suite.subject import Subject

GIB = 2**30
NAMED = (
    "stable_diffusion", "imagen", "prod_image", "muse", "parti", "phenaki", "make_a_video", "animatediff",
    "stable_video_diffusion", "llama",
)  # fmt: skip
OTHERS = ("flux", "sd3", "cogvideox", "wan", "ltx_video", "hunyuan_video", "sana")
LIKE_STABLE_DIFFUSION = ("imagen", "prod_image")
"""Its operators and attention at more cost."""
HALF_A_UNET = "workload.scales.smoke.dimensions.components.unet.config.layers_per_block=1"
FUSED, MATH = ("flash_attention", 0.02), ("baseline_attention", 0.05)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """With one thread a CPU takes other convolution kernels, whose temporaries the simulation knows less well."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def simulated(experiment: Callable, *overrides: str, replaying: bool = True) -> Simulation:
    run = experiment("execution=simulate", *overrides)
    workload = run.make_workload(replace(run.placement, device="meta"))
    workload.placement = run.placement
    subject = Subject(workload, {"stack": run.stack}, run.protocol, Path())
    with subject.configured("stack"):
        return simulate(workload, device=run.placement.device, replaying=replaying)


def peaks(table) -> dict[str, dict[str, int]]:
    return {row["stage"]: row for row in table.to_pylist()}


@pytest.mark.parametrize(
    ("name", "stack", "tolerance"),
    [(name, *FUSED) for name in NAMED]
    + [pytest.param(name, *MATH, marks=[pytest.mark.slow] * (name in LIKE_STABLE_DIFFUSION)) for name in NAMED]
    + [pytest.param(name, *kernel, marks=pytest.mark.slow) for name in OTHERS for kernel in (FUSED, MATH)],
)
@NEEDS_X86
@pytest.mark.usefixtures("two_threads")
def test_peaks_are_the_profilers(
    name: str, stack: str, tolerance: float, experiment: Callable, smoke_workload: Callable, tmp_path: Path
) -> None:
    run = experiment(f"optimization={stack}", "device=cpu")
    subject = Subject(smoke_workload(name), {"stack": run.stack}, run.protocol, tmp_path)
    measured = peaks(Memory().observe(subject).tables["memory_peaks"])
    found = peaks(simulated(experiment, f"workload={name}", f"optimization={stack}", "device=cpu").memory_peaks)
    for counter in ("allocated_bytes", "activations_bytes"):
        assert found["generate"][counter] == pytest.approx(measured["generate"][counter], rel=tolerance)
    for stage, row in measured.items():
        assert found[stage]["weights_bytes"] == row["weights_bytes"]
        assert found[stage]["allocated_bytes"] == pytest.approx(row["allocated_bytes"], rel=tolerance)


@pytest.mark.parametrize(
    ("overrides", "unet_gib", "decode_gib"),
    [
        (("workload=animatediff", "request.height=576", "request.width=1024", "request.num_frames=16"), 4.58, 13.5),
        pytest.param(("workload=stable_video_diffusion",), 4.35, 15.75, marks=pytest.mark.slow),
        pytest.param(("workload=stable_video_diffusion_xt",), 7.73, 28.13, marks=pytest.mark.slow),
    ],
)
def test_paper_scale_peaks_are_those_of_an_independent_desk_simulation(
    overrides: tuple[str, ...],
    unet_gib: float,
    decode_gib: float,
    experiment: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Live tensors of a U-Net forward and a VAE decode at 576 x 1024 with fused attention, fp16 and guidance, weights apart.

    It knew of no temporaries inside operators, so they are left out here.
    """
    monkeypatch.setattr("suite.simulation.scratch.ON_CUDA", {})
    few_steps = ("scale=paper", "device.name=cuda", "device.precision=float16", "request.num_inference_steps=2")
    found = peaks(simulated(experiment, *overrides, *few_steps).memory_peaks)
    assert found["denoise_step"]["activations_bytes"] / GIB == pytest.approx(unet_gib, rel=0.03)
    assert found["decode"]["activations_bytes"] / GIB == pytest.approx(decode_gib, rel=0.03)


H200_PEAKS = [
    (("workload=stable_diffusion", "scale=small"), 469125120, 509607936),
    (("workload=stable_diffusion", "scale=paper", "device.precision=float16"), 2826475008, 3424649216),
    (
        ("workload=animatediff", "scale=paper", "device.precision=float16", "request.height=512", "request.width=512"),
        11708205056,
        21032337408,
    ),
]
"""torch.cuda.max_memory_allocated and max_memory_reserved of one generation on an NVIDIA H200, torch 2.11, cuDNN 9.19."""


@pytest.mark.parametrize(("overrides", "allocated_bytes", "reserved_bytes"), H200_PEAKS)
def test_peaks_are_those_of_a_gpu(
    overrides: tuple[str, ...], allocated_bytes: int, reserved_bytes: int, experiment: Callable, tmp_path: Path
) -> None:
    words = ("execution=simulate", "device=cuda", "machine=h200", "request.num_inference_steps=5")
    run = experiment(*words, *overrides)
    found = peaks(run.execution.execute(run, tmp_path, lambda message: None).tables["memory_peaks"])["generate"]
    assert found["allocated_bytes"] == pytest.approx(allocated_bytes, rel=0.03)
    assert found["reserved_bytes"] == pytest.approx(reserved_bytes, rel=0.10)


@pytest.mark.parametrize("name", ["stable_diffusion", "animatediff", "muse", "parti", "phenaki", "imagen"])
def test_allocated_bytes_begin_with_the_weights_and_end_with_the_output_besides(
    name: str, experiment: Callable, smoke_workload: Callable
) -> None:
    found = simulated(experiment, f"workload={name}", "device=cpu")
    line = found.memory.to_pandas()
    weights = peaks(found.memory_peaks)["generate"]["weights_bytes"]
    output = smoke_workload(name).generate()
    assert line["allocated_bytes"].iloc[0] == weights
    assert (line["allocated_bytes"] >= weights).all()
    assert line["allocated_bytes"].iloc[-1] == weights + output.numel() * output.element_size()
    assert line["call"].is_monotonic_increasing
    assert (line["reserved_bytes"] >= line["allocated_bytes"]).all()


@pytest.mark.parametrize("name", ["stable_diffusion", "animatediff", "parti", "wan"])
def test_replayed_calls_hold_what_simulated_ones_do(name: str, experiment: Callable) -> None:
    skipping, full = (
        simulated(experiment, f"workload={name}", "device=cpu", replaying=replaying) for replaying in (True, False)
    )
    for column in ("stage", "weights_bytes", "activations_bytes", "allocated_bytes"):
        assert skipping.memory_peaks.column(column).equals(full.memory_peaks.column(column))
    assert skipping.memory.column("allocated_bytes").equals(full.memory.column("allocated_bytes"))


@pytest.mark.slow
def test_a_larger_request_never_needs_less(experiment: Callable) -> None:
    units = {"batch_size": 1, "num_frames": 2, "height": 64, "width": 64}

    def peak(**larger: int) -> int:
        asked = [f"request.{key}={unit * larger.get(key, 1)}" for key, unit in units.items()]
        words = ("workload=animatediff", *asked, "request.num_inference_steps=1", HALF_A_UNET)
        return peaks(simulated(experiment, *words).memory_peaks)["generate"]["allocated_bytes"]

    smallest = peak()
    for key in units:
        assert smallest < peak(**{key: 2}) < peak(**{key: 3}), key


def test_a_storage_lives_until_nobody_holds_it() -> None:
    memory = LiveMemory()
    first = torch.empty(256)
    memory.note((), [first])
    second, view = torch.empty(64), first[:4]
    memory.note([first], [second, view])
    del first
    assert memory.cut().sizes.tolist() == [1024, 256], "a view holds its storage"
    del view
    third = torch.empty(8)
    memory.note([second], [third], scratch_bytes=100)
    events = memory.cut()
    assert events.sizes.tolist() == [-1024, 32, 100, -100]
    assert events.ids.tolist() == [0, 2, 3, 3]


def test_lists_come_back_as_a_call_left_them() -> None:
    items = [None, 3, torch.ones(2)]
    mine = items[2]
    put_back = exchange(items, lambda leaf: "fake" if isinstance(leaf, torch.Tensor) else leaf)
    assert items == [None, 3, "fake"]
    items[0] = "kept"
    put_back()
    assert items[0] == "kept"
    assert items[2] is mine
    before = outline([None, 0])
    assert changed_outline(before, [None, 0]) is None
    changed = changed_outline(before, [torch.zeros(2, 3), 1])
    assert changed is not None
    again: list = [None, 0]
    made = list(refill([again], [changed], lambda shape, dtype: torch.zeros(shape, dtype=dtype)))
    assert [tensor.shape for tensor in made] == [(2, 3)]
    assert again[1] == 1


def test_a_causal_decoder_that_keeps_frames_in_a_list_is_counted_as_it_runs(
    experiment: Callable, smoke_workload: Callable, tmp_path: Path
) -> None:
    """Wan's decoder goes frame by frame and keeps the last ones: lost, its convolutions would see fewer frames."""
    run = experiment("optimization=flash_attention", "device=cpu")
    profiled = Subject(smoke_workload("wan"), {"stack": run.stack}, run.protocol, tmp_path).profile().attribution
    measured = profiled.operators.to_pandas().query("flops > 0").groupby(["stage", "operator_class"])["flops"].sum()
    fake = simulated(experiment, "workload=wan", "optimization=flash_attention", "device=cpu").operators.to_pandas()
    ours = fake.query("flops > 0").groupby(["stage", "operator_class"])["flops"].sum()
    assert ours.to_dict() == measured.to_dict()
