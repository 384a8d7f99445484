"""Models that diffusers drives, at scale=paper: parameters against what their papers and model cards say, without memory.

Names for the mirror: workloads.prod_image.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from suite.subject import Subject

PUBLISHED = {
    "stable_diffusion": {"denoiser": 859_520_964, "text_encoder": 123e6, "decoder": 83.7e6},
    "animatediff": {"denoiser": 2.63e9 / 2, "decoder": 83.7e6},  # 2.63 GB in half precision
    "prod_image": {"denoiser": 2_567_463_684, "text_encoder": 123e6 + 694.7e6},
    "sdxl": {"denoiser": 2_567_463_684, "text_encoder": 817e6},
    "stable_video_diffusion": {"denoiser": 1524.6e6, "text_encoder": 632e6, "decoder": 97.7e6},
    "stable_video_diffusion_xt": {"denoiser": 1524.6e6},
    "flux": {"denoiser": 11.9e9, "text_encoder": 123e6 + 4.76e9},
    "flux_schnell": {"denoiser": 11.9e9},
    "sd3": {"denoiser": 2.03e9},
    "sd35_large": {"denoiser": 8.06e9},
    "wan": {"denoiser": 1.42e9, "decoder": 126.9e6},
    "wan_14b": {"denoiser": 14.3e9},
    "ltx_video": {"denoiser": 1.92e9},
    "cogvideox": {"denoiser": 1.69e9, "decoder": 215.6e6},
    "cogvideox_5b": {"denoiser": 5.57e9, "decoder": 215.6e6},
    "hunyuan_video": {"denoiser": 12.8e9, "decoder": 246.5e6},
    "sana": {"denoiser": 1.60e9, "decoder": 312e6},
    "sana_video": {"denoiser": 2.06e9},
}
CONFIGURATIONS = {
    "cogvideox_5b": {
        "transformer": {"num_layers": 42, "num_attention_heads": 48, "use_rotary_positional_embeddings": True},
        "vae": {"scaling_factor": 0.7},
        "scheduler": {"snr_shift_scale": 1.0},
    },
    "flux_schnell": {
        "transformer": {"num_layers": 19, "num_single_layers": 38, "guidance_embeds": False},
        "scheduler": {"shift": 1.0, "use_dynamic_shifting": False},
    },
    "sd35_large": {
        "transformer": {"num_layers": 38, "num_attention_heads": 38, "attention_head_dim": 64, "joint_attention_dim": 4096,
                        "caption_projection_dim": 2432, "pos_embed_max_size": 192, "qk_norm": "rms_norm"},
        "scheduler": {"shift": 3.0},
    },
    "wan_14b": {
        "transformer": {"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824},
        "scheduler": {"flow_shift": 5.0},
    },
}  # fmt: skip
"""What the config.json files say where a variant differs from the workload that it is made of, or might."""
SIXTEEN = [4096] * 2 + [1024] * 2 + [256] * 2 + [64] + [256] * 3 + [1024] * 3 + [4096] * 3
"""Lengths of self-attention in one forward of Stable Diffusion's U-Net at 512 px, from down over middle to up."""
DESCRIBED = [
    path
    for path in sorted((ROOT / "conf" / "workload").glob("*.yaml"))
    if "class: diffusers." in path.read_text() and "scales" in yaml.safe_load(path.read_text())
]


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str, meta_workload: Callable, num_parameters: Callable) -> None:
    workload = meta_workload(name)
    for part, expected in PUBLISHED[name].items():
        assert num_parameters(workload.parts[part]) == pytest.approx(expected, rel=0.005), part


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_variant_is_configured_as_published(name: str, meta_workload: Callable) -> None:
    components = meta_workload(name).pipeline.components
    for component, published in CONFIGURATIONS[name].items():
        config = components[component].config
        assert {key: config[key] for key in published} == published, component


def test_schnell_is_flux_less_what_embeds_guidance(meta_workload: Callable, num_parameters: Callable) -> None:
    """Two layers with biases, 256 wide to 3072 to 3072: a difference too small for a tolerance."""
    dev, schnell = (num_parameters(meta_workload(name).parts["denoiser"]) for name in ("flux", "flux_schnell"))
    assert dev - schnell == 256 * 3072 + 3072 + 3072 * 3072 + 3072


def test_what_stands_in_for_the_production_model_is_sdxl(meta_workload: Callable) -> None:
    sdxl, stand_in = (meta_workload(name) for name in ("sdxl", "prod_image"))
    assert sdxl.request == stand_in.request
    for name, component in sdxl.pipeline.components.items():
        assert getattr(component, "config", None) == getattr(stand_in.pipeline.components[name], "config", None), name


def test_the_streamlined_settings_are_the_papers(meta_workload: Callable) -> None:
    """Zhan et al. 2024 (arXiv 2411.01171): 16, 14 and 25 frames, 25 steps, 576 x 1024 (AnimateDiff also 512 x 512)."""
    for name, frames in (("animatediff", 16), ("stable_video_diffusion", 14), ("stable_video_diffusion_xt", 25)):
        request = meta_workload(name).request
        assert (request.num_frames, request.num_inference_steps) == (frames, 25)
    request = meta_workload("stable_video_diffusion").request
    assert (request.height, request.width) == (576, 1024)


@pytest.mark.slow
def test_stable_diffusion_really_runs_at_its_published_size(experiment: Callable, tmp_path: Path) -> None:
    """One step at 512 px on this machine: the sixteen lengths of its self-attention, and 77 keys of text beside each."""
    planned = experiment("workload=stable_diffusion", "scale=paper", "request.num_inference_steps=1")
    subject = Subject(planned.make_workload(), {"stack": {}}, planned.protocol, tmp_path)
    calls = subject.profile().attribution.attention.to_pandas().query("stage == 'denoise_step'")
    spatial, cross = (calls[calls["attention_kind"] == kind] for kind in ("spatial", "cross"))
    assert list(spatial["query_length"]) == list(spatial["key_length"]) == list(cross["query_length"]) == SIXTEEN
    assert set(cross["key_length"]) == {77}


@pytest.mark.parametrize("path", DESCRIBED, ids=lambda path: path.stem)
def test_every_key_of_a_diffusers_component_is_one_it_takes(path: Any) -> None:
    """diffusers ignores what it does not know; a typing error in a YAML must not pass for a dimension."""
    from workloads.components import find_class

    for component in components(yaml.safe_load(path.read_text())["scales"]):
        if component["class"].startswith("diffusers."):
            taken = set(inspect.signature(find_class(component["class"]).__init__).parameters)
            assert set(component["config"]) <= taken, component["class"]


def components(node: Any) -> Iterator[dict[str, Any]]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and "class" in node:
        yield node
    for child in children:
        yield from components(child)
