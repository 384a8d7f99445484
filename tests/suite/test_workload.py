"""Requests, weights and placements refuse what cannot be used, in one sentence with the key and the value."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from suite.errors import ConfigError
from suite.workload import Placement, Request, Weights


def request_of(**changes: object) -> Request:
    values: dict = {
        "prompt": "a horse", "negative_prompt": None, "batch_size": 1, "height": 64, "width": 96, "num_frames": None,
        "num_inference_steps": 2, "guidance_scale": 7.5, "seed": 0,
    }  # fmt: skip
    return Request(**values | changes)


@pytest.mark.parametrize("key", ["batch_size", "height", "width", "num_frames", "num_inference_steps"])
@pytest.mark.parametrize("value", [0, -3])
def test_counts_are_at_least_one(key: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"request.{key}={value}"):
        request_of(**{key: value})


def test_seed_and_guidance_have_bounds() -> None:
    with pytest.raises(ConfigError, match=r"request\.seed=-1"):
        request_of(seed=-1)
    with pytest.raises(ConfigError, match=r"request\.guidance_scale=-1"):
        request_of(guidance_scale=-1.0)


@pytest.mark.parametrize(("scale", "guided"), [(None, False), (0.0, False), (1.0, False), (1.01, True), (7.5, True)])
def test_guidance_runs_as_diffusers_decides(scale: float | None, guided: bool) -> None:
    assert request_of(guidance_scale=scale).guided is guided


def test_sizes_must_fit_the_latent_grid() -> None:
    assert request_of().require_multiple("width", 32) == 96
    with pytest.raises(ConfigError, match=r"request\.height=64: a multiple of 48"):
        request_of().require_multiple("height", 48)
    with pytest.raises(ConfigError, match=r"request\.num_frames=None"):
        request_of().require_multiple("num_frames", 1)


def test_weights_name_a_folder_that_exists_or_a_hub_id(tmp_path: Path) -> None:
    assert not Weights(source="random", path=None, seed=0).pretrained
    assert Weights(source="pretrained", path=str(tmp_path), seed=0).pretrained
    assert Weights(source="pretrained", path="runwayml/stable-diffusion-v1-5", seed=0).pretrained
    for path in ("/nowhere/at/all", "./nowhere", "nowhere", "a/b/c"):
        with pytest.raises(ConfigError, match="no such folder"):
            Weights(source="pretrained", path=path, seed=0)
    with pytest.raises(ConfigError, match=r"weights\.source=downloaded"):
        Weights(source="downloaded", path=None, seed=0)


def test_placement_knows_its_data_type() -> None:
    assert Placement(device="cpu", precision="bfloat16").dtype is torch.bfloat16
