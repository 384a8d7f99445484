"""What slicing is compared with: clips, chunks of decoding and of feed-forwards, split inference.

Names for the mirror: suite.optimizations.naive_slicing, suite.optimizations.decode_chunk_size,
suite.optimizations.forward_chunking, suite.optimizations.split_inference, suite.optimizations.pipeline_calls,
suite.optimizations.feature_slicer, suite.optimizations.grouping.operators.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from optimizations.exactness import allowed_error, assert_exact, error, output_in_float64
from optimizations.live_bytes import peak_bytes
from optimizations.tiny_models import caller, made
from torch import nn

from suite.errors import ConfigError
from suite.optimizations.contract import is_exact
from suite.optimizations.decode_chunk_size import DecodeChunkSize
from suite.optimizations.forward_chunking import ForwardChunking
from suite.optimizations.grouping.operators import by_queries
from suite.optimizations.naive_slicing import NaiveSlicing, lengths
from suite.optimizations.pipeline_calls import parameters, pipeline_of, replace_call
from suite.optimizations.split_inference import SplitInference
from suite.slicing.plan import SlicePlan
from suite.workload import NotApplicableError

NAIVE = NaiveSlicing(frames_from_text=4, frames_from_image=2)


class Pipeline:
    """Notes what it is called with, and makes frames that tell which call they came from."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(
        self, *, prompt: str = "", num_frames: int = 1, output_type: str = "", return_dict: bool = True
    ) -> Any:
        self.calls.append({"num_frames": num_frames, "output_type": output_type})
        return (torch.full((1, num_frames, 3, 2, 2), float(len(self.calls))),)


class FromImage(Pipeline):
    def __call__(self, image: Any, num_frames: int = 1, output_type: str = "", return_dict: bool = True) -> Any:
        self.calls.append({"image": image, "num_frames": num_frames})
        return torch.full((1, num_frames, 3, 2, 2), len(self.calls) / 10)  # as pipelines that return no tuple


def workload_of(pipeline: Any, num_frames: int, decoder: nn.Module | None = None, lengths: Any = ()) -> Any:
    return SimpleNamespace(
        pipeline=pipeline,
        request=SimpleNamespace(num_frames=num_frames),
        temporal_lengths=lengths or (num_frames,),
        parts={"decoder": decoder},
    )


def test_clips_from_text_are_made_one_after_another() -> None:
    pipeline = Pipeline()
    handle = NAIVE.apply(workload_of(pipeline, 10))
    (video,) = pipeline(prompt="x", num_frames=10)
    assert [call["num_frames"] for call in pipeline.calls] == [4, 4, 2] == lengths(10, 4)
    assert video[0, :, 0, 0, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]
    handle.revert()
    assert type(pipeline) is Pipeline
    assert pipeline(num_frames=10)[0].shape[1] == 10


def test_clips_from_an_image_go_on_from_the_last_frame() -> None:
    pipeline = FromImage()
    handle = NAIVE.apply(workload_of(pipeline, 6))
    (video,) = pipeline(image="the first", num_frames=6)
    assert video.shape == (1, 6, 3, 2, 2)
    assert pipeline.calls[0]["image"] == "the first"
    shown = [call["image"][0].getpixel((0, 0)) for call in pipeline.calls[1:]]
    assert shown == [(26,) * 3, (51,) * 3], "0.1 and 0.2 as bytes: the last frames of the first two clips"
    handle.revert()


def test_a_last_clip_of_one_frame_is_made_of_two() -> None:
    pipeline = FromImage()
    NAIVE.apply(workload_of(pipeline, 5))
    (video,) = pipeline(image="the first", num_frames=5)
    assert video.shape == (1, 5, 3, 2, 2)
    assert [call["num_frames"] for call in pipeline.calls] == [2, 2, 2]


def test_clips_where_there_are_none() -> None:
    with pytest.raises(NotApplicableError, match="holds all 4"):
        NAIVE.apply(workload_of(Pipeline(), 4))
    with pytest.raises(NotApplicableError, match="several frames of each latent frame"):
        NAIVE.apply(workload_of(Pipeline(), 9, lengths=(3, 9)))
    with pytest.raises(NotApplicableError, match="has no pipeline"):
        NAIVE.apply(SimpleNamespace(request=None))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="frames_from_image=1"):
        NaiveSlicing(frames_from_text=4, frames_from_image=1)


def test_a_pipeline_keeps_its_signature_and_gets_its_own_call_back() -> None:
    pipeline = Pipeline()
    undo = replace_call(pipeline, lambda call, given: call(**given | {"num_frames": 3}))
    assert "prompt" in parameters(pipeline)
    assert pipeline_of(workload_of(pipeline, 5), "num_frames") is pipeline
    assert pipeline(num_frames=5)[0].shape[1] == 3
    undo()
    assert pipeline(num_frames=5)[0].shape[1] == 5
    with pytest.raises(NotApplicableError, match="Pipeline takes no strength"):
        pipeline_of(workload_of(pipeline, 5), "strength")


@pytest.mark.parametrize(("name", "exact"), [("animatediff", True), ("stable_video_diffusion", False)])
def test_decoding_in_chunks_is_exact_where_the_decoder_sees_frames_alone(
    name: str, exact: bool, smoke_workload: Callable, float64_output: Callable
) -> None:
    workload = smoke_workload(name)
    expected = workload.generate()
    optimization = DecodeChunkSize(2)
    decoder = workload.parts["decoder"]
    rows: list[int] = []
    hook = decoder.decoder.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    handle = optimization.apply(workload)
    found = workload.generate()
    handle.revert()
    hook.remove()
    assert set(rows) == {2}
    assert is_exact(optimization, handle) is exact
    reference = float64_output(name)
    assert (error(found, reference) <= allowed_error(expected, reference)) is exact
    assert torch.equal(workload.generate(), expected)
    with pytest.raises(NotApplicableError, match="decoded at once"):
        DecodeChunkSize(100).apply(workload)
    assert isinstance(decoder, AutoencoderKL) is exact


@pytest.mark.parametrize("name", ["motion_unet", "spatiotemporal_unet"])
def test_feed_forwards_in_chunks(name: str) -> None:
    model = made(name)
    call = caller(name, model, 1, 3, 5, 4)
    reference = output_in_float64(model, lambda model: caller(name, model, 1, 3, 5, 4))
    workload: Any = SimpleNamespace(parts={"denoiser": model})
    with torch.inference_mode():
        expected = call()
        handle = ForwardChunking(1, 1).apply(workload)
        blocks = [module for module in model.modules() if hasattr(module, "set_chunk_feed_forward")]
        assert {block._chunk_size for block in blocks} == {1}
        assert_exact(call(), expected, reference)
        handle.revert()
        assert {block._chunk_size for block in blocks} == {None}
        assert torch.equal(call(), expected)
    with pytest.raises(NotApplicableError, match="UNet2DConditionModel has no feed-forward chunking"):
        ForwardChunking(1, 1).apply(SimpleNamespace(parts={"denoiser": made("image_unet")}))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="dim=2: 0 or 1"):
        ForwardChunking(1, 2)


def test_split_inference_is_exact_saves_memory_and_leaves_paths_alone() -> None:
    model = made("motion_unet")
    call = caller("motion_unet", model, 2, 4, 16, 16)
    reference = output_in_float64(model, lambda model: caller("motion_unet", model, 2, 4, 16, 16))
    paths = [path for path, _ in model.named_modules()]
    with torch.inference_mode():
        expected, before = call(), peak_bytes(call)
        handle = SplitInference(32, 2).apply(SimpleNamespace(parts={"denoiser": model}))  # type: ignore[arg-type]
        assert [path for path, _ in model.named_modules()] == paths
        assert_exact(call(), expected, reference)
        assert peak_bytes(call) < 0.8 * before
        handle.revert()
        assert torch.equal(call(), expected)
    with pytest.raises(NotApplicableError, match="motion U-Nets only"):
        SplitInference(32, 2).apply(SimpleNamespace(parts={"denoiser": made("image_unet")}))  # type: ignore[arg-type]


def test_queries_in_blocks_see_all_keys_and_their_own_mask() -> None:
    attention = nn.functional.scaled_dot_product_attention
    seen: list[int] = []

    def noted(query: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append(query.shape[-2])
        return attention(query, *args, **kwargs)

    blocks = by_queries(noted, SlicePlan(token_slices=3))
    query, key, value = torch.randn(2, 4, 7, 8), torch.randn(2, 4, 5, 8), torch.randn(2, 4, 5, 8)
    masks = [None, torch.randn(2, 1, 7, 5), torch.randn(2, 1, 1, 5)]
    for mask in masks:
        given = (query, key, value, mask)
        in_float64 = (None if tensor is None else tensor.double() for tensor in given)
        assert_exact(blocks(*given), attention(*given), attention(*in_float64))
    assert seen == [3, 3, 1] * 3
    seen.clear()
    square = torch.randn(1, 2, 6, 8)
    assert torch.equal(
        blocks(square, square, square, is_causal=True), attention(square, square, square, is_causal=True)
    )
    assert seen == [6], "a causal mask depends on where a query stands: left whole"


@pytest.mark.parametrize("name", ["parti", "sd3", "make_a_video"])
def test_single_operators_of_token_transformers_too(
    name: str, experiment: Callable, smoke_workload: Callable, float64_output: Callable
) -> None:
    workload = smoke_workload(name)
    (slicer,) = experiment(
        "optimization=feature_slicer", "optimization.feature_slicer.smallest_slice=64"
    ).stack.values()
    expected = workload.generate()
    handle = slicer.apply(workload)
    found = workload.generate()
    handle.revert()
    assert_exact(found, expected, float64_output(name))
    assert torch.equal(workload.generate(), expected)
