"""Make-A-Video: what attention sees in each network, what interpolation is given, frames that share their noise, sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from suite.errors import ConfigError
from workloads.part_files import save_parts


def test_attention_sees_key_frames_in_the_decoder_and_all_frames_after_it(attention_calls: Callable) -> None:
    calls = Counter(attention_calls("make_a_video"))
    key_frames, frames, fine, coarse, context = 3, 11, 6 * 6, 3 * 3, 4 + 77
    guided_steps, steps = 3, 2
    # Attention layers of the decoder: one down and two up at the finer level; the same and the middle's at the coarser.
    for places, layers in ((fine, 3), (coarse, 4)):
        assert calls["spatial", 2 * key_frames, places, places] == layers * guided_steps
        assert calls["temporal", 2 * places, key_frames, key_frames] == layers * guided_steps
        assert calls["cross", 2 * key_frames, places, context] == layers * guided_steps
        assert calls["temporal", places, frames, frames] == layers * steps + (4 * 2 if places == 36 else 0)
    assert {kind for kind, *_ in calls} == {"causal", "spatial", "temporal", "cross"}
    assert calls["spatial", frames, 36, 36] == 3 * steps + 4 * 2, "interpolation, and super-resolution's coarsest level"


def test_sizes_are_near_those_recalled_from_the_paper(meta_workload: Callable, num_parameters: Callable) -> None:
    """Published figures that nobody here has seen in print: docs/decisions/make_a_video.md."""
    parts = meta_workload("make_a_video").parts
    networks = parts["super_resolution"]
    assert num_parameters(parts["text_encoder"]["prior"]) == pytest.approx(1.3e9, rel=0.1)
    assert num_parameters(parts["denoiser"]) == pytest.approx(3.1e9, rel=0.1)
    assert num_parameters(networks["interpolation"]) == pytest.approx(3.1e9, rel=0.1)
    assert num_parameters(networks["space_time"]) == pytest.approx(1.4e9, rel=0.1)
    assert num_parameters(networks["spatial"]) == pytest.approx(0.7e9, rel=0.1)


def test_published_frames_and_sizes(meta_workload: Callable) -> None:
    workload = meta_workload("make_a_video")
    assert workload.num_key_frames == 16
    assert workload.temporal_lengths == (16, 76)
    assert workload.sizes == [(64, 64), (256, 256), (768, 768)]


def test_interpolation_sees_key_frames_where_they_belong(
    smoke_workload: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = smoke_workload("make_a_video")
    seen = []
    monkeypatch.setattr(
        workload, "_predict", lambda *args, seen_of=seen, **kwargs: seen_of.append(kwargs["seen"]) or args[-2]
    )
    known_BKCHW = torch.rand(1, 3, 3, 12, 12) + 0.1
    generator, condition_BE, text_BTE = torch.Generator().manual_seed(0), torch.zeros(2, 64), torch.zeros(2, 77, 64)
    assert workload.interpolate(known_BKCHW, condition_BE, text_BTE, generator).shape == (1, 11, 3, 12, 12)
    pixels_FCHW, is_known_FHW = seen[0][0, :, :3], seen[0][0, :, 3]
    assert is_known_FHW.mean(dim=(1, 2)).tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert pixels_FCHW[[0, 5, 10]].equal(known_BKCHW[0])
    assert pixels_FCHW.count_nonzero() == known_BKCHW.numel()


@torch.inference_mode()
def test_frames_are_enlarged_alone_from_the_same_noise(float64_workload: Callable) -> None:
    """In float64, where no choice of kernels tells one frame from five."""
    workload = float64_workload("make_a_video")
    small_BFCHW = torch.rand(1, 1, 3, 24, 24, dtype=torch.float64).repeat(1, 5, 1, 1, 1)
    small_BFCHW[:, 3] = 0

    def large(frames_at_once: int) -> torch.Tensor:
        before, workload.frames_at_once = workload.frames_at_once, frames_at_once
        found = workload.super_resolve_frames(small_BFCHW, torch.Generator().manual_seed(0))[0]
        workload.frames_at_once = before
        return found

    alone, together = large(1), large(5)
    assert alone.shape == (5, 3, 48, 48)
    torch.testing.assert_close(alone, together)
    assert alone[0].equal(alone[4]), "equal frames stay equal"
    assert not alone[0].equal(alone[3])


def test_only_the_decoder_and_the_prior_are_guided(attention_calls: Callable) -> None:
    guided = Counter(attention_calls("make_a_video"))
    unguided = Counter(attention_calls("make_a_video", "request.guidance_scale=1.0"))
    assert unguided["temporal", 36, 3, 3] == guided["temporal", 72, 3, 3]
    assert unguided["temporal", 36, 11, 11] == guided["temporal", 36, 11, 11]


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("request.num_frames=10", r"request\.num_frames=10: one frame and a multiple of 5 are needed, such as 76"),
        ("request.height=40", r"request\.height=40: a multiple of 16"),
        ("request.num_frames=1", r"request\.num_frames=1"),
    ],
)
def test_wrong_requests_are_one_sentence(experiment: Callable, override: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        experiment("workload=make_a_video", override).make_workload()


def test_a_folder_of_parts_brings_its_own_weights(experiment: Callable, tmp_path: Path) -> None:
    source = experiment("workload=make_a_video", "weights.seed=5").make_workload()
    save_parts(source.parts, source.tokenizer, tmp_path)
    loaded = experiment("workload=make_a_video", "weights=pretrained", f"weights.path={tmp_path}").make_workload()
    assert loaded.notes == ()
    assert loaded.generate().equal(source.generate())
