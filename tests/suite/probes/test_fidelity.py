"""The fidelity probe: what it compares, what it leaves out.

Names for the mirror: suite.probes.perceptual.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.error import URLError

import pytest
import torch
from optimizations.exactness import allowed_error
from torch import nn
from toy import Noted, ToyWorkload, toy_subject

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.probes.fidelity import Fidelity, compare, decoded_latents
from suite.probes.perceptual import perceptual_distance
from suite.subject import Subject
from suite.workload import UnsupportedError


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


class FakeLpips(nn.Module):
    """Like the package's: takes images in [0, 1] if told so, gives a value an image; here their mean difference."""

    def __init__(self, net: str, verbose: bool) -> None:
        super().__init__()
        if net == "vgg":
            raise URLError("no route to host")

    def forward(self, one: torch.Tensor, other: torch.Tensor, normalize: bool) -> torch.Tensor:
        assert normalize
        assert one.shape[:2] == (1, 3)
        return (one - other).mean(dim=(1, 2, 3), keepdim=True)


def test_lpips_is_the_mean_over_frames_of_what_its_package_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=FakeLpips))
    subject = toy_subject(tmp_path, stack={"shifted": Shifted(0.25)}, out_of_the_box={})
    found = {sample.metric: sample.value for sample in Fidelity(lpips="alex").observe(subject).samples}
    assert found["lpips"] == pytest.approx(0.25, rel=1e-5)
    video = torch.rand(2, 5, 3, 8, 8)
    assert perceptual_distance("alex")(video + 0.5, video) == pytest.approx(0.5, rel=1e-5)


def test_lpips_that_cannot_be_had_says_why_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = toy_subject(tmp_path, stack={"shifted": Shifted(0.25)}, out_of_the_box={})
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(UnsupportedError, match="pip install lpips"):
        Fidelity(lpips="alex").observe(subject)
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=FakeLpips))
    with pytest.raises(UnsupportedError, match=r"trunk vgg cannot be had: .*no route to host"):
        Fidelity(lpips="vgg").observe(subject)
    assert subject.workload.num_calls == 0
    with pytest.raises(ConfigError, match=r"lpips=resnet: alex, vgg, squeeze or null"):
        Fidelity(lpips="resnet")


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
    name: str, exact: bool, experiment: Callable, smoke_workload: Callable, float64_output: Callable, tmp_path: Path
) -> None:
    """Two outputs that are exact may lie on either side of the true one."""
    run = experiment("workload=animatediff", f"optimization={name}")
    arms = {"stack": run.stack, "out_of_the_box": {}}
    workload = smoke_workload("animatediff")
    rounding = 2 * allowed_error(workload.generate(), float64_output("animatediff"))
    subject = Subject(workload, arms, run.protocol, tmp_path)
    found = {sample.metric: sample.value for sample in Fidelity().observe(subject).samples}
    assert (found["latent_relative_error"] == 0) is exact
    assert (found["max_relative_error"] <= rounding) is exact
    assert found["ssim"] <= 1 + 1e-12
