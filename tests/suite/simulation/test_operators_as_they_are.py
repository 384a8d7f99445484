"""What fake operators do not tell: temporaries against the profiler's, strides against real ones, a GPU's attention kernels.

Names for the mirror: suite.simulation.scratch, suite.simulation.strides, suite.simulation.attention_kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from math import prod
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from simulation.processors import NEEDS_AVX2, NEEDS_X86
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel

from suite import record_folder
from suite.attention_backends import capability_of, preferring
from suite.simulation.attention_kernels import FAKE_FUSED, call_of, cuda_kernel, fused_scratch_bytes
from suite.simulation.generation import simulate
from suite.simulation.known_operators import KnownOperators
from suite.simulation.observer import Observer
from suite.simulation.scratch import ONEDNN_LIMIT, onednn_isa, scratch_bytes
from suite.simulation.strides import as_real, view_strides
from suite.simulation.tally import Cost
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def profiled_scratch(run: Callable[[], torch.Tensor]) -> int:
    """Peak of what is allocated while an operator runs, less its output."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.inference_mode(), torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        output = run()
    level = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level)
    return peak - output.numel() * output.element_size()


@NEEDS_X86
@pytest.mark.parametrize(
    ("image", "out_channels", "window", "stride"),
    [
        ((2, 4, 32, 32), 320, 3, 1),  # few channels stay as they are
        ((2, 64, 32, 32), 64, 3, 1),
        ((2, 64, 32, 32), 64, 1, 1),
        pytest.param((2, 64, 32, 32), 4, 3, 1, marks=NEEDS_AVX2),  # padded to a block; SSE4.1 has another way
        ((2, 64, 32, 32), 64, 3, 2),
        ((4, 24, 17, 19), 40, 3, 1),
        ((1, 8, 16, 16), 8, 3, 1),  # small: by matrix product
    ],
)
def test_a_convolutions_temporaries_are_the_profilers(
    image: tuple[int, ...], out_channels: int, window: int, stride: int
) -> None:
    x, weight = torch.randn(image), torch.randn(out_channels, image[1], window, window)
    padding = window // 2
    args = (x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1)
    output = torch.convolution(*args)
    measured = profiled_scratch(lambda: torch.convolution(*args))
    assert scratch_bytes("aten::convolution", args, output, "cpu") == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize(
    ("avx2", "avx512", "limit", "expected"),
    [
        (True, True, "", "AVX512"),
        (True, True, "ALL", "AVX512"),
        (True, True, "avx512_core_vnni", "AVX512"),
        (True, True, "avx2_vnni", "AVX2"),
        (True, True, "SSE41", "SSE41"),
        (True, False, "AVX512_CORE", "AVX2"),
        (False, False, "AVX2", "SSE41"),
    ],
)
def test_onednns_instructions_are_the_processors_up_to_its_limit(
    avx2: bool, avx512: bool, limit: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx2_supported", lambda: avx2)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: avx512)
    monkeypatch.setenv(ONEDNN_LIMIT, limit)
    assert onednn_isa() == expected


def test_temporaries_of_softmax_norms_and_upsampling_are_the_profilers() -> None:
    scores = torch.randn(2, 4, 64, 64)
    softmax = torch.ops.aten._safe_softmax
    assert scratch_bytes("aten::_safe_softmax", (scores,), scores, "cuda") == pytest.approx(
        profiled_scratch(lambda: softmax(scores, -1)), rel=0.01
    )
    across = torch.randn(64, 32, 16).transpose(0, 1)
    measured = profiled_scratch(lambda: torch.layer_norm(across, [16]))
    assert scratch_bytes("aten::native_layer_norm", (across,), across, "cpu") == pytest.approx(measured, rel=0.15)
    for side in (16, 64):
        image = torch.randn(1, 16, side, side)

        def enlarge(image: torch.Tensor = image) -> torch.Tensor:
            return torch.nn.functional.interpolate(image, scale_factor=2.0)

        assert scratch_bytes("aten::upsample_nearest2d", (image,), enlarge(), "cpu") == pytest.approx(
            profiled_scratch(enlarge),
            abs=8192,  # indices and weights along each side
        )


@given(data=st.data(), factors=st.lists(st.integers(1, 4), min_size=2, max_size=5))
def test_strides_of_views_are_those_of_real_tensors(data: st.DataObject, factors: list[int]) -> None:
    order = data.draw(st.permutations(range(len(factors))))
    tensor = torch.empty([factors[i] for i in order]).permute(*torch.argsort(torch.tensor(order)).tolist())
    places = data.draw(st.lists(st.integers(1, len(factors)), max_size=3))
    bounds = sorted({0, len(factors), *(min(place, len(factors)) for place in places)})
    shape = [prod(factors[low:high]) for low, high in pairwise(bounds)]
    shape.insert(data.draw(st.integers(0, len(shape))), 1)
    try:
        expected = tensor.view(shape).stride()
    except RuntimeError:
        expected = None
    found = view_strides(tensor.shape, tensor.stride(), shape)
    assert found == expected


@pytest.mark.parametrize("strides", [(16, 1, 256, 16), (4096, 1, 256, 16), (4096, 256, 16, 1)])
def test_one_image_in_channels_last_order_stays_what_it_is(strides: tuple[int, ...]) -> None:
    shape = (1, 16, 16, 16)
    real = torch.empty_strided(shape, strides)
    with FakeTensorMode():
        fake = torch.empty_strided(shape, strides)
        divided = as_real("cpu", torch.ops.aten.div.Tensor, (fake, 2.0), fake / 2.0)
    assert divided.stride() == (real / 2.0).stride()


HALF, FULL = torch.float16, torch.float32
ALL = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


@pytest.mark.parametrize(
    ("dtype", "head_dim", "options", "allowed", "kernel"),
    [
        (HALF, 64, {}, ALL, "flash"),
        (FULL, 64, {}, ALL, "efficient"),  # flash takes halves only
        (HALF, 512, {}, ALL, "efficient"),  # and at most 256 wide
        (HALF, 64, {"attn_mask": torch.ones(8, 8, dtype=torch.bool)}, ALL, "efficient"),
        (HALF, 64, {"attn_mask": torch.ones(8, 8, dtype=torch.bool)}, [ALL[0], ALL[2]], "math"),
        (HALF, 64, {"is_causal": True}, ALL, "flash"),
        (HALF, 64, {}, [SDPBackend.MATH], "math"),
        (HALF, 64, {}, [SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH], "cudnn"),
        (HALF, 160, {}, [SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH], "math"),
    ],
)
def test_a_gpu_takes_the_first_kernel_that_takes_the_call(
    dtype: torch.dtype, head_dim: int, options: dict, allowed: list, kernel: str
) -> None:
    query = torch.empty(1, 2, 8, head_dim, dtype=dtype)
    with sdpa_kernel(allowed, set_priority=True):
        assert cuda_kernel(call_of((query, query, query), options)) == kernel


VOLTA, TURING, AMPERE, GA102, HOPPER, BLACKWELL, BLACKWELL_RTX = (
    (7, 0),
    (7, 5),
    (8, 0),
    (8, 6),
    (9, 0),
    (10, 0),
    (12, 0),
)
BRAIN = torch.bfloat16
MASK = torch.ones(8, 8, dtype=torch.bool)


@pytest.mark.parametrize(
    ("capability", "dtype", "head_dim", "options", "kernel"),
    [
        (VOLTA, HALF, 64, {}, "efficient"),  # flash begins with 8.0
        (TURING, HALF, 64, {}, "efficient"),
        (TURING, HALF, 64, {"is_causal": True}, "efficient"),
        (TURING, HALF, 64, {"attn_mask": MASK}, "efficient"),
        (TURING, HALF, 512, {}, "efficient"),
        (TURING, HALF, 60, {}, "math"),  # no multiple of 16 bytes for its tensor cores
        (TURING, FULL, 63, {}, "efficient"),  # which it does not use for float32
        (TURING, BRAIN, 64, {}, "math"),
        (AMPERE, HALF, 64, {}, "flash"),
        (AMPERE, BRAIN, 256, {}, "flash"),
        (GA102, BRAIN, 256, {}, "flash"),  # a limit of 192 there is for training
        (AMPERE, HALF, 60, {}, "flash"),
        (AMPERE, HALF, 512, {}, "efficient"),
        (AMPERE, HALF, 64, {"attn_mask": MASK}, "efficient"),
        (AMPERE, HALF, 60, {"attn_mask": MASK}, "math"),
        (AMPERE, HALF, 64, {"is_causal": True}, "flash"),
        (AMPERE, FULL, 64, {}, "efficient"),
        (AMPERE, FULL, 63, {}, "math"),
        (HOPPER, HALF, 64, {}, "cudnn"),
        (HOPPER, HALF, 64, {"is_causal": True}, "cudnn"),
        (HOPPER, BRAIN, 128, {"attn_mask": MASK}, "cudnn"),
        (HOPPER, HALF, 256, {}, "cudnn"),
        (HOPPER, HALF, 60, {}, "flash"),
        (HOPPER, HALF, 512, {}, "efficient"),
        (HOPPER, FULL, 64, {}, "efficient"),
        (BLACKWELL, HALF, 128, {}, "cudnn"),
        (BLACKWELL, HALF, 160, {}, "flash"),
        (BLACKWELL_RTX, HALF, 64, {}, "flash"),
        ((13, 0), HALF, 64, {}, "math"),  # newer than any fused kernel
    ],
)
def test_a_gpus_kernel_is_one_that_its_compute_capability_has(
    capability: tuple[int, int], dtype: torch.dtype, head_dim: int, options: dict, kernel: str
) -> None:
    query = torch.empty(1, 2, 8, head_dim, dtype=dtype)
    assert cuda_kernel(call_of((query, query, query), options), capability) == kernel


def test_a_chosen_order_stands_before_cudnns_place() -> None:
    query = torch.empty(1, 2, 8, 64, dtype=HALF)
    call = call_of((query, query, query), {})
    with preferring([SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION]):
        assert cuda_kernel(call, HOPPER) == "math"
    with preferring([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        assert cuda_kernel(call, HOPPER) == "flash"
        assert cuda_kernel(call, TURING) == "math"
    assert cuda_kernel(call, HOPPER) == "cudnn"


@pytest.mark.parametrize("deterministic", [False, True])
def test_cudnn_refuses_what_it_cannot_do(deterministic: bool) -> None:
    def kernel(*shape: int, key_length: int | None = None) -> str:
        query = torch.empty(*shape, dtype=HALF, device="meta")
        key = query if key_length is None else torch.empty(*shape[:2], key_length, shape[3], dtype=HALF, device="meta")
        return cuda_kernel(call_of((query, key, key), {}), HOPPER)

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic)
    try:
        usual = "flash" if deterministic else "cudnn"
        assert kernel(2, 2, 8, 64) == kernel(65535, 2, 8, 64) == kernel(2, 2, 8, 64, key_length=2) == usual
        assert kernel(65536, 2, 8, 64) == kernel(2, 2, 8, 64, key_length=1) == "flash"
    finally:
        torch.use_deterministic_algorithms(before)


def test_only_calls_of_four_dimensions_with_rows_in_one_piece_get_a_fused_kernel() -> None:
    flat, crossed = torch.empty(2, 8, 64, dtype=HALF), torch.empty(1, 2, 64, 8, dtype=HALF).transpose(-1, -2)
    for tensor in (flat, crossed):
        assert cuda_kernel(call_of((tensor, tensor, tensor), {}), AMPERE) == "math"


@pytest.mark.parametrize(
    "folder", sorted((ROOT / "reports/published/h200/measured").iterdir()), ids=lambda path: path.name
)
def test_kernels_are_those_that_torch_took_on_an_h200(folder: Path) -> None:
    record = record_folder.load(folder)
    capability = capability_of(record.environment["gpu"]["compute_capability"])
    columns = ["batch", "heads", "query_length", "key_length", "head_dim", "precision", "attention_kind", "kernel"]
    calls = record_folder.load_table(folder, "attention").select(columns).to_pandas().drop_duplicates()
    assert set(calls["kernel"]) == {"cudnn", "efficient"}
    for row in calls.itertuples(index=False):
        query, key = (
            torch.empty(row.batch, row.heads, length, row.head_dim, dtype=getattr(torch, row.precision), device="meta")
            for length in (row.query_length, row.key_length)
        )
        options = {"is_causal": row.attention_kind == "causal"}
        assert cuda_kernel(call_of((query, key, key), options), capability) == row.kernel


def test_what_the_efficient_kernel_needs_besides_its_output() -> None:
    def needed(dtype: torch.dtype, width: int, mask: torch.Tensor | None = None, kernel: str = "efficient") -> int:
        query = torch.empty(2, 4, 16, width, dtype=dtype)
        return fused_scratch_bytes(kernel, FAKE_FUSED, (query, query, query), {"attn_mask": mask})

    assert needed(HALF, 128) == needed(FULL, 512) == needed(HALF, 512, kernel="flash") == 0
    assert needed(HALF, 160) == 2 * 4 * 16 * 160 * 4, "sums in float32"
    assert needed(HALF, 64, torch.empty(2, 1, 16, 80, dtype=HALF)) == 0
    assert needed(HALF, 64, torch.empty(2, 1, 1, 77, dtype=HALF)) == 2 * 80 * 2, "rows of 77, again as rows of 80"
    assert needed(HALF, 64, torch.empty(2, 1, 16, 77, dtype=HALF).expand(2, 4, 16, 77)) == 2 * 4 * 16 * 80 * 2
    assert fused_scratch_bytes("efficient", "aten::clone", (torch.empty(2),), {}) == 0


def test_without_a_kernel_a_call_fails_as_on_a_gpu() -> None:
    query = torch.empty(1, 2, 8, 64, dtype=FULL)
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION]), pytest.raises(RuntimeError, match="No available kernel"):
        cuda_kernel(call_of((query, query, query), {}))


def test_a_simulated_gpu_falls_back_where_flash_refuses_a_mask(experiment: Callable) -> None:
    """CLIP's causal text encoder comes with a mask, the U-Net's attention without one."""
    run = experiment("execution=simulate", "device.name=cuda", "optimization=flash_attention")
    assert run.placement.device == "cuda"
    workload = run.make_workload(replace(run.placement, device="meta"))
    workload.placement = run.placement
    handle = run.stack["flash_attention"].apply(workload)
    rows = simulate(workload, device="cuda").attention.to_pandas()
    handle.revert()
    kernels = rows.groupby("stage")["kernel"].agg(set).to_dict()
    assert kernels["denoise_step"] == {"flash"}
    assert kernels["text_encode"] <= {"flash", "math"}


def test_bytes_are_those_of_distinct_elements_and_views_move_none() -> None:
    observer = Observer(
        "cpu", lambda function, args, kwargs: function(*args, **kwargs), KnownOperators(FakeTensorMode())
    )
    x_BND, weight_DK = torch.randn(4, 3, 5), torch.randn(5, 6)
    with observer:
        torch.bmm(x_BND, weight_DK.expand(4, 5, 6))
        x_BND @ weight_DK
    spell = observer.tally.freeze()
    costs = [Cost(*row) for row in spell.costs.tolist()]
    moved = {key.operator: (cost.bytes_read, cost.bytes_written) for key, cost in zip(spell.keys, costs, strict=True)}
    assert moved["aten::bmm"] == moved["aten::mm"] == (4 * (60 + 30), 4 * 72)
    assert moved["aten::_unsafe_view"] == (0, 0)
