"""Tiny pipelines of models that have no file here, built from diffusers' own classes."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
import transformers

from workloads.tokenizer import byte_tokenizer

WIDTH = 32
"""Of text embeddings and denoisers."""


def tiny_t5() -> Any:
    config = transformers.T5Config(
        vocab_size=258, d_model=WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    return transformers.T5EncoderModel(config)


def tiny_clip() -> Any:
    config = transformers.CLIPTextConfig(
        vocab_size=258,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
    )
    return transformers.CLIPTextModel(config)


def tiny_gemma() -> Any:
    config = transformers.Gemma2Config(
        vocab_size=258,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=257,
        bos_token_id=256,
        eos_token_id=257,
    )
    return transformers.Gemma2Model(config)


def tiny_vae(latent_channels: int = 4, **config: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=[8, 8, 8, 8],
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=latent_channels,
        norm_num_groups=8,
        **config,
    )


def flow() -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler()


def pixart() -> Any:
    transformer = diffusers.PixArtTransformer2DModel(
        num_attention_heads=4,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        cross_attention_dim=WIDTH,
        caption_channels=WIDTH,
        sample_size=8,
        patch_size=2,
        use_additional_conditions=False,
    )
    return diffusers.PixArtAlphaPipeline(
        tokenizer=byte_tokenizer(120),
        text_encoder=tiny_t5(),
        vae=tiny_vae(),
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )


def aura_flow() -> Any:
    transformer = diffusers.AuraFlowTransformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        num_mmdit_layers=2,
        num_single_dit_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=WIDTH,
        caption_projection_dim=WIDTH,
        out_channels=4,
        pos_embed_max_size=256,
    )
    return diffusers.AuraFlowPipeline(
        tokenizer=byte_tokenizer(256),
        text_encoder=tiny_t5(),
        vae=tiny_vae(),
        transformer=transformer,
        scheduler=flow(),
    )


def lumina2() -> Any:
    transformer = diffusers.Lumina2Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        hidden_size=24,
        num_layers=2,
        num_refiner_layers=1,
        num_attention_heads=3,
        num_kv_heads=1,
        multiple_of=2,
        norm_eps=1e-5,
        scaling_factor=1.0,
        axes_dim_rope=(4, 2, 2),
        axes_lens=(300, 512, 512),
        cap_feat_dim=WIDTH,
    )
    return diffusers.Lumina2Pipeline(
        transformer=transformer,
        scheduler=flow(),
        vae=tiny_vae(shift_factor=0.0),
        text_encoder=tiny_gemma(),
        tokenizer=byte_tokenizer(256),
    )


def latent_diffusion() -> Any:
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel

    bert = LDMBertModel(
        LDMBertConfig(
            vocab_size=258,
            d_model=WIDTH,
            encoder_layers=2,
            encoder_attention_heads=4,
            encoder_ffn_dim=64,
            head_dim=8,
            max_position_embeddings=77,
        )
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=[WIDTH, WIDTH],
        layers_per_block=1,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    return diffusers.LDMTextToImagePipeline(
        vqvae=tiny_vae(), bert=bert, tokenizer=byte_tokenizer(77), unet=unet, scheduler=diffusers.DDIMScheduler()
    )


def class_conditional() -> Any:
    transformer = diffusers.DiTTransformer2DModel(
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=4,
        in_channels=4,
        out_channels=8,
    )
    return diffusers.DiTPipeline(transformer=transformer, vae=tiny_vae(), scheduler=diffusers.DDIMScheduler())


def text_to_video() -> Any:
    unet = diffusers.UNet3DConditionModel(
        sample_size=8,
        block_out_channels=[8, 8],
        layers_per_block=1,
        down_block_types=["CrossAttnDownBlock3D", "DownBlock3D"],
        up_block_types=["UpBlock3D", "CrossAttnUpBlock3D"],
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    return diffusers.TextToVideoSDPipeline(
        vae=tiny_vae(),
        text_encoder=tiny_clip(),
        tokenizer=byte_tokenizer(77),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(),
    )


def latte() -> Any:
    transformer = diffusers.LatteTransformer3DModel(
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=4,
        in_channels=4,
        out_channels=8,
        cross_attention_dim=WIDTH,
        caption_channels=WIDTH,
        video_length=6,
        activation_fn="gelu-approximate",
        norm_type="ada_norm_single",
    )
    return diffusers.LattePipeline(
        tokenizer=byte_tokenizer(120),
        text_encoder=tiny_t5(),
        vae=tiny_vae(),
        transformer=transformer,
        scheduler=diffusers.DDIMScheduler(),
    )


def mochi() -> Any:
    transformer = diffusers.MochiTransformer3DModel(
        patch_size=2,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        in_channels=12,
        text_embed_dim=WIDTH,
        time_embed_dim=4,
        activation_fn="swiglu",
        max_sequence_length=16,
    )
    vae = diffusers.AutoencoderKLMochi(
        latent_channels=12,
        out_channels=3,
        encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32),
        layers_per_block=(1, 1, 1, 1, 1),
    )
    return diffusers.MochiPipeline(
        scheduler=flow(), vae=vae, text_encoder=tiny_t5(), tokenizer=byte_tokenizer(256), transformer=transformer
    )


def image_to_video() -> Any:
    """LTX-Video setting an image in motion: its text pipeline has a workload, this one has not."""
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=WIDTH,
        num_layers=2,
        caption_channels=WIDTH,
    )
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        patch_size=1,
    )
    return diffusers.LTXImageToVideoPipeline(
        scheduler=flow(), vae=vae, text_encoder=tiny_t5(), tokenizer=byte_tokenizer(128), transformer=transformer
    )


def seeded(make: Any) -> Any:
    torch.manual_seed(0)
    return make()


def cogvideox() -> Any:
    """Its positions are for texts of 16 tokens, and the pipeline's default is 226: it needs max_sequence_length=16."""
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=8,
        in_channels=4,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=WIDTH,
        num_layers=1,
        sample_width=2,
        sample_height=2,
        sample_frames=9,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=16,
    )
    vae = diffusers.AutoencoderKLCogVideoX(
        down_block_types=["CogVideoXDownBlock3D"] * 4,
        up_block_types=["CogVideoXUpBlock3D"] * 4,
        block_out_channels=[8, 8, 8, 8],
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    return diffusers.CogVideoXPipeline(
        tokenizer=byte_tokenizer(226),
        text_encoder=tiny_t5(),
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.DDIMScheduler(),
    )
