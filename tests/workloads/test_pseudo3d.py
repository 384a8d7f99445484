"""Pseudo-3D layers: a convolution against torch's conv3d, attention that keeps pixels or frames apart, and the U-Net of them.

Name for the mirror: workloads.space_time_unet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from workloads.pseudo3d import PseudoAttention3d, PseudoConv3d, to_space, to_time
from workloads.space_time_unet import SpaceTimeUNet

FRAMES, HEIGHT, WIDTH = 4, 6, 5


@pytest.fixture(autouse=True)
def _seeded_and_in_float64() -> Iterator[None]:
    """What is compared here is computed in two ways; in float64 no choice of kernels tells them apart."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def unet(**changes: Any) -> SpaceTimeUNet:
    arguments = {
        "in_channels": 3,
        "channels": [32, 64],
        "num_res_blocks": 1,
        "attention": [False, True],
        "head_width": 32,
        "condition_width": 16,
        "num_condition_tokens": 4,
        "temporal": True,
    }
    return SpaceTimeUNet(**(arguments | changes)).eval()


def test_there_and_back_again() -> None:
    x_bCHW = torch.randn(2 * FRAMES, 3, HEIGHT, WIDTH)
    x_pCF = to_time(x_bCHW, FRAMES)
    assert x_pCF.shape == (2 * HEIGHT * WIDTH, 3, FRAMES)
    assert x_pCF[HEIGHT * WIDTH + 2 * WIDTH + 1, :, 3].equal(x_bCHW[FRAMES + 3, :, 2, 1])
    assert to_space(x_pCF, HEIGHT, WIDTH).equal(x_bCHW)


@torch.inference_mode()
def test_a_pseudo_convolution_is_conv3d_with_a_factorised_kernel() -> None:
    layer = PseudoConv3d(3, 8, temporal=True)
    layer.spatial.bias.zero_()  # along time the border is padded with zeros, not with this bias
    kernel = torch.einsum("omt,mihw->oithw", layer.temporal.weight, layer.spatial.weight)
    x_BCFHW = torch.randn(2, 3, FRAMES, HEIGHT, WIDTH)
    expected_BCFHW = torch.nn.functional.conv3d(x_BCFHW, kernel, layer.temporal.bias, padding=1)
    found_bCHW = layer(x_BCFHW.transpose(1, 2).flatten(0, 1), FRAMES)
    torch.testing.assert_close(found_bCHW, expected_BCFHW.transpose(1, 2).flatten(0, 1))


@torch.inference_mode()
def test_attention_along_time_keeps_pixels_apart_and_within_frames_keeps_frames_apart() -> None:
    layer = PseudoAttention3d(32, 32, crosses=False, temporal=True)
    layer.spatial_norm = layer.temporal_norm = torch.nn.Identity()  # a norm over the frame would mix pixels
    x_bCHW = torch.randn(FRAMES, 32, HEIGHT, WIDTH)
    changed_bCHW = x_bCHW.clone()
    changed_bCHW[1, :, 2, 3] += 1

    def difference_FHW() -> torch.Tensor:
        return (layer(x_bCHW, FRAMES) - layer(changed_bCHW, FRAMES)).abs().amax(dim=1)

    spatial_out, temporal_out = layer.spatial_attention.out, layer.temporal_attention.out
    weight = spatial_out.weight.clone()
    spatial_out.weight.zero_()
    along_time = difference_FHW() > 0
    assert along_time[:, 2, 3].all()
    assert along_time.sum() == FRAMES
    spatial_out.weight.copy_(weight)
    temporal_out.weight.zero_()
    within_frames = difference_FHW() > 0
    assert within_frames[1].all()
    assert within_frames.sum() == HEIGHT * WIDTH


@torch.inference_mode()
def test_without_layers_along_time_frames_do_not_see_each_other() -> None:
    x_BFGHW = torch.randn(1, FRAMES, 3, 8, 8)
    changed_BFGHW = x_BFGHW.clone()
    changed_BFGHW[:, 2] += 1
    timestep, condition_BD = torch.tensor(10), torch.randn(1, 16)
    for temporal, expected in ((False, [False, False, True, False]), (True, [True] * 4)):
        network = unet(temporal=temporal)
        difference = network(x_BFGHW, timestep, torch.tensor(8.0), condition_BD) - network(
            changed_BFGHW, timestep, torch.tensor(8.0), condition_BD
        )
        assert difference.shape == x_BFGHW.shape
        assert (difference.abs().amax(dim=(0, 2, 3, 4)) > 1e-6).tolist() == expected


@torch.inference_mode()
@pytest.mark.parametrize("changed", ["timestep", "frame_rate", "condition_BD", "beside_BSD"])
def test_everything_that_conditions_the_noise_changes_it(changed: str) -> None:
    network = unet()
    given = {
        "timestep": torch.tensor(10),
        "frame_rate": torch.tensor(8.0),
        "condition_BD": torch.randn(1, 16),
        "beside_BSD": torch.randn(1, 7, 16),
    }
    x_BFGHW = torch.randn(1, FRAMES, 3, 8, 8)
    other = given | {changed: given[changed] * 3 + 1}
    assert not torch.allclose(network(x_BFGHW, **given), network(x_BFGHW, **other), atol=1e-4)


@torch.inference_mode()
def test_videos_of_a_batch_do_not_see_each_other() -> None:
    network = unet()
    x_BFGHW, condition_BD, beside_BSD = torch.randn(2, FRAMES, 3, 8, 8), torch.randn(2, 16), torch.randn(2, 7, 16)
    conditions = (torch.tensor(10), torch.tensor(8.0))
    together = network(x_BFGHW, *conditions, condition_BD, beside_BSD)
    for video in range(2):
        one = slice(video, video + 1)
        alone = network(x_BFGHW[one], *conditions, condition_BD[one], beside_BSD[one])
        torch.testing.assert_close(together[one], alone)
