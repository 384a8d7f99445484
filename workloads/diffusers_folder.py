"""Any diffusers pipeline, from its folder or hub id, with no code: ``workload=diffusers workload.pipeline=PATH_OR_HUB_ID``.

With ``weights=random`` the configuration files suffice: ``model_index.json`` and each component's own. With
``weights=pretrained`` the pipeline is loaded as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline

from suite.errors import ConfigError
from suite.workload import Placement, Request, Weights
from workloads.components import build_pipeline, load_pretrained, needs_stand_in, read_description
from workloads.diffusers_pipeline import DiffusersWorkload
from workloads.pipeline_arguments import NO_ARGUMENTS
from workloads.tokenizer import NOTE

CONFIGURATION_FILES = ("*.json", "*.txt", "*.model")
"""What of a hub repository is fetched for random weights: configurations and vocabularies."""


class DiffusersFolder(DiffusersWorkload):
    """A pipeline that nobody described here.

    Args:
        pipeline: a folder made by ``save_pretrained``, one that holds its configuration files alone, or a hub id.
        call_arguments: more keyword arguments of the pipeline's ``__call__``.
    """

    def __init__(
        self,
        pipeline: str | None,
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
        call_arguments: Mapping[str, Any] = NO_ARGUMENTS,
    ) -> None:
        if not pipeline:
            raise ConfigError("workload.pipeline is not set: a folder or hub id is needed, workload.pipeline=FOLDER")
        if weights.pretrained:
            built, notes = load_pretrained(DiffusionPipeline, weights, placement), []
        else:
            built, notes = _build(pipeline, weights.seed, placement)
        super().__init__(built, {}, call_arguments, request, placement, notes)


def _build(pipeline: str, seed: int, placement: Placement) -> tuple[Any, list[str]]:
    pipeline_class, description = read_description(_folder(pipeline))
    notes = [NOTE] if needs_stand_in(description) else []
    return build_pipeline(pipeline_class, description, placement, seed), notes


def _folder(pipeline: str) -> Path:
    """Where the configuration files lie, fetched if they lie on the hub."""
    local = Path(pipeline).expanduser()
    if local.is_dir():
        return local
    if pipeline.count("/") != 1 or pipeline.startswith((".", "/", "~")):
        raise ConfigError(f"workload.pipeline={pipeline}: there is no such folder")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(pipeline, allow_patterns=list(CONFIGURATION_FILES)))
    except Exception as error:  # whatever the network or the hub says is about this one value
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"workload.pipeline={pipeline}: cannot be fetched from the hub: {reason}") from None
