"""Live CPU profiles of small models: everything the profiler's own tables say must come out of the trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from attribution.handmade import rows, total
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from suite.attribution.kineto import Attribution, attribute
from suite.attribution.marks import PREFIX
from suite.attribution.scopes import AttentionRule, StageScopes, module_scopes
from suite.attribution.trace import read_trace
from suite.stage import stage, watched_by

RULES = {
    "unet": [AttentionRule(r"attn1$", "spatial"), AttentionRule(r"attn2$", "cross")],
    "motion": [
        AttentionRule(r"motion_modules.*attn\d$", "temporal"),
        AttentionRule(r"attn1$", "spatial"),
        AttentionRule(r"attn2$", "cross"),
    ],
    "t5": [
        AttentionRule(r"EncDecAttention$", "cross"),
        AttentionRule(r"decoder.*SelfAttention$", "causal"),
        AttentionRule(r"encoder.*SelfAttention$", "joint"),
    ],
}
CLASS_OF = {"convolution": "convolution", "mm": "linear", "addmm": "linear", "bmm": "attention", "baddbmm": "attention"}


def unet() -> tuple[nn.Module, Callable[[nn.Module], object]]:
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    sample, text = torch.randn(2, 4, 16, 16), torch.randn(2, 7, 16)
    return model, lambda model: model(sample, 3, text)


def motion() -> tuple[nn.Module, Callable[[nn.Module], object]]:
    from diffusers import UNetMotionModel

    model = UNetMotionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=16,
        num_attention_heads=2,
        motion_num_attention_heads=2,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
        up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion"),
    )
    sample, text = torch.randn(1, 4, 5, 8, 8), torch.randn(5, 7, 16)
    return model, lambda model: model(sample, 3, text)


def t5() -> tuple[nn.Module, Callable[[nn.Module], object]]:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0)
    words, answer = torch.arange(12).reshape(2, 6), torch.arange(6).reshape(2, 3)
    return T5ForConditionalGeneration(config), lambda model: model(input_ids=words, decoder_input_ids=answer)


MODELS = {"unet": unet, "motion": motion, "t5": t5}


@dataclass(frozen=True)
class Live:
    """One model, profiled, with what the profiler's and torch's own tables say of it."""

    found: Attribution
    averages: dict[str, int]
    """Nanoseconds of self time by name."""
    flops: dict[str, int]
    """By class, from torch's counter with the attention spelled out."""


@cache
def live(name: str, folder: Path, math: bool = False) -> Live:
    torch.manual_seed(0)
    model, call = MODELS[name]()
    model.eval()
    backend = SDPBackend.MATH if math else SDPBackend.FLASH_ATTENTION
    parts = {"denoiser": model}

    def generate() -> None:
        with stage("generate"):
            for _ in range(2):
                with stage("denoise_step"):
                    call(model)

    with torch.inference_mode(), sdpa_kernel([backend, SDPBackend.MATH]):
        generate()
        with (
            profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler,
            watched_by([StageScopes()]),
            module_scopes(parts, RULES[name]),
        ):
            generate()
    path = folder / f"{name}-{math}.json"
    profiler.export_chrome_trace(str(path))
    averages = {event.key: round(event.self_cpu_time_total * 1000) for event in profiler.key_averages()}
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        generate()
    return Live(attribute(read_trace(path)), averages, flops_by_class(model, counter))


def flops_by_class(model: nn.Module, counter: FlopCounterMode) -> dict[str, int]:
    """Batched products are attention's, but for those that a linear layer makes of an input that lies oddly in memory."""
    counts = counter.get_flop_counts()
    linear_layers = {name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    flops: defaultdict[str, int] = defaultdict(int)
    for module, by_operator in counts.items():
        in_linear = module.partition(".")[2] in linear_layers
        for operator, count in by_operator.items():
            found = CLASS_OF[operator.__name__.partition(".")[0]]
            if module == "Global":
                flops[found] += count
            elif in_linear and found == "attention":
                flops["linear"] += count
                flops["attention"] -= count
    return dict(flops)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


def test_host_time_is_what_the_profiler_says(model: str, folder: Path) -> None:
    run = live(model, folder)
    everything = sum(run.averages.values()) / 1e9
    operators = sum(time for name, time in run.averages.items() if not name.startswith(PREFIX)) / 1e9
    shown = total(run.found.operators, "host_self_s", lambda row: row["operator"] != "unattributed")
    assert total(run.found.operators, "host_self_s") == pytest.approx(run.found.span_s, rel=1e-9)
    assert run.found.span_s == pytest.approx(everything, rel=0.01)
    assert shown == pytest.approx(operators, rel=0.01)
    other = total(run.found.operators, "host_self_s", lambda row: row["operator_class"] == "other")
    assert other - (run.found.span_s - shown) <= 0.03 * shown


def test_flops_are_what_torch_counts(model: str, folder: Path) -> None:
    run = live(model, folder)
    by_class: defaultdict[str, int] = defaultdict(int)
    for row in run.found.operators.to_pylist():
        by_class[row["operator_class"]] += row["flops"] or 0
    assert {name: count for name, count in by_class.items() if count} == run.flops


def test_fused_attention_counts_like_spelled_out_attention(folder: Path) -> None:
    fused, math = live("unet", folder), live("unet", folder, math=True)
    assert {call["kernel"] for call in fused.found.attention.to_pylist()} == {"flash"}
    assert {call["kernel"] for call in math.found.attention.to_pylist()} == {"math"}
    sums = [total(run.found.operators, "flops", lambda row: row["attention_part"] == "core") for run in (fused, math)]
    assert sums[0] == sums[1] == fused.flops["attention"]


def test_the_unet_calls_attention_where_it_should(folder: Path) -> None:
    calls = live("unet", folder).found.attention.to_pylist()
    assert [call["call"] for call in calls] == list(range(16))
    assert [call["attention_kind"] for call in calls] == ["spatial", "cross"] * 8
    assert [call["query_length"] for call in calls[:8]] == [256, 256, 64, 64, 256, 256, 256, 256]
    assert {call["key_length"] for call in calls if call["attention_kind"] == "cross"} == {7}
    assert [call["step"] for call in calls] == [0] * 8 + [1] * 8
    assert calls[0]["module"] == "denoiser.down_blocks.0.attentions.0.transformer_blocks.0.attn1"
    assert (calls[0]["batch"], calls[0]["heads"], calls[0]["head_dim"]) == (2, 4, 8)


def test_the_video_model_looks_along_time(folder: Path) -> None:
    run = live("motion", folder)
    temporal = rows(run.found.attention, attention_kind="temporal")
    assert temporal
    assert {(call["query_length"], call["key_length"]) for call in temporal} == {(5, 5)}
    assert all(".motion_modules." in call["module"] for call in temporal)
    spatial = rows(run.found.attention, attention_kind="spatial")
    assert {call["batch"] for call in spatial} == {5}
    assert all(call["attention_kind"] for call in run.found.attention.to_pylist())


def test_t5_spells_its_attention_out(folder: Path) -> None:
    calls = live("t5", folder).found.attention.to_pylist()
    assert {call["kernel"] for call in calls} <= {"eager", "flash", "math"}
    lengths = {(call["attention_kind"], call["query_length"], call["key_length"]) for call in calls}
    assert lengths == {("joint", 6, 6), ("causal", 3, 3), ("cross", 3, 6)}
    assert len(calls) == 2 * 6
    assert {(call["batch"], call["heads"], call["head_dim"]) for call in calls} == {(2, 4, 8)}


def test_projections_are_told_from_the_core(model: str, folder: Path) -> None:
    table = live(model, folder).found.operators
    projections = rows(table, attention_part="projection")
    assert {row["operator_class"] for row in projections} == {"linear"}
    assert all(row["attention_kind"] and row["module"] for row in projections)
    assert {row["operator_class"] for row in rows(table, attention_part="core")} == {"attention"}
