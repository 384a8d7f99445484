"""Phenaki: one sequence of all space and time in the MaskGIT, time and space apart in C-ViViT, which looks only backwards.

Name for the mirror: workloads.c_vivit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from suite.errors import ConfigError
from workloads.c_vivit import CViViTDecoder
from workloads.part_files import save_parts

GRID = (4, 2, 3)


@pytest.fixture(scope="module")
def decoder() -> CViViTDecoder:
    torch.manual_seed(0)
    return CViViTDecoder(
        GRID,
        codebook_size=64,
        code_width=8,
        width=32,
        mlp_width=64,
        num_heads=4,
        num_temporal_layers=2,
        num_spatial_layers=2,
        frames_per_token=2,
        patch_size=8,
    ).eval()


def test_attention_is_joint_in_the_maskgit_and_split_in_c_vivit(attention_calls: Callable) -> None:
    calls = attention_calls("phenaki")
    times, places, text, batch = 4, 64, 64, 2
    encoder = [("joint", batch, text, text)] * 2
    layer = [("joint", batch, times * places, times * places), ("cross", batch, times * places, text)]
    decoder = [("temporal", places, times, times)] * 2 + [("spatial", times, places, places)] * 2
    assert calls == encoder + layer * 4 * 4 + decoder


def test_published_sizes_lengths_and_steps(meta_workload: Callable, num_parameters: Callable) -> None:
    workload = meta_workload("phenaki")
    assert workload.grid == (6, 16, 16)
    assert [sum(workload.schedule), len(workload.schedule)] == [1536, 48]
    assert workload.temporal_lengths == (6,)
    assert num_parameters(workload.parts["denoiser"]) == pytest.approx(1.6e9, rel=0.05)
    width = 512
    assert num_parameters(workload.parts["decoder"]) == pytest.approx(8 * 12 * width**2, rel=0.05)


@torch.inference_mode()
def test_what_comes_later_changes_no_earlier_frame(decoder: CViViTDecoder) -> None:
    tokens_BN = torch.randint(64, (1, 24))
    changed_BN = tokens_BN.clone()
    changed_BN[:, 2 * 6 :] = (changed_BN[:, 2 * 6 :] + 1) % 64  # times 2 and 3
    difference_F = (decoder(tokens_BN) - decoder(changed_BN)).abs().amax(dim=(0, 2, 3, 4))
    assert len(difference_F) == 7
    assert (difference_F[:3] == 0).all(), "frame 0 is time 0, frames 1 and 2 are time 1"
    assert (difference_F[3:] > 0).all()


@torch.inference_mode()
def test_temporal_layers_keep_places_apart_and_spatial_layers_keep_times_apart(decoder: CViViTDecoder) -> None:
    x = torch.randn(6, 4, 32)
    changed = x.clone()
    changed[2] += 1
    for blocks in (decoder.temporal, decoder.spatial):
        before, after = x, changed
        for block in blocks:
            before, after = block(before), block(after)
        assert (before - after).abs().amax(dim=(1, 2)).gt(0).tolist() == [False, False, True, False, False, False]


@torch.inference_mode()
def test_a_tokens_patch_lands_at_its_place_and_time(decoder: CViViTDecoder) -> None:
    """Without attention a token is its patch, so that changing one changes that patch alone."""
    layers = decoder.temporal, decoder.spatial
    decoder.temporal, decoder.spatial = torch.nn.ModuleList(), torch.nn.ModuleList()
    tokens_BN = torch.zeros(1, 24, dtype=torch.long)
    for time, row, column, frames in ((0, 0, 1, slice(0, 1)), (2, 1, 2, slice(3, 5))):
        changed_BN = tokens_BN.clone()
        changed_BN[0, (time * 2 + row) * 3 + column] = 7
        changed = (decoder(tokens_BN) != decoder(changed_BN))[0].any(dim=1)  # F H W
        expected = torch.zeros_like(changed)
        expected[frames, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = True
        assert not changed[~expected].any()
        assert changed[expected].float().mean() > 0.9
    decoder.temporal, decoder.spatial = layers


@torch.inference_mode()
def test_a_patch_lies_in_order_of_frames_channels_rows_and_columns(decoder: CViViTDecoder) -> None:
    patches_BTSP = torch.randn(1, 3, 6, 2 * 3 * 8 * 8)
    frames_FCHW = decoder.frames(patches_BTSP, 2)[0]
    patch = patches_BTSP[0, 1, 4].view(2, 3, 8, 8)  # time 1, row 1, column 1
    assert frames_FCHW.shape == (6, 3, 16, 24)
    assert frames_FCHW[2:4, :, 8:16, 8:16].equal(patch)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("request.num_frames=8", r"request\.num_frames=8: one frame and a multiple of 2 are needed, such as 11"),
        ("request.num_frames=1", r"request\.num_frames=1"),
        ("request.width=60", r"request\.width=60: a multiple of 8"),
        ("request.num_inference_steps=1000", "only 256 tokens"),
    ],
)
def test_wrong_requests_are_one_sentence(experiment: Callable, override: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        experiment("workload=phenaki", override).make_workload()


def test_a_folder_of_parts_brings_its_own_weights(experiment: Callable, tmp_path: Path) -> None:
    source = experiment("workload=phenaki", "weights.seed=5").make_workload()
    save_parts(source.parts, source.tokenizer, tmp_path)
    loaded = experiment("workload=phenaki", "weights=pretrained", f"weights.path={tmp_path}").make_workload()
    assert loaded.notes == ()
    assert loaded.generate().equal(source.generate())
