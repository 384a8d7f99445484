"""Muse: lengths and steps of its two decodings, the decoder against diffusers' own, sizes at published dimensions.

Names for the mirror: workloads.vqgan, workloads.t5_text, workloads.part_files, workloads.requests.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT
from diffusers import VQModel

from suite.errors import ConfigError
from suite.workload import Request
from workloads.part_files import save_parts
from workloads.requests import guide, guided_prompts
from workloads.vqgan import VQGANDecoder


def test_attention_sees_the_base_the_low_resolution_and_the_high(attention_calls: Callable) -> None:
    calls = attention_calls("muse")
    batch, text = 2, 64
    encoder = [("joint", batch, text, text)] * 2
    base_layer = [("spatial", batch, 16, 16), ("cross", batch, 16, text)]
    low = [("spatial", 1, 16, 16)] * 2  # once, and unguided: it sees no text
    high_layer = [("spatial", batch, 256, 256), ("cross", batch, 256, text + 16)]
    assert calls == encoder + base_layer * 6 * 4 + low + high_layer * 4 * 3


def test_published_sizes(meta_workload: Callable, num_parameters: Callable) -> None:
    parts = meta_workload("muse").parts
    assert num_parameters(parts["denoiser"]) == pytest.approx(3.2e9, rel=0.05)
    assert num_parameters(parts["text_encoder"]) == pytest.approx(4.6e9, rel=0.05)
    width = 1024
    encoder, transformer = parts["super_resolution"].values()
    assert num_parameters(encoder) == pytest.approx(16 * 12 * width**2, rel=0.05)
    assert num_parameters(transformer) == pytest.approx(32 * 16 * width**2, rel=0.05)


def test_published_lengths_and_steps(meta_workload: Callable) -> None:
    workload = meta_workload("muse")
    assert [sum(workload.base_schedule), len(workload.base_schedule)] == [256, 24]
    assert [sum(workload.super_resolution_schedule), len(workload.super_resolution_schedule)] == [4096, 8]


def test_guidance_grows_linearly_to_the_requests_scale(smoke_workload: Callable) -> None:
    workload = smoke_workload("muse")
    assert workload.request.guidance_scale == 6.0
    assert workload.guidance(5) == [2.0, 3.0, 4.0, 5.0, 6.0]


def test_without_guidance_one_batch_runs(attention_calls: Callable) -> None:
    calls = attention_calls("muse", "request.guidance_scale=1.0")
    assert {batch for _, batch, _, _ in calls} == {1}


def test_the_decoder_is_the_decoding_half_of_vqmodel() -> None:
    config = yaml.safe_load((ROOT / "conf" / "workload" / "muse.yaml").read_text())["scales"]["smoke"]["dimensions"]
    torch.manual_seed(0)
    decoder = VQGANDecoder(config["vqgan"]).eval()
    torch.manual_seed(0)
    whole = VQModel(**config["vqgan"]).eval()
    tokens_BRC = torch.randint(1024, (2, 3, 5))
    with torch.inference_mode():
        entries = whole.quantize.get_codebook_entry(tokens_BRC.flatten(), (2, 3, 5, 64))
        expected = (whole.decode(entries, force_not_quantize=True).sample / 2 + 0.5).clamp(0, 1)
        assert decoder(tokens_BRC).equal(expected)
        assert expected.shape == (2, 3, 24, 40)


def test_images_need_not_be_square(experiment: Callable) -> None:
    workload = experiment("workload=muse", "request.height=64", "request.width=128").make_workload()
    assert workload.generate().shape == (1, 3, 64, 128)


def test_prompts_and_guidance_put_the_unconditional_half_first() -> None:
    request = Request(
        prompt="a", negative_prompt="b", batch_size=2, height=None, width=None, num_frames=None,
        num_inference_steps=None, guidance_scale=3.0, seed=0,
    )  # fmt: skip
    assert guided_prompts(request) == ["b", "b", "a", "a"]
    without, with_prompt = torch.tensor([1.0]), torch.tensor([2.0])
    assert guide(torch.cat([without, with_prompt]), 3.0).item() == 4.0


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("request.height=48", r"request\.height=48: a multiple of 32"),
        ("request.num_inference_steps=17", "only 16 tokens"),
        ("request.num_frames=4", "muse knows no num_frames"),
    ],
)
def test_wrong_requests_are_one_sentence(experiment: Callable, override: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        experiment("workload=muse", override).make_workload()


def test_a_folder_of_parts_brings_its_own_weights(experiment: Callable, tmp_path: Path) -> None:
    source = experiment("workload=muse", "weights.seed=5").make_workload()
    save_parts(source.parts, source.tokenizer, tmp_path)
    pretrained = ("weights=pretrained", f"weights.path={tmp_path}")
    loaded = experiment("workload=muse", *pretrained).make_workload()
    assert loaded.notes == ()
    assert loaded.generate().equal(source.generate())
    (tmp_path / "decoder.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"decoder\.safetensors is needed"):
        experiment("workload=muse", *pretrained).make_workload()
