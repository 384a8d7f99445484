"""Pipelines that have no file here, from folders: parts, stages, attention kinds, sums, and what is not understood.

Names for the mirror: workloads.pipeline_parts, workloads.pipeline_stages, workloads.pipeline_arguments,
workloads.attention_kinds, workloads.components.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from suite.errors import ConfigError
from suite.probes.attention import disagreements
from suite.stage import stage, watched_by
from suite.subject import Subject
from tests.workloads import tiny_pipelines
from workloads.pipeline_parts import find_parts
from workloads.pipeline_stages import PipelineStages

IMAGE = ("request.height=64", "request.width=64", "request.num_inference_steps=2")


@dataclass(frozen=True)
class Expected:
    """What is known of two steps of a tiny pipeline, counted from its layers."""

    kinds: dict[str, int]
    """Attention calls by kind."""
    asked: tuple[str, ...] = IMAGE
    num_frames: int | None = None
    stages: tuple[str, ...] = ("text_encode", "denoise_step", "denoise_step", "decode")
    num_forwards: int = 2
    notes: int = 0


PIPELINES = {
    # Two T5 layers for the prompt and the empty one; two blocks in two steps; the decoder's one.
    "pixart": Expected({"joint": 4, "spatial": 4 + 1, "cross": 4}),
    # Two double and two single blocks, all of them over text and image.
    "aura_flow": Expected({"joint": 4 + 8, "spatial": 1}),
    # A refiner of the text, one of the image, two blocks over both; guidance runs the model once more.
    "lumina2": Expected({"causal": 6, "joint": 4 + 8, "spatial": 4 + 1}, num_forwards=4),
    # No callbacks and no encode_prompt: bert is called for the empty prompt first. Four attentions of each kind in a step.
    "latent_diffusion": Expected({"joint": 2, "spatial": 8 + 1, "cross": 8}),
    "class_conditional": Expected(
        {"spatial": 4 + 1},
        asked=("request.num_inference_steps=2",),
        stages=("denoise_step", "denoise_step", "decode"),
    ),
    # Every spatial block has a temporal one beside it with two self-attentions; one more temporal block comes first.
    "text_to_video": Expected({"causal": 4, "spatial": 8 + 1, "cross": 8, "temporal": 16 + 4}, num_frames=4),
    "latte": Expected({"joint": 4, "spatial": 4 + 1, "cross": 4, "temporal": 4}, num_frames=6),
    # Prompt and empty prompt have their own lengths, so that each block attends twice; the text is pooled by attention.
    "mochi": Expected({"joint": 4 + 8, "cross": 2}, num_frames=7),
    # The image is encoded by the VAE: a second span of text_encode.
    "image_to_video": Expected(
        {"joint": 4 + 4, "cross": 4},
        num_frames=9,
        stages=("text_encode", "text_encode", "denoise_step", "denoise_step", "decode"),
        notes=1,
    ),
}


class Order:
    """A watcher that writes down stages in the order in which they begin, and counts forwards."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.num_forwards = 0
        self.open: list[str] = []

    def enter(self, name: str) -> None:
        assert name not in self.open
        self.open.append(name)
        if name == "denoiser_forward":
            assert self.open[-2] == "denoise_step"
            self.num_forwards += 1
        elif name != "generate":
            assert self.open == ["generate", name]
            self.stages.append(name)

    def exit(self, name: str) -> None:
        assert self.open.pop() == name


class Reached(TorchFunctionMode):
    """Counts what reaches scaled_dot_product_attention, by queries and keys."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: Counter[tuple[int, int]] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is scaled_dot_product_attention:
            given = [*args, *(kwargs or {}).values()]
            self.lengths[given[0].shape[-2], given[1].shape[-2]] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny pipeline by name, as ``save_pretrained`` leaves it."""

    @cache
    def saved(name: str) -> Path:
        path = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        getattr(tiny_pipelines, name)().save_pretrained(path)
        return path

    return saved


@pytest.fixture(scope="session")
def door(experiment: Callable, folder: Callable) -> Callable[..., Any]:
    """``workload=diffusers`` on a tiny pipeline: ``door("latte", "weights=pretrained")``."""

    def opened(name: str, *overrides: str) -> Any:
        expected = PIPELINES[name]
        frames = [f"request.num_frames={expected.num_frames}"] if expected.num_frames else []
        chosen = ["workload=diffusers", f"workload.pipeline={folder(name)}", *expected.asked, *frames, *overrides]
        return experiment(*chosen).make_workload()

    return opened


def table_of(workload: Any, experiment: Callable, scratch: Path) -> tuple[Any, Any]:
    found = Subject(workload, {"stack": {}}, experiment().protocol, scratch).profile().attribution
    rows = found.operators.to_pandas()
    assert rows["host_self_s"].sum() == pytest.approx(found.span_s, rel=1e-9), "everything is accounted for"
    return found.attention, rows


@pytest.mark.parametrize("weights", ["random", "pretrained"])
@pytest.mark.parametrize("name", PIPELINES)
def test_stages_kinds_and_sums(name: str, weights: str, door: Callable, experiment: Callable, tmp_path: Path) -> None:
    expected = PIPELINES[name]
    workload = door(name, f"weights={weights}")
    order = Order()
    with watched_by([order]), stage("generate"):
        first = workload.generate()
    assert tuple(order.stages) == expected.stages
    assert order.num_forwards == expected.num_forwards
    with Reached() as reached:
        assert workload.generate().equal(first), "the same seed gives the same output, bit for bit"
    frames = (expected.num_frames,) if expected.num_frames else ()
    assert first.shape == (1, *frames, 3, 64, 64)
    assert 0 <= first.min() < first.max() <= 1

    attention, rows = table_of(workload, experiment, tmp_path)
    calls = attention.to_pandas()
    assert calls["attention_kind"].value_counts().to_dict() == expected.kinds
    fused = calls[calls["kernel"] != "eager"]
    assert Counter(zip(fused["query_length"], fused["key_length"], strict=True)) == reached.lengths
    assert disagreements(attention, workload.temporal_lengths) == []
    assert set(rows["stage"].dropna()) == {*expected.stages, "generate"}
    assert len(workload.notes) == expected.notes


@pytest.mark.parametrize("name", ["pixart", "text_to_video"])
def test_configuration_files_alone_suffice(
    name: str, door: Callable, folder: Callable, experiment: Callable, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    keep = ("*.safetensors", "tokenizer.json", "*.txt", "vocab.*", "merges.*")
    shutil.copytree(folder(name), bare, ignore=shutil.ignore_patterns(*keep))
    assert not list(bare.rglob("*.safetensors"))
    workload = door(name, f"workload.pipeline={bare}")
    assert any("byte" in note for note in workload.notes)
    assert workload.generate().equal(door(name).generate()), "the stand-in is the tokenizer that was saved"


def test_parameters_are_counted_without_memory(folder: Callable, experiment: Callable, door: Callable) -> None:
    from suite.workload import Placement, Weights
    from workloads.diffusers_folder import DiffusersFolder

    request = door("latte").request
    weights = Weights(source="random", path=None, seed=0)
    placement = Placement(device="meta", precision="bfloat16")
    meta = DiffusersFolder(str(folder("latte")), request=request, weights=weights, placement=placement)
    real = door("latte")
    for part, module in meta.parts.items():
        assert all(weight.is_meta for weight in module.parameters())
        assert sum(w.numel() for w in module.parameters()) == sum(w.numel() for w in real.parts[part].parameters())


class OwnProcessor:
    """An attention processor that nobody knows, with a call of its own."""

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: Any = None, **ignored: Any
    ) -> Any:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        split = (attn.heads, -1)
        query, key, value = (
            projection(x).unflatten(-1, split).transpose(1, 2)
            for projection, x in ((attn.to_q, hidden_states), (attn.to_k, source), (attn.to_v, source))
        )
        return attn.to_out[0](scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


def test_attention_behind_a_custom_processor_is_found(door: Callable, experiment: Callable, tmp_path: Path) -> None:
    workload = door("pixart")
    workload.pipeline.transformer.set_attn_processor(OwnProcessor())
    attention, _ = table_of(workload, experiment, tmp_path)
    assert attention.to_pandas()["attention_kind"].value_counts().to_dict() == PIPELINES["pixart"].kinds
    assert disagreements(attention, workload.temporal_lengths) == []


def test_attention_that_is_not_understood_is_said_to_be_so(
    door: Callable, experiment: Callable, tmp_path: Path
) -> None:
    """Here: an attention over the patches that belongs to no module with projections."""
    workload = door("pixart")

    def attend(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
        heads = output.unflatten(-1, (4, -1)).transpose(1, 2)
        return scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)

    workload.pipeline.transformer.pos_embed.register_forward_hook(attend)
    attention, _ = table_of(workload, experiment, tmp_path)
    assert attention.to_pandas()["attention_kind"].isna().sum() == 2
    complaints = disagreements(attention, workload.temporal_lengths)
    assert len(complaints) == 1
    assert "of a kind that no rule declares" in complaints[0]


class Barless:
    """A pipeline that shows no progress and calls nobody back."""

    def __init__(self) -> None:
        self.unet = nn.Linear(2, 2)

    def __call__(self) -> None:
        for _ in range(3):
            self.unet(torch.ones(1, 2))


def test_without_bar_and_callback_a_step_is_a_call_of_the_denoiser() -> None:
    pipeline = Barless()
    PipelineStages(pipeline, {"denoiser": {"unet": pipeline.unet}})
    order = Order()
    with watched_by([order]), stage("generate"):
        pipeline()
    assert order.stages == ["denoise_step"] * 3
    assert order.num_forwards == 3


def test_a_component_that_plays_no_known_part_is_named() -> None:
    components = {"unet": nn.Linear(2, 2), "flux_capacitor": nn.Linear(2, 2), "scheduler": object()}
    parts, unknown = find_parts(SimpleNamespace(components=components))
    assert set(parts) == {"denoiser"}
    assert len(unknown) == 1
    assert "flux_capacitor (Linear) plays no known part" in unknown[0]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["request.num_frames=9"], r"request.num_frames=9: PixArtAlphaPipeline takes no num_frames"),
        (["request.height=100"], r"request.height=100: a multiple of 16"),
        (["workload.pipeline=null"], r"workload.pipeline is not set"),
        (["workload.pipeline=./nowhere"], r"workload.pipeline=./nowhere: there is no such folder"),
        (["workload.pipeline={root}"], r"is no folder of a diffusers pipeline"),
    ],
)
def test_wrong_input_is_one_sentence(overrides: list[str], sentence: str, door: Callable, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        door("pixart", *(override.format(root=tmp_path) for override in overrides))
    assert "\n" not in str(caught.value)


def test_frames_between_latents_are_refused(door: Callable) -> None:
    with pytest.raises(ConfigError, match=r"request.num_frames=8: 6 k \+ 1 frames are needed"):
        door("mochi", "request.num_frames=8")
