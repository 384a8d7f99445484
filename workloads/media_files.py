"""Writes generated tensors as the files that people look at: PNG for images, MP4 for videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

FRAMES_PER_SECOND = 8


def _to_bytes(values: torch.Tensor) -> np.ndarray:
    """``[..., C, H, W]`` in [0, 1] -> uint8 ``[..., H, W, C]``."""
    scaled = values.detach().to("cpu", torch.float32).clamp(0, 1).mul(255).round().to(torch.uint8)
    return scaled.movedim(-3, -1).numpy()


def save_images(images_BCHW: torch.Tensor, folder: Path) -> list[Path]:
    """One PNG an image: ``image_0.png``, ..."""
    from PIL import Image

    paths = []
    for index, image_HWC in enumerate(_to_bytes(images_BCHW)):
        path = folder / f"image_{index}.png"
        Image.fromarray(image_HWC).save(path)
        paths.append(path)
    return paths


def save_videos(videos_BFCHW: torch.Tensor, folder: Path) -> list[Path]:
    """One H.264 MP4 a video: ``video_0.mp4``, ... at `FRAMES_PER_SECOND`."""
    import imageio.v3 as imageio

    paths = []
    for index, frames_FHWC in enumerate(_to_bytes(videos_BFCHW)):
        path = folder / f"video_{index}.mp4"
        # H.264 with 4:2:0 colour needs even sides, which every latent size gives; other sides must not be rescaled.
        imageio.imwrite(path, frames_FHWC, fps=FRAMES_PER_SECOND, codec="libx264", macro_block_size=2)
        paths.append(path)
    return paths
