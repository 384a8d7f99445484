"""Simulation: fake runs against real ones to the last digit, skipped calls against simulated ones, and no memory at all.

Names for the mirror: suite.simulation.generation, suite.simulation.observer, suite.simulation.parts, suite.simulation.replay,
suite.simulation.tables, suite.simulation.tally, suite.execution.simulated, suite.execution.facts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import SHORT
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from suite import record_folder
from suite.progress import announce
from suite.simulation.generation import simulate
from suite.simulation.parts import fake_parts, sealed_modules
from suite.simulation.tables import Simulation
from suite.simulation.tally import AttentionCall, RowKey, Spell, affine
from suite.subject import Subject

WORKLOADS = ("stable_diffusion", "animatediff", "parti")


def simulated(experiment: Callable, *overrides: str, replaying: bool = True) -> Simulation:
    run = experiment(*overrides)
    workload = run.make_workload(replace(run.placement, device="meta"))
    subject = Subject(workload, {"stack": run.stack}, run.protocol, Path())
    with subject.configured("stack"):
        return simulate(workload, replaying=replaying)


def frame(table) -> pd.DataFrame:
    return table.to_pandas()


@pytest.mark.parametrize("stack", ["baseline_attention", "eager_attention", "flash_attention"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_flops_and_attention_calls_are_those_of_a_measured_run(
    name: str, stack: str, experiment: Callable, short_profile: Callable
) -> None:
    measured = short_profile(name, stack)
    fake = simulated(experiment, f"workload={name}", f"optimization={stack}", *SHORT[name])
    keys = ["stage", "step", "module", "operator_class", "attention_kind", "attention_part"]
    ours, theirs = (
        frame(table).query("flops > 0").groupby(keys, dropna=False)["flops"].sum()
        for table in (fake.operators, measured.operators)
    )
    pd.testing.assert_series_equal(ours, theirs, check_index_type=False)
    # What only asks for a value (is a mask all true?) is answered without an operator, and a scheduler's numbers between the
    # parts are not fake.
    in_parts = "vector_flops > 0 and operator != 'aten::all' and not module.isna()"
    ours, theirs = (
        frame(table).query(in_parts).groupby(["stage", "step", "module"], dropna=False)["vector_flops"].sum()
        for table in (fake.operators, measured.operators)
    )
    pd.testing.assert_series_equal(ours, theirs, check_index_type=False)
    columns = [
        "call",
        "stage",
        "step",
        "module",
        "attention_kind",
        "batch",
        "heads",
        "query_length",
        "key_length",
        "head_dim",
    ]
    columns += ["kernel", "precision"]
    pd.testing.assert_frame_equal(frame(fake.attention)[columns], frame(measured.attention)[columns])


@pytest.mark.parametrize("name", WORKLOADS)
def test_skipped_calls_cost_what_simulated_ones_do(name: str, experiment: Callable) -> None:
    """Denoising steps repeat; Parti's 16 decoding steps follow from two. Every row of every step is the same."""
    words = SHORT[name] if name == "parti" else ("request.num_inference_steps=3",)  # one replays what was replayed
    skipping = simulated(experiment, f"workload={name}", *words)
    full = simulated(experiment, f"workload={name}", *words, replaying=False)
    assert skipping.operators.equals(full.operators)
    assert skipping.attention.equals(full.attention)
    assert skipping.num_steps == full.num_steps


def test_the_paper_scale_unet_counts_what_the_paper_scale_unet_counts(experiment: Callable) -> None:
    """803.3 GFLOP a forward at 512 px, and the sixteen self-attention lengths of its U."""
    found = simulated(experiment, "scale=paper", "request.guidance_scale=1", "request.num_inference_steps=1")
    operators, calls = frame(found.operators), frame(found.attention)
    denoiser = operators[operators["module"].fillna("").str.startswith("denoiser")]
    assert denoiser["flops"].sum() == pytest.approx(803.3e9, rel=0.005)
    spatial = calls[(calls["attention_kind"] == "spatial") & (calls["stage"] == "denoise_step")]
    assert spatial["query_length"].tolist() == [
        4096, 4096, 1024, 1024, 256, 256, 64, 256, 256, 256, 1024, 1024, 1024, 4096, 4096, 4096,
    ]  # fmt: skip


def test_a_simulated_run_is_a_record_like_any_other(experiment: Callable, tmp_path: Path) -> None:
    overrides = ("execution=simulate", "workload=animatediff", "scale=paper", f"output_dir={tmp_path}")
    found = announce(experiment(*overrides), rerun=False)
    assert (found.outcome.status, found.execution, found.samples) == ("ok", "simulate", [])
    assert found.attention_disagreements == []
    assert found.workload.parts["denoiser"].num_parameters > 1.3e9
    denoiser = found.workload.parts["denoiser"]
    assert denoiser.weight_bytes == pytest.approx(4 * denoiser.num_parameters, rel=0.001), "buffers are little"
    (folder,) = record_folder.find_records(tmp_path)
    rows = frame(record_folder.load_table(folder, "operators"))
    assert rows["host_self_s"].isna().all()
    assert set(rows["step"].dropna()) == set(range(25))


def test_a_stack_that_does_not_apply_is_an_outcome(experiment: Callable, tmp_path: Path) -> None:
    overrides = ("execution=simulate", "workload=parti", "optimization=vae_slicing", f"output_dir={tmp_path}")
    assert announce(experiment(*overrides), rerun=False).outcome.status == "not_applicable"


def test_what_takes_values_is_unsupported_rather_than_left_out(experiment: Callable, tmp_path: Path) -> None:
    """Such as similarity between steps; the reason names the probe and the way out. The probes of every run are not."""
    for probe in ("similarity", "[latency,similarity]"):
        run = experiment("execution=simulate", f"probe={probe}", f"output_dir={tmp_path}")
        outcome = announce(run, rerun=False).outcome
        assert outcome.status == "unsupported"
        assert "probe=similarity" in outcome.reason
        assert "execution=measure" in outcome.reason


def test_inputs_become_fake_and_outputs_real_zeros_of_the_same_shape() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    mode = fake_parts({"denoiser": module})
    calls = []

    def around(called, run, args, kwargs):
        calls.append(called)
        return run()

    with sealed_modules(mode, around):
        output = module(torch.randn(3, 4))
        outside = nn.Linear(2, 2)(output)  # a real module stays real
    assert calls == [module], "only the outermost call is sealed"
    assert output.shape == (3, 2)
    assert type(output) is torch.Tensor
    assert not output.any()
    assert type(outside) is torch.Tensor
    assert isinstance(module[0].weight.data, FakeTensor), "weights stay fake, and so hold nothing"


def spell_of(length: int) -> Spell:
    """Costs of a layer whose keys are `length` long: 3 + 2 L FLOPs, 5 L of vector units, and bytes of 10 L."""
    key = RowKey("denoiser", "aten::mm", "linear", None, None, "float32")
    call = AttentionCall("denoiser", "causal", 1, 2, 1, length, 8, "math", "float32")
    return Spell((key,), np.array([[1, 3 + 2 * length, 5 * length, 0, 10 * length, 4]]), (call,))


def test_affine_costs_follow_from_two_lengths() -> None:
    first, second = spell_of(1), spell_of(2)
    found = affine(first, second, position=63.0)
    assert found is not None
    expected = spell_of(64)
    assert found.costs.tolist() == expected.costs.tolist()
    assert found.attention == expected.attention


def test_what_does_not_match_is_not_assumed() -> None:
    other = replace(spell_of(2), keys=(spell_of(2).keys[0]._replace(operator="aten::bmm"),))
    assert affine(spell_of(1), other, 2.0) is None
    wider = replace(spell_of(2), attention=(spell_of(2).attention[0]._replace(heads=3),))
    assert affine(spell_of(1), wider, 2.0) is None
