"""Image U-Nets: every image, and each half of guidance, goes through the whole of it alone."""

from __future__ import annotations

from diffusers import UNet2DConditionModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput

from suite.optimizations.grouping.batch import batch_recipe

RECIPES = (batch_recipe(UNet2DConditionModel, UNet2DConditionOutput),)
