"""Random weights: zero layers are redrawn, everything else stays; the tokenizer and the media files they go with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from suite.workload import Placement
from workloads.media_files import save_images
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.tokenizer import byte_tokenizer

CPU = Placement(device="cpu", precision="float32")


def test_only_weights_that_are_zero_throughout_are_redrawn() -> None:
    module = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    nn.init.zeros_(module[0].weight)
    nn.init.zeros_(module[1].bias)
    kept = module[1].weight.clone()
    assert redraw_zero_weights(module) == 1
    assert 0.01 < module[0].weight.std() < 0.03
    assert module[1].weight.equal(kept)
    assert not module[1].bias.any()


def test_weights_on_meta_have_no_values_to_redraw() -> None:
    with seeded_construction(Placement(device="meta", precision="bfloat16"), seed=0):
        assert redraw_zero_weights(nn.Linear(4, 4)) == 0


def test_modules_are_built_in_the_final_type() -> None:
    with seeded_construction(Placement(device="cpu", precision="bfloat16"), seed=0):
        assert nn.Linear(2, 2).weight.dtype is torch.bfloat16
    with seeded_construction(CPU, seed=0):
        first = nn.Linear(2, 2).weight
    with seeded_construction(CPU, seed=0):
        assert nn.Linear(2, 2).weight.equal(first)


def test_the_tokenizer_gives_one_token_a_byte_and_can_be_undone() -> None:
    tokenizer = byte_tokenizer(16)
    batch = tokenizer(["aé", "a much longer prompt than that"], padding="max_length", truncation=True, max_length=16)
    assert [len(ids) for ids in batch["input_ids"]] == [16, 16]
    assert batch["attention_mask"][0] == [1] * 5 + [0] * 11, "start, three bytes, end"
    assert tokenizer.decode(batch["input_ids"][0], skip_special_tokens=True) == "aé"
    assert len(tokenizer) == 258


def test_images_keep_their_values_to_one_part_in_255(tmp_path: Path) -> None:
    from PIL import Image

    images_BCHW = torch.rand(2, 3, 4, 6)
    for path, image_CHW in zip(save_images(images_BCHW, tmp_path), images_BCHW, strict=True):
        pixels_HWC = np.asarray(Image.open(path)) / 255
        assert np.abs(pixels_HWC - image_CHW.movedim(0, -1).numpy()).max() <= 0.5 / 255 + 1e-7
