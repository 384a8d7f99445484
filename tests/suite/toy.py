"""A workload of a few lines, for tests of everything that runs workloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from suite.attribution.scopes import AttentionRule
from suite.experiment import DeviceSettings
from suite.optimizations.contract import Handle
from suite.protocol import MeasurementProtocol
from suite.stage import stage
from suite.subject import Subject
from suite.workload import NotApplicableError, Placement, Request, Workload


class ToyAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(16, 48)

    def forward(self, hidden_BND: torch.Tensor) -> torch.Tensor:
        query, key, value = self.to_qkv(hidden_BND).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        return attended.transpose(1, 2).flatten(-2)


class ToyDenoiser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = ToyAttention()

    def forward(self, hidden_BND: torch.Tensor) -> torch.Tensor:
        return self.attn(hidden_BND)


class ToyWorkload(Workload):
    """Two steps of attention, then a decoder: ``[1, 3, 4, 4]``. Calls are counted; the n-th may be made to raise."""

    family: ClassVar[str] = "diffusion_latent"
    media: ClassVar[str] = "image"
    attention_rules: ClassVar = (AttentionRule(r"^denoiser\.attn$", "spatial"),)
    notes = ("A toy.",)

    def __init__(self, on_generate: Callable[[int], object] = lambda call: None, num_steps: int = 2) -> None:
        torch.manual_seed(0)
        self.request = Request(
            prompt="toy", negative_prompt=None, batch_size=2, height=4, width=4, num_frames=None,
            num_inference_steps=num_steps, guidance_scale=None, seed=0,
        )  # fmt: skip
        self.placement = Placement(device="cpu", precision="float32")
        self.parts = {"denoiser": ToyDenoiser(), "decoder": nn.Conv2d(16, 3, 1)}
        self.on_generate = on_generate
        self.num_calls = 0

    @torch.inference_mode()
    def generate(self) -> Any:
        self.num_calls += 1
        self.on_generate(self.num_calls)
        hidden_BND = torch.ones(1, 16, 16)
        for _ in range(self.request.num_inference_steps or 0):
            with stage("denoise_step"):
                hidden_BND = self.parts["denoiser"](hidden_BND)
        with stage("decode"):
            return self.parts["decoder"](hidden_BND.transpose(1, 2).unflatten(-1, (4, 4)))

    def save(self, output: Any, folder: Path) -> list[Path]:
        path = folder / "image_0.txt"
        path.write_text(str(output.sum().item()))
        return [path]


class Noted:
    """An optimization that writes down when it is put on and taken off."""

    exact: ClassVar[bool] = True

    def __init__(self, name: str, journal: list[str], applicable: bool = True) -> None:
        self.name, self.journal, self.applicable = name, journal, applicable

    def apply(self, workload: Workload) -> Handle:
        if not self.applicable:
            raise NotApplicableError(f"{self.name} changes nothing")
        self.journal.append(f"+{self.name}")
        handle = Handle(f"{self.name} is on")
        handle.on_revert(lambda: self.journal.append(f"-{self.name}"))
        return handle


def quick_protocol(**changes: Any) -> MeasurementProtocol:
    values: dict = {
        "min_warmup_trials": 1, "max_warmup_trials": 3, "steady_tolerance": 10.0, "min_trials": 2, "max_trials": 4,
        "target_relative_interval": 0.0, "max_measuring_s": 60,
    }  # fmt: skip
    return MeasurementProtocol(**values | changes)


def device_settings(**changes: Any) -> DeviceSettings:
    values: dict = {
        "num_threads": None, "allow_tf32_matmul": False, "allow_tf32_cudnn": False, "deterministic": False,
        "expandable_segments": False,
    }  # fmt: skip
    return DeviceSettings(**values | changes)


def toy_subject(scratch: Path, workload: Workload | None = None, **arms: Any) -> Subject:
    return Subject(workload or ToyWorkload(), {"stack": {}} | arms, quick_protocol(), scratch)
