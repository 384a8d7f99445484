"""Imagen: the cascade's sizes and parameters, its attention lengths, and its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from suite.errors import ConfigError


def test_published_sizes(meta_workload: Callable, num_parameters: Callable) -> None:
    """T5-XXL 4.6 B and super-resolution 600 M + 400 M within 5 %; the base's 2 B within what docs/decisions/imagen.md says."""
    parts = meta_workload("imagen").parts
    first, second = (num_parameters(unet) for unet in parts["super_resolution"].values())
    assert num_parameters(parts["text_encoder"]) == pytest.approx(4.6e9, rel=0.05)
    assert num_parameters(parts["denoiser"]) == 2_193_631_238
    assert first == pytest.approx(600e6, rel=0.05)
    assert second == pytest.approx(400e6, rel=0.05)


def test_attention_lies_where_the_paper_puts_it(attention_calls: Callable) -> None:
    """At a base of 16 px: positions of a half, a quarter and an eighth of it, with 77 keys of text appended to their own."""
    calls = [call for call in attention_calls("imagen") if call[0] == "cross"]
    appended = {(queries, keys) for _, _, queries, keys in calls if queries > 1 and keys != 77}
    assert appended == {(n, n + 77) for n in (64, 16, 4)} | {(16, 93)}
    assert {queries for _, _, queries, keys in calls if keys == 77} == {256}, "the last model attends to text alone"


def test_each_model_makes_the_image_larger(experiment: Callable) -> None:
    workload = experiment("workload=imagen").make_workload()
    seen = []
    for pipeline in (workload.base, *workload.upscalers):
        pipeline.unet.register_forward_pre_hook(lambda unet, args: seen.append(tuple(args[0].shape[1:])))
    workload.generate()
    assert list(dict.fromkeys(seen)) == [(3, 16, 16), (6, 64, 64), (6, 256, 256)]
    assert len(seen) == 3 + 2 + 2


def test_a_cascade_is_saved_and_loaded(experiment: Callable, tmp_path: Path) -> None:
    source = experiment("workload=imagen", "weights.seed=5").make_workload()
    source.save_pretrained(tmp_path)
    loaded = experiment("workload=imagen", "weights=pretrained", f"weights.path={tmp_path}").make_workload()
    assert torch.equal(loaded.generate(), source.generate())
    assert loaded.notes == ()


def test_sizes_between_the_models_are_refused(experiment: Callable) -> None:
    with pytest.raises(ConfigError, match=r"request.height=320: a multiple of 128"):
        experiment("workload=imagen", "request.height=320").make_workload()
