"""Make-A-Video: text to video by a cascade of pixel diffusions (Singer et al. 2022, arXiv 2209.14792).

CLIP text and a diffusion prior give an image embedding (``text_encode``); the spatio-temporal decoder makes a few small key
frames from it (``denoise_step``); frame interpolation puts frames between them (``interpolate``); one super-resolution works on
all frames together, the other on each alone (``super_resolve``, once each).

Shape suffixes: B batch (doubled under guidance), T text tokens, E width of CLIP's embeddings, F frames, K key frames,
C channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import lcm
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DDIMScheduler, PriorTransformer
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from suite.attribution.scopes import AttentionRule
from suite.errors import ConfigError
from suite.stage import DENOISER_FORWARD, mark_calls, stage
from suite.workload import Placement, Request, Weights, Workload
from workloads.media_files import FRAMES_PER_SECOND, save_videos
from workloads.part_files import load_parts
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.requests import guide, guided_prompts
from workloads.sliced_space_time_unet import SLICING_RECIPES
from workloads.space_time_unet import SpaceTimeUNet
from workloads.tokenizer import NOTE, byte_tokenizer

MASKED_CHANNELS = 4
"""What interpolation sees beside the noisy video: the known frames, and which frames these are."""


class MakeAVideo(Workload):
    """Text to video in pixel space.

    Args:
        clip: fields of CLIPTextConfig.
        prior: arguments of PriorTransformer, and ``num_steps``.
        decoder: arguments of SpaceTimeUNet but ``in_channels``, of the decoder and of the interpolation after it.
        interpolation: ``num_steps``; ``frame_skip`` is how many frames lie from one key frame to the next.
        space_time_super_resolution: arguments of SpaceTimeUNet but ``in_channels``, ``num_steps`` and ``upsampling``.
        spatial_super_resolution: the same, and ``frames_at_once``.
        scheduler: arguments of DDIMScheduler, for all but the prior.
    """

    family: ClassVar[str] = "diffusion_pixel"
    media: ClassVar[str] = "video"
    attention_rules: ClassVar = (
        AttentionRule(r"^text_encoder\.clip\..*\.self_attn$", "causal"),
        AttentionRule(r"^text_encoder\.prior\..*\.attn1$", "causal"),
        AttentionRule(r"\.spatial_attention$", "spatial"),
        AttentionRule(r"\.cross_attention$", "cross"),
        AttentionRule(r"\.temporal_attention$", "temporal"),
    )
    slicing_recipes: ClassVar = SLICING_RECIPES

    def __init__(
        self,
        clip: Mapping[str, Any],
        prior: Mapping[str, Any],
        decoder: Mapping[str, Any],
        interpolation: Mapping[str, Any],
        space_time_super_resolution: Mapping[str, Any],
        spatial_super_resolution: Mapping[str, Any],
        scheduler: Mapping[str, Any],
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
    ) -> None:
        self.request = request
        self.placement = placement
        self.scheduler = scheduler
        self.frame_skip = interpolation["frame_skip"]
        self.frames_at_once = spatial_super_resolution["frames_at_once"]
        request.require_multiple("num_inference_steps", 1)
        self.further_steps = {
            "prior": prior["num_steps"],
            "interpolation": interpolation["num_steps"],
            "space_time": space_time_super_resolution["num_steps"],
            "spatial": spatial_super_resolution["num_steps"],
        }
        self.sizes = _sizes(request, decoder, space_time_super_resolution, spatial_super_resolution)
        self.num_key_frames = _num_key_frames(request, self.frame_skip)
        with seeded_construction(placement, weights.seed):
            self.parts: Mapping[str, nn.Module] = {
                "text_encoder": nn.ModuleDict(
                    {
                        "clip": CLIPTextModelWithProjection(CLIPTextConfig(**clip)),
                        "prior": PriorTransformer(**_without(prior, "num_steps")),
                    }
                ),
                "denoiser": SpaceTimeUNet(in_channels=3, **decoder),
                "super_resolution": nn.ModuleDict(
                    {
                        "interpolation": SpaceTimeUNet(in_channels=3 + MASKED_CHANNELS, **decoder),
                        "space_time": _super_resolution(space_time_super_resolution),
                        "spatial": _super_resolution(spatial_super_resolution),
                    }
                ),
            }
            for part in self.parts.values():
                redraw_zero_weights(part.eval())
        if weights.pretrained:
            self.tokenizer = load_parts(self.parts, weights)
        else:
            self.tokenizer = byte_tokenizer(clip["max_position_embeddings"])
            self.notes = (NOTE,)
        mark_calls(self.parts["denoiser"], DENOISER_FORWARD)

    @property
    def temporal_lengths(self) -> Sequence[int]:
        """The decoder sees the key frames, the networks after it all frames."""
        return (self.num_key_frames, self.request.num_frames or 0)

    @torch.inference_mode()
    def generate(self) -> Tensor:
        """Videos ``[batch_size, F, 3, H, W]`` in [0, 1]."""
        generator = torch.Generator(self.placement.device).manual_seed(self.request.seed)
        with stage("text_encode"):
            condition_BE, text_BTE = self.encode_text(generator)
        videos_BKCHW = self.decode_key_frames(condition_BE, text_BTE, generator)
        with stage("interpolate"):
            videos_BFCHW = self.interpolate(videos_BKCHW, condition_BE, text_BTE, generator)
        with stage("super_resolve"):
            videos_BFCHW = self.super_resolve_video(videos_BFCHW, generator)
        with stage("super_resolve"):
            videos_BFCHW = self.super_resolve_frames(videos_BFCHW, generator)
        return (videos_BFCHW / 2 + 0.5).clamp(0, 1)

    def encode_text(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The image embeddings ``[B, E]`` that the prior imagines, and CLIP's text tokens ``[B, T, E]``.

        Under guidance the first half is unconditional: no embedding, and the negative (or empty) prompts.
        """
        clip, prior = self.parts["text_encoder"]["clip"], self.parts["text_encoder"]["prior"]
        batch = self.tokenizer(
            guided_prompts(self.request), padding="max_length", truncation=True, return_tensors="pt"
        ).to(self.placement.device)
        encoded = clip(**batch)

        def predict(embedding_BE: Tensor, timestep: Tensor) -> Tensor:
            return prior(
                embedding_BE, timestep, encoded.text_embeds, encoded.last_hidden_state, batch["attention_mask"]
            ).predicted_image_embedding

        scheduler = {"prediction_type": "sample", "clip_sample": False, "beta_schedule": "squaredcos_cap_v2"}
        shape = (self.request.batch_size, encoded.text_embeds.shape[-1])
        embedding_BE = self.sample(predict, self.noise(shape, generator), "prior", scheduler, guided=True)
        if self.request.guided:
            embedding_BE = torch.cat([torch.zeros_like(embedding_BE), embedding_BE])
        return embedding_BE, encoded.last_hidden_state

    def decode_key_frames(self, condition_BE: Tensor, text_BTE: Tensor, generator: torch.Generator) -> Tensor:
        """Small key frames ``[batch_size, K, 3, H, W]`` in [-1, 1]."""
        predict = partial(
            self._predict, self.parts["denoiser"], FRAMES_PER_SECOND / self.frame_skip, condition_BE, text_BTE
        )
        noise_BKCHW = self.noise((self.request.batch_size, self.num_key_frames, 3, *self.sizes[0]), generator)
        around = partial(stage, "denoise_step")
        return self.sample(predict, noise_BKCHW, "decoder", self.scheduler, guided=True, around=around)

    def interpolate(
        self, known_BKCHW: Tensor, condition_BE: Tensor, text_BTE: Tensor, generator: torch.Generator
    ) -> Tensor:
        """All frames ``[batch_size, F, 3, H, W]``: the key frames where they belong, and new ones between them."""
        batch, num_frames = self.request.batch_size, self.request.num_frames or 0
        seen_BFGHW = known_BKCHW.new_zeros(batch, num_frames, MASKED_CHANNELS, *self.sizes[0])
        seen_BFGHW[:, :: self.frame_skip, :3] = known_BKCHW
        seen_BFGHW[:, :: self.frame_skip, 3] = 1
        interpolation = self.parts["super_resolution"]["interpolation"]
        # Known frames leave little to guide: one forward a step, on the half that knows the prompt.
        condition_BE, text_BTE = condition_BE[-batch:], text_BTE[-batch:]
        predict = partial(self._predict, interpolation, FRAMES_PER_SECOND, condition_BE, text_BTE, seen=seen_BFGHW)
        noise_BFCHW = self.noise((batch, num_frames, 3, *self.sizes[0]), generator)
        return self.sample(predict, noise_BFCHW, "interpolation", self.scheduler)

    def super_resolve_video(self, small_BFCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Larger frames ``[batch_size, F, 3, H, W]``, all of a video denoised together."""
        noise_BFCHW = self.noise((*small_BFCHW.shape[:3], *self.sizes[1]), generator)
        network = self.parts["super_resolution"]["space_time"]
        predict = partial(
            self._predict, network, FRAMES_PER_SECOND, None, None, seen=_enlarged(small_BFCHW, self.sizes[1])
        )
        return self.sample(predict, noise_BFCHW, "space_time", self.scheduler)

    def super_resolve_frames(self, small_BFCHW: Tensor, generator: torch.Generator) -> Tensor:
        """The largest frames, each denoised alone but from the same noise, so that they flicker less."""
        network, size = self.parts["super_resolution"]["spatial"], self.sizes[2]
        noise_11CHW = self.noise((1, 1, 3, *size), generator)
        large = []
        for small_bCHW in small_BFCHW.flatten(0, 1).split(self.frames_at_once):
            seen_b1CHW = _enlarged(small_bCHW[:, None], size)
            predict = partial(self._predict, network, None, None, None, seen=seen_b1CHW)
            noise_b1CHW = noise_11CHW.repeat(len(small_bCHW), 1, 1, 1, 1)
            large.append(self.sample(predict, noise_b1CHW, "spatial", self.scheduler))
        return torch.cat(large).view(*small_BFCHW.shape[:3], *size)

    def sample(
        self,
        predict: Callable[[Tensor, Tensor], Tensor],
        x: Tensor,
        name: str,
        config: Mapping[str, Any],
        guided: bool = False,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> Tensor:
        """Denoise `x` by DDIM, in as many steps as `name` has; `predict` takes and gives twice the batch under guidance."""
        scheduler = DDIMScheduler(**config)
        num_steps = self.num_steps if name == "decoder" else self.further_steps[name]
        scheduler.set_timesteps(num_steps, device=self.placement.device)
        guided = guided and self.request.guided
        for timestep in scheduler.timesteps:
            with around():
                predicted = predict(torch.cat([x, x]) if guided else x, timestep)
                if guided:
                    predicted = guide(predicted, self.request.guidance_scale)
                x = scheduler.step(predicted, timestep, x).prev_sample
        return x

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=generator, device=self.placement.device, dtype=self.placement.dtype)

    def _predict(
        self,
        network: nn.Module,
        frame_rate: float | None,
        condition_BE: Tensor | None,
        text_BTE: Tensor | None,
        x_BFCHW: Tensor,
        timestep: Tensor,
        seen: Tensor | None = None,
    ) -> Tensor:
        """The noise in `x`, for a network that may see known pixels beside it (``[B, F, .., H, W]``)."""
        x_BFGHW = x_BFCHW if seen is None else torch.cat([x_BFCHW, seen], dim=2)
        rate = (
            None
            if frame_rate is None
            else torch.full((), frame_rate, device=self.placement.device, dtype=torch.float32)
        )
        return network(x_BFGHW, timestep, rate, condition_BE, text_BTE)

    def save(self, output: Tensor, folder: Path) -> list[Path]:
        return save_videos(output, folder)


def _super_resolution(config: Mapping[str, Any]) -> SpaceTimeUNet:
    """Conditioned on the small frames alone, which are concatenated to the noisy ones."""
    network = _without(config, "num_steps", "upsampling", "frames_at_once")
    return SpaceTimeUNet(in_channels=6, condition_width=None, num_condition_tokens=0, **network)


def _without(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}


def _enlarged(videos_BFCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Every frame at another size, bilinearly."""
    frames_bCHW = nn.functional.interpolate(videos_BFCHW.flatten(0, 1), size=size, mode="bilinear")
    return frames_bCHW.unflatten(0, videos_BFCHW.shape[:2])


def _num_key_frames(request: Request, frame_skip: int) -> int:
    frames = request.num_frames
    if frames is None or frames == 1 or (frames - 1) % frame_skip:
        asked = f"request.num_frames={frames}: one frame and a multiple of {frame_skip} are needed"
        raise ConfigError(f"{asked}, such as {15 * frame_skip + 1}")
    return 1 + (frames - 1) // frame_skip


def _sizes(
    request: Request, decoder: Mapping[str, Any], space_time: Mapping[str, Any], spatial: Mapping[str, Any]
) -> list[tuple[int, int]]:
    """Heights and widths of the decoder's frames and of those after each super-resolution.

    Each network halves its frames once a level, which must come out even.
    """
    last, first = spatial["upsampling"], spatial["upsampling"] * space_time["upsampling"]
    scales = {first: decoder, last: space_time, 1: spatial}
    multiple = lcm(*(scale * 2 ** (len(network["channels"]) - 1) for scale, network in scales.items()))
    height, width = (request.require_multiple(key, multiple) for key in ("height", "width"))
    return [(height // scale, width // scale) for scale in scales]
