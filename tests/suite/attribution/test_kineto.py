"""Attribution of traces written by hand: every number below can be added up on paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from attribution.handmade import HandmadeTrace, only, rows, total

from suite.record_tables import TABLES

US = 1e-6


@pytest.fixture
def made(tmp_path: Path) -> HandmadeTrace:
    return HandmadeTrace(tmp_path)


def test_tables_have_the_schema_of_the_record(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 10).operator("aten::mm", 1, 5, [2, 3], [3, 4]).memory(2, 64)
    found = made.attribute()
    assert found.operators.schema == TABLES["operators"]
    assert found.attention.schema == TABLES["attention"]
    assert found.memory.schema == TABLES["memory"]
    assert found.memory_peaks.schema == TABLES["memory_peaks"]


def test_an_empty_trace_gives_empty_tables(made: HandmadeTrace) -> None:
    found = made.attribute()
    assert len(found.operators) == len(found.attention) == 0
    assert found.memory is found.memory_peaks is found.kernel_total_s is found.num_steps is None
    assert found.span_s == 0


def test_steps_stages_and_modules(made: HandmadeTrace) -> None:
    made.operator("aten::mm", 0, 5)  # before the generation
    made.stage("generate", 10, 100).operator("aten::randn", 11, 13)
    for step, begin in enumerate((20, 50)):
        made.stage("denoise_step", begin, begin + 25).stage("denoiser_forward", begin + 1, begin + 20)
        made.module("denoiser", begin + 2, begin + 19).module("denoiser.block", begin + 3, begin + 15)
        made.operator("aten::mm", begin + 4, begin + 10 + step, [2, 3], [3, 4])
        made.operator("aten::add", begin + 21, begin + 24, [2, 4])
    made.stage("decode", 80, 95).operator("aten::silu", 81, 82, [4])
    made.operator("aten::mm", 200, 205)  # after it
    found = made.attribute()
    assert found.num_steps == 2
    assert found.span_s == pytest.approx(90 * US)
    assert total(found.operators, "host_self_s") == pytest.approx(90 * US, rel=1e-12)
    assert only(found.operators, operator="aten::mm", step=0)["host_self_s"] == pytest.approx(6 * US)
    product = only(found.operators, operator="aten::mm", step=1)
    expected = {"stage": "denoise_step", "module": "denoiser.block", "operator_class": "linear", "precision": "float32"}
    assert product | expected | {"calls": 1, "flops": 48} == product
    assert product["device_self_s"] is None
    add = only(found.operators, operator="aten::add", step=0)
    assert (add["stage"], add["module"]) == ("denoise_step", None)
    noise = only(found.operators, operator="aten::randn")
    assert (noise["stage"], noise["step"]) == ("generate", None)
    assert only(found.operators, operator="aten::silu")["stage"] == "decode"

    def python(**wanted: object) -> float:
        return round(only(found.operators, operator="unattributed", **wanted)["host_self_s"] / US, 3)

    assert python(stage="generate") == 90 - 50 - 15 - 2
    assert python(stage="denoise_step", step=0, module=None) == (25 - 19 - 3) + (19 - 17)
    assert python(step=0, module="denoiser") == 17 - 12
    assert python(step=1, module="denoiser.block") == 12 - 7
    assert python(stage="decode") == 14


def test_steps_start_anew_in_every_generation(made: HandmadeTrace) -> None:
    for begin in (0, 100):
        made.stage("generate", begin, begin + 90)
        for step in range(2):
            made.stage("decode_step", begin + 10 + 20 * step, begin + 25 + 20 * step)
            made.operator("aten::mm", begin + 11 + 20 * step, begin + 20 + 20 * step)
    found = made.attribute()
    assert found.num_steps == 2
    assert [row["calls"] for row in rows(found.operators, operator="aten::mm")] == [2, 2]
    assert found.span_s == pytest.approx(180 * US)


def test_other_threads_are_told_apart(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 100).stage("decode", 50, 90).operator("aten::mm", 60, 70)
    made.operator("aten::add", 20, 30, tid=8).operator("aten::mul", 60, 90, tid=8).operator(
        "aten::div", 150, 160, tid=8
    )
    made.frame("threading.py(1): wait", 0, 200, tid=8)
    found = made.attribute()
    assert found.span_s == pytest.approx(100 * US)
    assert found.aside_s == pytest.approx(40 * US)
    assert total(found.operators, "host_self_s") == pytest.approx(140 * US)
    assert only(found.operators, operator="aten::add")["stage"] == "generate"
    assert only(found.operators, operator="aten::mul")["stage"] == "decode"
    assert rows(found.operators, operator="aten::div") == []


def test_without_marks_threads_that_only_wait_do_not_count(made: HandmadeTrace) -> None:
    made.annotation("ProfilerStep#3", 0, 50).operator("aten::mm", 10, 30).frame("wait", 0, 500, tid=9)
    found = made.attribute()
    assert found.span_s == pytest.approx(50 * US)
    assert only(found.operators, operator="unattributed")["host_self_s"] == pytest.approx(30 * US)
    assert found.num_steps is None


def test_a_kernel_goes_to_the_innermost_operator_around_its_launch(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 100).stage("denoise_step", 0, 50).module("denoiser", 1, 49)
    made.operator("aten::linear", 10, 30).operator("aten::addmm", 12, 28, [4], [2, 3], [3, 4]).launch(14, 20, 77)
    made.kernel("gemm_kernel<float>", 120, 160, correlation=77)  # long after the host has moved on
    found = made.attribute()
    product = only(found.operators, operator="aten::addmm")
    assert product["device_self_s"] == pytest.approx(40 * US)
    assert product["host_self_s"] == pytest.approx(16 * US)  # the launch is part of the operator
    assert (product["stage"], product["step"], product["module"], product["calls"]) == (
        "denoise_step",
        0,
        "denoiser",
        1,
    )
    assert only(found.operators, operator="aten::linear")["device_self_s"] == 0
    assert found.kernel_total_s == pytest.approx(40 * US)


def test_kernels_that_nobody_launched_are_not_lost(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 100).stage("decode", 40, 60).operator("aten::mm", 10, 20, **{"External id": 5})
    name = "void at::native::vectorized_elementwise_kernel<4, at::native::AddFunctor<float> >(int, float*)"
    made.kernel(name, 45, 55, correlation=999)
    made.kernel("mystery", 70, 71)
    made.kernel("gemm", 80, 83, **{"External id": 5})  # no launch in the trace, but the operator's own id
    made.kernel("too_late", 130, 131)
    found = made.attribute()
    orphan = only(found.operators, operator="vectorized_elementwise_kernel")
    assert (orphan["operator_class"], orphan["stage"], orphan["calls"]) == ("elementwise", "decode", 1)
    assert orphan["host_self_s"] == 0
    assert only(found.operators, operator="mystery")["operator_class"] == "other"
    assert only(found.operators, operator="aten::mm")["device_self_s"] == pytest.approx(3 * US)
    assert found.kernel_total_s == pytest.approx(14 * US)


def test_kernels_of_a_graph_are_classed_by_their_names(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 100).stage("denoise_step", 0, 90)
    made.operator("aten::mm", 5, 40).launch(10, 20, 7, "cudaGraphLaunch")
    kernels = {
        "void flash::flash_fwd_kernel<Traits>(Params)": "attention",
        "triton_poi_fused_add_silu_3": "elementwise",
        "sm90_xmma_gemm_bf16": "linear",
        "sm90_xmma_fprop_implicit_gemm_f16": "convolution",
        "triton_red_fused_native_group_norm_1": "normalization",
    }
    for place, name in enumerate(kernels):
        made.kernel(name, 20 + place, 21 + place, correlation=7)
    found = made.attribute()
    by_class = {row["operator_class"]: row for row in found.operators.to_pylist() if row["device_self_s"]}
    assert sorted(by_class) == sorted(kernels.values())
    assert by_class["attention"]["attention_part"] == "core"
    assert all((row["stage"], row["step"]) == ("denoise_step", 0) for row in by_class.values())
    assert only(found.operators, operator="aten::mm")["device_self_s"] == 0
    assert total(found.operators, "device_self_s") == pytest.approx(5 * US)


def test_compiled_regions_hand_on_to_their_kernels(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 100).operator("Torch-Compiled Region: 0/0", 5, 50)
    made.launch(10, 11, 3).kernel("triton_poi_fused_mul_0", 20, 25, correlation=3)
    made.operator("triton_per_fused__softmax_1", 30, 35).launch(31, 32, 4, "cuLaunchKernel")
    made.kernel("triton_per_fused__softmax_1", 40, 42, correlation=4)
    found = made.attribute()
    assert only(found.operators, operator="triton_poi_fused_mul_0")["operator_class"] == "elementwise"
    fused = only(found.operators, operator="triton_per_fused__softmax_1")
    assert (fused["operator_class"], fused["device_self_s"]) == ("normalization", pytest.approx(2 * US))


def test_copies_and_fills_are_rows_of_their_own(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 100).operator("aten::copy_", 5, 20, [4], [4]).launch(6, 7, 1, "cudaMemcpyAsync")
    made.operator("aten::convolution", 30, 50).launch(31, 32, 2, "cudaMemsetAsync").launch(33, 34, 3)
    made.kernel("Memcpy HtoD (Pageable -> Device)", 10, 19, "gpu_memcpy", correlation=1)
    made.kernel("Memset (Device)", 40, 42, "gpu_memset", correlation=2)
    made.kernel("conv_fprop", 43, 48, correlation=3)
    found = made.attribute()
    assert only(found.operators, operator="gpu_memcpy")["device_self_s"] == pytest.approx(9 * US)
    assert only(found.operators, operator="gpu_memset")["operator_class"] == "data_movement"
    assert only(found.operators, operator="aten::convolution")["device_self_s"] == pytest.approx(5 * US)
    assert [found.kernel_total_s, found.memcpy_total_s, found.memset_total_s] == pytest.approx([5 * US, 9 * US, 2 * US])


def test_waiting_for_the_device_is_a_row(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 100).launch(50, 90, 9, "cudaDeviceSynchronize")
    found = made.attribute()
    waiting = only(found.operators, operator="cudaDeviceSynchronize")
    assert (waiting["operator_class"], waiting["host_self_s"], waiting["calls"]) == ("other", pytest.approx(40 * US), 1)


def test_operators_inside_an_attention_mark(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 200).attention("temporal", "denoiser.attn", 10, 150)
    made.operator("aten::addmm", 20, 30, [8], [4, 8], [8, 8], types="c10::BFloat16")
    made.operator("aten::view", 31, 32, [4, 8])
    made.operator("aten::scaled_dot_product_attention", 40, 80, *[[2, 4, 16, 8]] * 3)
    made.operator("aten::_scaled_dot_product_flash_attention_for_cpu", 45, 75, *[[2, 4, 16, 8]] * 3)
    made.operator("aten::empty", 50, 52)
    made.operator("aten::addmm", 90, 95, [8], [4, 8], [8, 8], types="c10::BFloat16")
    made.operator("aten::addmm", 160, 165, [8], [4, 8], [8, 8])
    found = made.attribute()
    projection = only(found.operators, operator="aten::addmm", attention_part="projection")
    assert (projection["calls"], projection["attention_kind"], projection["operator_class"]) == (
        2,
        "temporal",
        "linear",
    )
    assert (projection["precision"], projection["flops"]) == ("bfloat16", 2 * 2 * 4 * 8 * 8)
    outside = only(found.operators, operator="aten::addmm", attention_part=None)
    assert (outside["attention_kind"], outside["calls"]) == (None, 1)
    view = only(found.operators, operator="aten::view")
    assert (view["attention_kind"], view["attention_part"]) == ("temporal", None)
    core = rows(found.operators, attention_part="core")
    assert {row["operator_class"] for row in core} == {"attention"}
    assert sum(row["host_self_s"] for row in core) == pytest.approx(40 * US)
    assert sum(row["flops"] for row in core) == 2 * 4 * (2 * 16 * 16 * 8) * 2
    call = only(found.attention)
    expected = {"attention_kind": "temporal", "module": "denoiser.attn", "kernel": "flash", "precision": "float32"}
    sizes = {"batch": 2, "heads": 4, "query_length": 16, "key_length": 16, "head_dim": 8, "stage": "generate"}
    assert call | expected | sizes | {"call": 0, "step": None, "device_s": None} == call
    assert call["host_s"] == pytest.approx(40 * US)


def test_flops_have_three_states(made: HandmadeTrace) -> None:
    made.stage("generate", 0, 100)
    made.operator("aten::linear", 0.5, 9, [2, 3], [4, 3], [4]).operator("aten::addmm", 1, 8, [4], [2, 3], [3, 4])
    made.operator("aten::softmax", 10, 19, [2, 4]).operator("aten::_softmax", 11, 18, [2, 4])
    made.operator("aten::linear", 20, 29, [2, 3], [4, 3], [4])  # a leaf: nothing below does it
    made.operator("aten::reshape", 30, 39, [2, 4])
    made.operator("mine::op", 40, 49, [2, 4])
    made.operator("aten::mm", 50, 59)  # recorded without shapes
    made.operator("aten::dropout", 60, 61, [2, 4])
    found = made.attribute()
    flops = {row["operator"]: row["flops"] for row in found.operators.to_pylist()}
    assert flops == {
        "unattributed": 0,
        "aten::linear": 48,
        "aten::addmm": 48,
        "aten::softmax": 0,
        "aten::_softmax": 0,  # no matrix product, and without its dimension nobody knows the rest
        "aten::reshape": 0,
        "mine::op": None,
        "aten::mm": None,
        "aten::dropout": 0,
    }
    assert found.operators_without_flops == ["aten::_softmax", "aten::mm", "mine::op"]
