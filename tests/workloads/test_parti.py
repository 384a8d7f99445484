"""Parti: the cache changes what is computed, never which tokens come out; what attention sees; published sizes.

Names for the mirror: workloads.vit_vqgan, workloads.wdsr.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from optimizations.exactness import cast_to_float64

from suite.errors import ConfigError
from workloads.part_files import save_parts
from workloads.vit_vqgan import ViTVQGANDecoder
from workloads.wdsr import WDSR

NO_CACHE = "workload.scales.smoke.dimensions.kv_cache=false"
TOKENS, TEXT, LAYERS = 64, 64, 4


def tokens_of(workload) -> torch.Tensor:
    with torch.inference_mode():
        return workload.sample_tokens(workload.encode_text())


def test_the_same_tokens_with_and_without_cache(experiment: Callable) -> None:
    """In float64: one query is given other kernels than all of them, and their rounding decides where two tokens tie."""
    tokens_BN, uncached_BN = (
        tokens_of(cast_to_float64(experiment("workload=parti", *overrides).make_workload()))
        for overrides in ((), (NO_CACHE,))
    )
    assert tokens_BN.shape == (1, TOKENS)
    assert tokens_BN.equal(uncached_BN)
    assert 0 <= tokens_BN.min() <= tokens_BN.max() < 1024
    assert len(tokens_BN.unique()) > 10


@pytest.mark.parametrize("overrides", [(), (NO_CACHE,)])
def test_attention_sees_a_key_more_in_each_step_and_one_query_with_a_cache(
    overrides: tuple[str, ...], attention_calls: Callable
) -> None:
    expected = [("joint", 2, TEXT, TEXT)] * 2
    for keys in range(1, TOKENS + 1):
        queries = keys if overrides else 1
        expected += [("causal", 2, queries, keys), ("cross", 2, queries, TEXT)] * LAYERS
    expected += [("spatial", 1, TOKENS, TOKENS)] * 2
    assert attention_calls("parti", *overrides) == expected


def test_later_tokens_change_no_earlier_prediction(smoke_workload: Callable) -> None:
    decoder = smoke_workload("parti").parts["denoiser"]
    tokens_BN, context_BTD = torch.randint(1024, (1, 9)), torch.randn(1, 5, 256)
    changed_BN = tokens_BN.clone()
    changed_BN[:, 6] = (changed_BN[:, 6] + 1) % 1024
    with torch.inference_mode():
        for length in range(1, 10):
            same = decoder(tokens_BN[:, :length], context_BTD, None).equal(
                decoder(changed_BN[:, :length], context_BTD, None)
            )
            assert same == (length <= 6)


def test_without_temperature_the_likeliest_token_is_taken(experiment: Callable) -> None:
    zero = experiment("workload=parti", "workload.scales.smoke.dimensions.temperature=0").make_workload()
    logits_BV = torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 1.0]])
    assert zero.draw(logits_BV, torch.Generator()).tolist() == [[1], [0]]
    one = experiment("workload=parti").make_workload()
    assert one.draw(logits_BV * 1e4, torch.Generator()).tolist() == [[1], [0]]


@pytest.mark.parametrize(("name", "published"), [("parti", 20.0e9), ("parti_3b", 3.0e9)])
def test_published_sizes(name: str, published: float, meta_workload: Callable, num_parameters: Callable) -> None:
    """The figure counts the two transformers; embeddings of text and the tokenizer of images stand beside it."""
    parts = meta_workload(name).parts
    assert num_parameters(parts["text_encoder"]) + num_parameters(parts["denoiser"]) == pytest.approx(
        published, rel=0.05
    )
    assert meta_workload(name).num_image_tokens == 1024


def test_the_transformers_sizes_are_closed_forms(meta_workload: Callable, num_parameters: Callable) -> None:
    parts, width, mlp = meta_workload("parti").parts, 4096, 16384
    blocks = parts["denoiser"].blocks
    a_layer = 8 * width**2 + 2 * width * mlp + mlp + width + 3 * 2 * width
    assert num_parameters(blocks) == 64 * a_layer
    encoder_layer = 4 * width**2 + 2 * width * mlp + 2 * width
    buckets = 32 * 64  # of relative positions, in the first layer only
    assert num_parameters(parts["text_encoder"].encoder.block) == 16 * encoder_layer + buckets


@torch.inference_mode()
def test_a_tokens_patch_lands_at_its_place() -> None:
    torch.manual_seed(0)
    decoder = ViTVQGANDecoder(
        (2, 3), codebook_size=16, code_width=4, width=32, mlp_width=64, num_layers=1, num_heads=4, patch_size=8
    )
    decoder.double()  # its output is computed from other numbers below, and kernels round them otherwise
    patches_BNP = torch.randn(1, 6, 3 * 8 * 8, dtype=torch.float64)
    image_CHW = decoder._image(patches_BNP)[0]
    assert image_CHW.shape == (3, 16, 24)
    assert image_CHW[:, 8:16, 16:24].equal(patches_BNP[0, 5].view(3, 8, 8))
    assert image_CHW[:, 0:8, 8:16].equal(patches_BNP[0, 1].view(3, 8, 8))
    tokens_BN = torch.zeros(1, 6, dtype=torch.long)
    scaled = ViTVQGANDecoder(
        (2, 3), codebook_size=16, code_width=4, width=32, mlp_width=64, num_layers=1, num_heads=4, patch_size=8
    )
    scaled.double().load_state_dict(decoder.state_dict())
    scaled.codebook.weight.mul_(7)
    torch.testing.assert_close(decoder(tokens_BN), scaled(tokens_BN))


@torch.inference_mode()
def test_super_resolution_without_features_is_a_shuffled_convolution() -> None:
    torch.manual_seed(0)
    network = WDSR(8, 2, upsampling=3).double()
    x_BCHW = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    assert network(x_BCHW).shape == (1, 3, 12, 15)
    network.conv_out.weight.zero_()
    network.conv_out.bias.zero_()
    weight, bias = network.short_way.weight, network.short_way.bias
    convolved = torch.nn.functional.conv2d(x_BCHW, weight, bias, padding=2)
    expected = convolved.view(1, 3, 3, 3, 4, 5).permute(0, 1, 4, 2, 5, 3).reshape(1, 3, 12, 15)
    torch.testing.assert_close(network(x_BCHW), expected)


@pytest.mark.parametrize("key", ["negative_prompt=blurry", "num_frames=8", "num_inference_steps=4"])
def test_what_parti_does_not_know_is_refused(key: str, experiment: Callable) -> None:
    with pytest.raises(ConfigError, match=rf"request\.{key}: parti knows no"):
        experiment("workload=parti", f"request.{key}").make_workload()


def test_a_folder_of_parts_brings_its_own_weights(experiment: Callable, tmp_path: Path) -> None:
    source = experiment("workload=parti", "weights.seed=5").make_workload()
    save_parts(source.parts, source.tokenizer, tmp_path)
    loaded = experiment("workload=parti", "weights=pretrained", f"weights.path={tmp_path}").make_workload()
    assert loaded.notes == ()
    assert loaded.generate().equal(source.generate())
