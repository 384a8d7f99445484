"""What every workload must do, whichever it is: listed from conf/, so that a new one is tested by being there.

Names for the mirror: workloads.diffusers_pipeline, workloads.animatediff, workloads.prod_image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT

from suite.stage import DENOISER_FORWARD, STAGES, stage, watched_by
from suite.workload import FAMILIES, PARTS

NEEDS_A_PIPELINE = ("diffusers",)
"""Workloads that are nothing until a pipeline is named; tested in a file of their own."""
FILES = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / "conf" / "workload").glob("*.yaml"))
    if path.stem not in NEEDS_A_PIPELINE
}
WORKLOADS = [name for name, content in FILES.items() if "defaults" not in content]
VARIANTS = [name for name in FILES if name not in WORKLOADS]
"""Other sizes of a workload that is tested: they are run, and that is all."""


class Spans:
    """A watcher that counts spans and checks that stages nest."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.open: list[str] = []

    def enter(self, name: str) -> None:
        assert name in (*STAGES, DENOISER_FORWARD)
        assert name not in self.open, f"{name} inside {name}"
        self.open.append(name)
        self.counts[name] += 1

    def exit(self, name: str) -> None:
        assert self.open.pop() == name


def generate(workload) -> tuple[torch.Tensor, Counter[str]]:
    spans = Spans()
    with watched_by([spans]), stage("generate"):
        output = workload.generate()
    return output, spans.counts


@pytest.fixture(scope="session")
def first_generation(smoke_workload: Callable) -> Callable:
    """Output and span counts of a workload's first generation, by name."""
    return cache(lambda name: generate(smoke_workload(name)))


@pytest.mark.parametrize("name", WORKLOADS)
def test_it_speaks_the_houses_words(name: str, smoke_workload: Callable) -> None:
    workload = smoke_workload(name)
    assert workload.family in FAMILIES
    assert set(workload.parts) <= set(PARTS)
    assert workload.attention_rules
    assert any("byte" in note or "synthetic" in note for note in workload.notes), "what stands in for something says so"


@pytest.mark.parametrize("name", FILES)
def test_it_generates_in_stages_the_same_every_time(
    name: str, smoke_workload: Callable, first_generation: Callable
) -> None:
    workload = smoke_workload(name)
    first, counts = first_generation(name)
    second, _ = generate(workload)
    assert first.equal(second), "the same seed gives the same output, bit for bit"
    if workload.media != "text":
        assert first.isfinite().all()
        assert 0 <= first.min() < first.max() <= 1
        assert first.std() > 0.01, "random weights that cancel out would hide work"
    steps = counts["denoise_step"] or counts["decode_step"]
    assert steps >= 2
    assert counts[DENOISER_FORWARD] >= steps
    assert counts["generate"] == 1
    for part, name_of_stage in (("text_encoder", "text_encode"), ("super_resolution", "super_resolve")):
        assert (counts[name_of_stage] > 0) == (part in workload.parts)


@pytest.mark.parametrize("name", WORKLOADS)
def test_another_seed_gives_another_output(
    name: str, experiment: Callable, smoke_workload: Callable, first_generation: Callable
) -> None:
    if smoke_workload(name).media == "text":
        pytest.skip("text is continued greedily: no seed")
    other = experiment(f"workload={name}", "request.seed=1").make_workload()
    assert not generate(other)[0].equal(first_generation(name)[0])


@pytest.mark.parametrize("name", WORKLOADS)
def test_no_weight_matrix_is_zero_throughout(name: str, smoke_workload: Callable) -> None:
    for part, module in smoke_workload(name).parts.items():
        zero = [path for path, weight in module.named_parameters() if weight.ndim > 1 and not weight.any()]
        assert not zero, f"{part}: {zero}"


@pytest.mark.parametrize("name", WORKLOADS)
def test_it_saves_files_that_open_with_the_right_size(
    name: str, smoke_workload: Callable, first_generation: Callable, tmp_path: Path
) -> None:
    import imageio.v3 as imageio

    workload = smoke_workload(name)
    request = workload.request
    output = first_generation(name)[0]
    paths = workload.save(output, tmp_path)
    assert len(paths) == request.batch_size
    for path in paths:
        if workload.media == "text":
            assert path.read_text()
            continue
        pixels = imageio.imread(path)
        assert pixels.shape == (*output.shape[1:-3], *output.shape[-2:], 3)
        assert pixels.std() > 1
    sizes = [getattr(request, key) for key in ("height", "width") if getattr(request, key)]
    assert list(output.shape[-2:]) == sizes or workload.media == "text"


@pytest.mark.parametrize("name", WORKLOADS)
def test_weights_come_from_the_seed_and_leave_global_state_alone(
    name: str, experiment: Callable, smoke_workload: Callable
) -> None:
    first = smoke_workload(name)
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    again = experiment(f"workload={name}").make_workload()
    assert torch.rand(3).equal(expected)
    assert torch.get_default_dtype() is torch.float32
    other = experiment(f"workload={name}", "weights.seed=1").make_workload()
    weights = [next(p for p in w.parts["denoiser"].parameters() if p.ndim > 1) for w in (first, other, again)]
    assert not weights[0].equal(weights[1])
    assert weights[0].equal(weights[2])


@pytest.mark.parametrize("name", ["stable_diffusion", "animatediff", "stable_video_diffusion"])
def test_a_pretrained_folder_brings_its_own_components(name: str, experiment: Callable, tmp_path: Path) -> None:
    source = experiment(f"workload={name}", "weights.seed=5").make_workload()
    expected = generate(source)[0]
    source.pipeline.save_pretrained(tmp_path)
    loaded = experiment(f"workload={name}", "weights=pretrained", f"weights.path={tmp_path}").make_workload()
    assert not any("byte" in note for note in loaded.notes)
    assert generate(loaded)[0].equal(expected)


def test_a_folder_that_is_no_pipeline_is_one_sentence(experiment: Callable, tmp_path: Path) -> None:
    from suite.errors import ConfigError

    with pytest.raises(ConfigError, match="cannot be loaded as a StableDiffusionPipeline") as caught:
        experiment("weights=pretrained", f"weights.path={tmp_path}").make_workload()
    assert "\n" not in str(caught.value)


def test_a_folder_of_another_model_is_one_sentence(
    experiment: Callable, smoke_workload: Callable, tmp_path: Path
) -> None:
    from suite.errors import ConfigError

    smoke_workload("stable_video_diffusion").pipeline.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"StableDiffusionPipeline|no UNet2DConditionModel|not a"):
        experiment("weights=pretrained", f"weights.path={tmp_path}").make_workload()


def test_what_stands_in_for_a_closed_model_is_in_every_record(smoke_workload: Callable) -> None:
    assert any("stands in for Meta's production" in note for note in smoke_workload("prod_image").notes)


def test_animatediff_takes_sizes_that_are_no_square_of_latents(experiment: Callable) -> None:
    """As 576 x 1024 are: halved three times, an uneven number is among its sides."""
    asked = ("request.height=72", "request.width=128", "request.num_frames=2", "request.num_inference_steps=1")
    assert experiment("workload=animatediff", *asked).make_workload().generate().shape == (1, 2, 3, 72, 128)
