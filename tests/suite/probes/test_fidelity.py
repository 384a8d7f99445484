"""The fidelity probe: what it compares, what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn
from toy import Noted, ToyWorkload, toy_subject

from suite.optimizations.contract import Handle
from suite.probes.fidelity import Fidelity, compare, decoded_latents
from suite.subject import Subject


class Shifted:
    """Adds a constant to every image."""

    exact: ClassVar[bool] = False

    def __init__(self, by: float) -> None:
        self.by = by

    def apply(self, workload: Any) -> Handle:
        handle = Handle("shifted")
        handle.on_revert(workload.parts["decoder"].register_forward_hook(lambda *call: call[-1] + self.by).remove)
        return handle


def metrics(stack: dict[str, Any], scratch: Path, **arms: Any) -> dict[str, float]:
    subject = toy_subject(scratch, stack=stack, out_of_the_box={}, **arms)
    samples = Fidelity().observe(subject).samples
    assert {(sample.arm, sample.stage, sample.warmup) for sample in samples} == {("stack", "generate", False)}
    return {sample.metric: sample.value for sample in samples}


def test_a_known_shift(tmp_path: Path) -> None:
    found = metrics({"shifted": Shifted(0.01)}, tmp_path)
    expected = ToyWorkload().generate()
    assert found["psnr_db"] == pytest.approx(40, abs=1e-4)
    assert found["max_relative_error"] == pytest.approx(0.01 / expected.abs().max().item(), rel=1e-4)
    assert found["relative_l2_error"] == pytest.approx(
        0.01 * expected.numel() ** 0.5 / expected.norm().item(), rel=1e-4
    )
    assert "ssim" not in found, "4 x 4 pixels are fewer than the window"


def test_identical_outputs_have_no_psnr(tmp_path: Path) -> None:
    found = metrics({"nothing": Noted("nothing", [])}, tmp_path)
    assert found == {"max_relative_error": 0, "relative_l2_error": 0}


def test_without_a_stack_there_is_nothing_to_compare(tmp_path: Path) -> None:
    subject = toy_subject(tmp_path)
    assert Fidelity().observe(subject).samples == []
    assert subject.workload.num_calls == 0


def test_what_is_not_a_number_or_of_another_shape_is_left_out() -> None:
    image = torch.rand(1, 3, 16, 16)
    assert compare(image, image[..., :8], "image") == {}
    assert compare(image * torch.nan, image, "image") == {}
    assert compare(torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 0, 4]]), "text") == {"token_agreement": 0.75}


class Decoder(nn.Module):
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return 2 * latents


def test_latents_are_noted_and_the_decoder_is_put_back() -> None:
    workload = ToyWorkload()
    decoder = workload.parts["decoder"] = Decoder()
    with decoded_latents(workload) as seen:
        assert decoder.decode(torch.ones(2)).tolist() == [2, 2]
    assert [latents.tolist() for latents in seen] == [[1, 1]]
    assert "decode" not in vars(decoder)
    with decoded_latents(ToyWorkload()) as seen:
        assert seen == []


@pytest.mark.parametrize(("name", "exact"), [("vae_slicing", True), ("fewer_steps", False)])
def test_latents_of_a_pipeline(
    name: str, exact: bool, experiment: Callable, smoke_workload: Callable, tmp_path: Path
) -> None:
    run = experiment("workload=animatediff", f"optimization={name}")
    arms = {"stack": run.stack, "out_of_the_box": {}}
    subject = Subject(smoke_workload("animatediff"), arms, run.protocol, tmp_path)
    found = {sample.metric: sample.value for sample in Fidelity().observe(subject).samples}
    assert (found["latent_relative_error"] == 0) is exact
    assert (found["max_relative_error"] < 1e-5) is exact
    assert found["ssim"] <= 1 + 1e-12
