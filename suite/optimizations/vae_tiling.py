"""VAE tiling: decode a latent in tiles that overlap and are blended, as diffusers offers it (``vae.enable_tiling()``)."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.workload import NotApplicableError, Request, Workload


@dataclass(frozen=True)
class VaeTiling:
    """Trade a longer decode, and seams that are blended away, for a peak that no longer grows with height and width.

    A tile sees nothing of its neighbours (a group norm's statistics and the middle block's attention are its own), so the
    output is another one.

    Args:
        tile_pixels: side of a tile, in pixels of the output; null: diffusers' own for the decoder.
    """

    tile_pixels: int | None
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.tile_pixels is not None and self.tile_pixels < 1:
            raise ConfigError(
                f"vae_tiling.tile_pixels={self.tile_pixels}: a whole number of at least 1, or null, is needed"
            )

    def apply(self, workload: Workload) -> Handle:
        vae: Any = workload.parts.get("decoder")
        kind = type(vae).__name__ if vae is not None else "none"
        if vae is None or not hasattr(vae, "use_tiling"):
            raise NotApplicableError(f"the decoder ({kind}) does not decode latents in tiles")
        if vae.use_tiling:
            raise NotApplicableError("the decoder tiles already")
        handle = Handle("")
        handle.on_revert(_restorer(vae))
        try:
            tile = _enable(vae, self.tile_pixels)
            _require_several(kind, tile, compression_of(vae), workload.request)
        except (NotApplicableError, ConfigError):
            handle.revert()
            raise
        handle.changes = (
            f"the VAE decodes in tiles of at most {tile[0]} x {tile[1]} pixels, which overlap and are blended"
        )
        return handle


def compression_of(vae: Any) -> int:
    """Pixels of a decoder's output along a side, by pixels of the latent."""
    return getattr(vae, "spatial_compression_ratio", None) or 2 ** (len(vae.config.block_out_channels) - 1)


def tile_of(vae: Any) -> tuple[int, int]:
    """Height and width of a decoder's tile in pixels of its output."""
    if hasattr(vae, "tile_sample_min_size"):
        return (vae.tile_sample_min_size, vae.tile_sample_min_size)
    return (vae.tile_sample_min_height, vae.tile_sample_min_width)


def _enable(vae: Any, pixels: int | None) -> tuple[int, int]:
    """Turn tiling on, with tiles of this side; returns the tile."""
    sizes: dict[str, int] = {}
    if pixels is not None:
        if pixels % compression_of(vae):
            raise ConfigError(f"vae_tiling.tile_pixels={pixels}: a multiple of {compression_of(vae)} is needed here")
        if hasattr(vae, "tile_sample_min_size"):  # AutoencoderKL's takes no size
            vae.tile_sample_min_size, vae.tile_latent_min_size = pixels, pixels // compression_of(vae)
        else:
            sizes = _sizes(vae, pixels)
    vae.enable_tiling(**sizes)
    _require_whole_overlap(vae, pixels)
    return tile_of(vae)


def _sizes(vae: Any, pixels: int) -> dict[str, int]:
    """Arguments of ``enable_tiling`` for tiles of another size that overlap by the same share."""
    accepted, sizes = inspect.signature(vae.enable_tiling).parameters, {}
    for side, own in zip(("height", "width"), tile_of(vae), strict=True):
        sizes[f"tile_sample_min_{side}"] = pixels
        if (stride := f"tile_sample_stride_{side}") in accepted:
            whole = compression_of(vae)
            sizes[stride] = max(getattr(vae, stride) * pixels // own // whole, 1) * whole
    return sizes


def _require_whole_overlap(vae: Any, pixels: int | None) -> None:
    """Where a share of a tile overlaps, that share must be whole pixels of the latent, or outputs get too long."""
    names = [name for name in vars(vae) if name.startswith("tile_overlap_factor")]
    for tile, name in zip(tile_of(vae), names * (2 // len(names)) if names else (), strict=False):
        factor, latent = getattr(vae, name), tile // compression_of(vae)
        if int(latent * (1 - factor)) * compression_of(vae) != tile - int(tile * factor):
            raise ConfigError(
                f"vae_tiling.tile_pixels={pixels}: tiles that overlap by {factor:.3g} of their side would not meet; a size of "
                f"which that share is a multiple of {compression_of(vae)} is needed"
            )


def _require_several(kind: str, tile: tuple[int, int], compression: int, request: Request) -> None:
    asked = (request.height or 0, request.width or 0)
    if not any(side // compression > one // compression for side, one in zip(asked, tile, strict=True)):
        raise NotApplicableError(
            f"a latent of {asked[0] // compression} x {asked[1] // compression} is a single tile: the decoder ({kind}) tiles "
            f"what is larger than {tile[0]} x {tile[1]} pixels (request.height, request.width, vae_tiling.tile_pixels)"
        )


def _restorer(vae: Any) -> Any:
    before = {name: value for name, value in vars(vae).items() if name == "use_tiling" or name.startswith("tile_")}
    return lambda: vars(vae).update(before)
