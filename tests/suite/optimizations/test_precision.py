"""Weights in another precision: rounded once, brought back bit for bit, and as small as a workload built in that precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from optimizations.live_bytes import peak_bytes
from torch import nn

from suite.errors import ConfigError
from suite.optimizations import precision
from suite.optimizations.precision import Precision, kept_in_float32, rounds_noise
from suite.probes.fidelity import Fidelity
from suite.probes.memory import Memory
from suite.subject import Subject
from suite.workload import NotApplicableError, Placement

NEEDS_ROUNDED_NOISE = pytest.mark.skipif(
    torch.__version__ < "2.13" and not rounds_noise(torch.bfloat16),
    reason=f"needs a torch that draws half precision's noise in float32: {torch.__version__} does not",
)


class Model(nn.Module):
    """A weight, a table that checkpoints hold, one that they do not hold, and integers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.linear.weight
        self.register_buffer("held", torch.randn(3))
        self.register_buffer("rotary", torch.randn(3), persistent=False)
        self.register_buffer("positions", torch.arange(3))


def workload_of(**parts: nn.Module) -> Any:
    return SimpleNamespace(parts=parts, placement=Placement(device="cpu", precision="float32"))


def precisions(part: nn.Module) -> dict[str, torch.dtype]:
    return {name: tensor.dtype for name, tensor in (*part.named_parameters(), *part.named_buffers())}


def test_what_a_checkpoint_holds_is_rounded_and_comes_back_bit_for_bit() -> None:
    model = Model()
    workload = workload_of(denoiser=model)
    before = {name: tensor.clone() for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    handle = Precision("bfloat16").apply(workload)
    half, single = torch.bfloat16, torch.float32
    assert precisions(model) == {
        "linear.weight": half, "linear.bias": half, "tied.bias": half, "held": half, "rotary": single,
        "positions": torch.int64,
    }  # fmt: skip
    assert torch.equal(model.linear.weight.float(), before["linear.weight"].bfloat16().float())
    assert model.tied.weight is model.linear.weight
    assert workload.placement.dtype == half
    handle.revert()
    assert workload.placement.dtype == single
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        assert torch.equal(tensor, before[name])
        assert tensor.dtype == before[name].dtype


def test_a_buffer_that_is_a_view_is_put_aside_and_back() -> None:
    """As Stable Diffusion 3's positions are: a view in another type than its base is what torch.compile cannot take."""
    model = Model()
    base = torch.randn(6, requires_grad=False)
    model.register_buffer("seen", base[2:5])
    handle = Precision("bfloat16").apply(workload_of(denoiser=model))
    assert model.seen.dtype == torch.bfloat16
    assert not model.seen._is_view()
    assert torch.equal(model.seen, base[2:5].bfloat16())
    handle.revert()
    assert torch.equal(model.seen, base[2:5])
    assert model.seen.dtype == base.dtype == torch.float32


def test_what_the_library_keeps_in_float32_stays() -> None:
    """diffusers keeps its list in any half precision, transformers its own in float16 only."""
    model = Model()
    model._keep_in_fp32_modules = ["tied"]
    names = lambda precision: {  # noqa: E731
        name for name, tensor in model.state_dict(keep_vars=True).items()
        for kept in kept_in_float32(model, precision) if kept is tensor
    }  # fmt: skip
    assert names("bfloat16") == set()
    assert names("float16") == {"linear.weight", "tied.weight", "tied.bias"}
    model.enable_layerwise_casting = None  # as models of diffusers have it
    assert names("bfloat16") == {"linear.weight", "tied.weight", "tied.bias"}
    handle = Precision("bfloat16").apply(workload_of(denoiser=model))
    assert model.linear.weight.dtype == torch.float32
    assert model.linear.bias.dtype == torch.bfloat16
    assert ", but for 2 that the library keeps in float32" in handle.changes


def test_a_precision_that_is_there_already_changes_nothing() -> None:
    with pytest.raises(NotApplicableError, match="in float32 already"):
        Precision("float32").apply(workload_of(denoiser=Model()))
    with pytest.raises(ConfigError, match="precision=float8: one of float32, bfloat16, float16"):
        Precision("float8")


@NEEDS_ROUNDED_NOISE
def test_noise_is_the_same_in_every_precision_but_for_rounding() -> None:
    """Without this, outputs of one seed could not be compared."""
    for dtype in (torch.bfloat16, torch.float16):
        drawn, rounded = (
            torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3), dtype=each).to(dtype)
            for each in (dtype, torch.float32)
        )
        assert torch.equal(drawn, rounded)
        assert rounds_noise(dtype)


@pytest.mark.parametrize(
    ("rounds", "device", "says"), [(True, "cpu", False), (False, "cpu", True), (False, "cuda", False)]
)
def test_other_noise_is_told(rounds: bool, device: str, says: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "rounds_noise", lambda dtype: rounds)
    placement = Placement(device=device, precision="float32")
    handle = Precision("bfloat16").apply(SimpleNamespace(parts={}, placement=placement))
    assert handle.changes.endswith("draws other noise in bfloat16, so its outputs are other ones") is says


@pytest.mark.parametrize("name", ["stable_diffusion", "make_a_video", "parti"])
def test_a_generation_runs_in_it_and_is_the_same_again_without(
    name: str, experiment: Callable, smoke_workload: Callable
) -> None:
    workload = smoke_workload(name)
    run = experiment("optimization=bf16")
    expected = workload.generate()
    handle = run.stack["bf16"].apply(workload)
    found = workload.generate()
    handle.revert()
    assert found.shape == expected.shape
    assert not torch.equal(found.float(), expected.float())
    assert torch.equal(workload.generate(), expected)


def test_memory_of_a_stack_in_half_precision(experiment: Callable, smoke_workload: Callable, tmp_path: Path) -> None:
    """Half the bytes for weights, the originals that are kept for the way back not counted, and for what is computed.

    The profiler's peak is another matter: a CPU whose kernels know no bfloat16 makes float32 copies inside operators.
    """
    workload = smoke_workload("stable_diffusion")
    stack = experiment("optimization=bf16").stack
    weights, live = [], []
    for arm in ({}, stack):
        subject = Subject(workload, {"stack": arm}, experiment().protocol, tmp_path)
        rows = {row["stage"]: row for row in Memory().observe(subject).tables["memory_peaks"].to_pylist()}
        weights.append(rows["generate"]["weights_bytes"])
        with subject.configured("stack"):
            live.append(peak_bytes(workload.generate))
    assert weights[1] == pytest.approx(weights[0] / 2, rel=0.01)
    assert live[1] < 0.6 * live[0]


@NEEDS_ROUNDED_NOISE
def test_fidelity_of_a_stack_in_half_precision(experiment: Callable, smoke_workload: Callable, tmp_path: Path) -> None:
    workload, stack = smoke_workload("stable_diffusion"), experiment("optimization=bf16").stack
    subject = Subject(workload, {"stack": stack, "out_of_the_box": {}}, experiment().protocol, tmp_path)
    found = {sample.metric: sample.value for sample in Fidelity().observe(subject).samples}
    assert 30 < found["psnr_db"] < 60, "rounded, and nothing else"


def test_a_simulation_in_it_is_one_of_a_workload_built_in_it(experiment: Callable) -> None:
    simulated = []
    for overrides in (["optimization=bf16"], ["device.precision=bfloat16"]):
        run = experiment("execution=simulate", "request.num_inference_steps=1", *overrides)
        result = run.execution.execute(run, None, lambda message: None)
        peaks = {row["stage"]: row["allocated_bytes"] for row in result.tables["memory_peaks"].to_pylist()}
        rows = result.tables["operators"].to_pylist()
        simulated.append((peaks, sum(row["bytes_read"] + row["bytes_written"] for row in rows)))
    assert simulated[0] == simulated[1]
