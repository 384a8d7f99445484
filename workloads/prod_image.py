"""Production image model: Stable Diffusion XL (Podell et al. 2023, arXiv 2307.01952) in place of one that is not public.

The characterization of Golden et al. (arXiv 2312.14385) has a latent-diffusion model of Meta's among its workloads. SDXL is
open, of the same class and time, and of production size; numbers of this workload are SDXL's, and every record says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from workloads.diffusers_pipeline import DiffusersPipeline


class ProdImage(DiffusersPipeline):
    """Text to image: two CLIP text encoders, a U-Net that is deep where the image is small, a convolutional VAE decoder."""

    standing_notes: ClassVar[Sequence[str]] = (
        "Stable Diffusion XL stands in for Meta's production image model, which is not public.",
    )
