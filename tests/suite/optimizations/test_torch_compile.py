"""Compiled modules: eager output to rounding, taken off without trace, compiled once however often they are put on.

Names for the mirror: suite.optimizations.compilations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from optimizations.exactness import assert_exact, output_in_float64
from optimizations.tiny_models import caller, made
from torch import nn
from toy import ToyWorkload, device_settings, toy_subject

from suite.errors import ConfigError
from suite.execution.measured import Measured
from suite.optimizations import torch_compile
from suite.optimizations.compilations import Compilations
from suite.optimizations.torch_compile import TorchCompile, called_modules
from suite.probes.latency import Latency
from suite.workload import NotApplicableError, UnsupportedError

EAGER: dict[str, Any] = {
    "parts": ("denoiser",), "repeated_blocks": False, "backend": "eager", "mode": None, "fullgraph": False, "dynamic": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    yield
    torch._dynamo.reset()


def compiled(**changes: Any) -> TorchCompile:
    return TorchCompile(**EAGER | changes)


def workload_of(**parts: nn.Module) -> Any:
    return SimpleNamespace(parts=parts)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.linear(x)


class Breaking(nn.Module):
    """Asks for a value in the middle, which no graph can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.linear(x)
        print(end="")  # noqa: T201 - leaves the graph
        return self.linear(hidden)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_the_output_is_the_eager_one_to_rounding_and_the_very_one_without(backend: str) -> None:
    model = made("image_unet")
    call = caller("image_unet", model, 1, 1, 8, 8)
    reference = output_in_float64(model, lambda model: caller("image_unet", model, 1, 1, 8, 8))
    workload = workload_of(denoiser=model)
    optimization = compiled(backend=backend, repeated_blocks=backend == "aot_eager")
    with torch.inference_mode():
        expected = call()
        handle = optimization.apply(workload)
        assert_exact(call(), expected, reference)
        assert optimization._compilations.told().startswith("graphs: 1" if backend == "eager" else "graphs: 2")
        handle.revert()
        assert torch.equal(call(), expected)
    assert all(module._compiled_call_impl is None for module in model.modules())


@pytest.mark.slow  # a C++ compiler makes every kernel, a minute in all
def test_inductor_fuses_and_the_output_is_the_eager_one_to_rounding() -> None:
    model = made("image_unet")
    call = caller("image_unet", model, 1, 1, 8, 8)
    reference = output_in_float64(model, lambda model: caller("image_unet", model, 1, 1, 8, 8))
    with torch.inference_mode():
        expected = call()
        handle = compiled(backend="inductor", repeated_blocks=True).apply(workload_of(denoiser=model))
        assert_exact(call(), expected, reference)
        handle.revert()
        assert torch.equal(call(), expected)


def test_putting_it_on_again_compiles_nothing_again() -> None:
    """Arms take turns, and weights in another precision are other tensors every time."""
    model = Scaled()
    optimization, workload, x = compiled(), workload_of(denoiser=model), torch.randn(2, 4)
    for _ in range(3):
        model.linear.weight.data = model.linear.weight.data.clone()
        handle = optimization.apply(workload)
        model(x)
        handle.revert()
        model(x)
    assert (optimization._compilations.graphs, optimization._compilations.recompilations) == (1, 0)


def test_graph_breaks_and_recompilations_are_told() -> None:
    optimization, model = compiled(dynamic=False), Breaking()
    handle = optimization.apply(workload_of(denoiser=model))
    assert handle.findings is not None
    assert handle.findings() == "nothing has been compiled yet"
    model(torch.randn(2, 4))
    once = handle.findings()
    model(torch.randn(3, 4))
    handle.revert()
    compilations = optimization._compilations
    assert once.startswith("graphs: 2 in ")
    assert compilations.graphs == 4
    assert compilations.recompilations == 2, "one of what comes before the break, and one of what comes after"
    assert compilations.graph_breaks.total() == 2
    assert "graph breaks: 2, above all: " in compilations.told()
    assert compilations.seconds > 0


def test_what_is_compiled_while_nobody_watches_is_not_counted() -> None:
    compilations = Compilations()
    with compilations.watched():
        pass
    torch.compile(Scaled(), backend="eager")(torch.randn(2, 4))
    assert compilations.told() == "nothing has been compiled yet"


def test_the_record_tells_what_was_compiled_and_the_cold_start_is_a_warm_up_trial(tmp_path: Path) -> None:
    from suite.experiment import Experiment

    toy = ToyWorkload()
    subject = toy_subject(tmp_path)
    settings = device_settings(num_threads=None, deterministic=False)
    run = Experiment(
        run_id="toy", name="toy", output_dir=tmp_path, config={"execution": {"name": "measure"}}, command="",
        workload_name="toy", scale="smoke", weights_source="random", request=toy.request,
        placement=toy.placement, protocol=subject.protocol,
        make_workload=ToyWorkload, stack={"torch_compile": compiled()}, reference={}, probes={"latency": Latency()},
        execution=Measured(), save_output=False, save_trace=False, device_settings=settings,
    )  # fmt: skip
    found = run.run(lambda message: None)
    compilations = run.stack["torch_compile"]._compilations  # pyright: ignore[reportAttributeAccessIssue]
    (applied,) = next(arm.optimizations for arm in found.arms if arm.name == "stack")
    assert "; graphs: 1 in " in applied.changes
    assert applied.exact
    totals = [sample for sample in found.samples if sample.stage == "generate" and sample.arm == "stack"]
    cold = next(sample.value for sample in totals if sample.warmup)
    assert (compilations.graphs, compilations.recompilations) == (1, 0), "none of the other trials compiles"
    assert cold > compilations.seconds > 0, "compiling is in the first warm-up trial"


def test_a_vae_is_used_through_its_decoder_and_a_part_of_several_through_each() -> None:
    vae, other = made("image_vae"), nn.Linear(4, 4)
    assert called_modules(vae) == [vae.decoder]
    assert called_modules(nn.ModuleDict({"low": other, "high": vae})) == [other, vae.decoder]


def test_what_cannot_be_compiled_says_why(experiment: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    linear = nn.Linear(4, 4)
    with pytest.raises(NotApplicableError, match="no repeated blocks of a Linear"):
        compiled(repeated_blocks=True).apply(workload_of(denoiser=linear))
    with pytest.raises(NotApplicableError, match="no super_resolution"):
        compiled(parts=("super_resolution",)).apply(workload_of(denoiser=linear))
    handle = compiled().apply(workload_of(denoiser=linear))
    with pytest.raises(NotApplicableError, match="compiled already"):
        compiled().apply(workload_of(denoiser=linear))
    handle.revert()
    with pytest.raises(ConfigError, match=r"torch_compile\.parts=unet"):
        compiled(parts=("unet",))
    with pytest.raises(ConfigError, match=r"torch_compile\.backend=nvcc: one of .*inductor"):
        compiled(backend="nvcc").apply(workload_of(denoiser=linear))
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(UnsupportedError, match=r"needs a C\+\+ compiler"):
        compiled(backend="inductor").apply(workload_of(denoiser=linear))


def test_a_simulation_cannot_tell_what_would_be_fused(experiment: Callable) -> None:
    run = experiment("execution=simulate", "optimization=torch_compile")
    outcome = run.execution.execute(run, None, lambda message: None).record.outcome
    assert outcome.status == "unsupported"
    assert "a compiler fuses" in outcome.reason


def test_every_argument_is_one_of_torch_compile() -> None:
    names = {field.name for field in dataclasses.fields(TorchCompile) if field.init} - {"parts", "repeated_blocks"}
    assert names <= set(torch.compile.__code__.co_varnames)
    assert torch_compile.BLOCKS in vars(type(made("image_unet")))
