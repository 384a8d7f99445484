"""Findings: each is there from its threshold on and not below it, and its evidence holds the numbers.

Names for the mirror: reports.findings.finding, reports.findings.launch_bound, reports.findings.synchronization_in_step,
reports.findings.outside_parts, reports.findings.decode_peak, reports.findings.dominant_class, reports.findings.copies,
reports.findings.peak_held, reports.findings.precision_left, reports.findings.unusual_baseline, reports.tables.findings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports.exhibits import name_of
from reports.findings import peak_held
from reports.findings.finding import Finding, finding_modules
from reports.loading import load
from reports.runs import Runs
from reports.tables import findings
from tests.reports.attention_records import operator, save_run
from tests.reports.synthetic import make_study


def found(name: str, runs: Runs) -> list[Finding]:
    (module,) = [module for module in finding_modules() if name_of(module) == name]
    return list(module.find(runs))


def activity(step: int, long_gaps_s: float, latency_s: float | None = 5e-6, **columns: Any) -> dict[str, Any]:
    row = {"stage": "denoise_step", "step": step, "num_kernels": 10, "span_s": 1.0, "busy_s": 0.5, "num_long_gaps": 3}
    row |= {"num_synchronizations": 2, "synchronization_s": 0.25}
    return row | {"long_gaps_s": long_gaps_s, "launch_latency_s": latency_s} | columns


@pytest.mark.parametrize(
    ("gaps_s", "latency_s", "is_found"),
    [(0.05, 5e-6, True), (0.049, 5e-6, False), (0.0, 21e-6, True), (0.0, 20e-6, False), (0.0, None, False)],
)
def test_launch_bound(gaps_s: float, latency_s: float | None, is_found: bool, tmp_path: Path) -> None:
    rows = [activity(0, 2 * gaps_s, latency_s), activity(1, 0.0, latency_s)]
    results = found("launch_bound", load(save_run(tmp_path, activity=rows)))
    assert bool(results) == is_found
    if gaps_s >= 0.05:
        assert "paused 6 times" in results[0].evidence
        assert results[0].value == pytest.approx(0.05)


def reading(calls: int, module: str | None = None, **columns: Any) -> dict[str, Any]:
    return operator("other", 1e-6, operator="aten::_local_scalar_dense", calls=calls, module=module, **columns)


def test_synchronization_in_step(tmp_path: Path) -> None:
    steps = [reading(3, step=0), reading(5, step=1), reading(1, "denoiser.norm", step=1)]
    (result,) = found("synchronization_in_step", load(save_run(tmp_path / "often", operators=steps)))
    assert result.value == pytest.approx(4 + 1)
    assert "most by aten::_local_scalar_dense between the parts; a GPU would be waited for" in result.evidence
    outside = [reading(9, step=None, stage="decode"), operator("linear", 1.0)]
    assert not found("synchronization_in_step", load(save_run(tmp_path / "elsewhere", operators=outside)))
    profiled = save_run(tmp_path / "device", operators=steps, activity=[activity(0, 0.0), activity(1, 0.0)])
    (result,) = found("synchronization_in_step", load(profiled))
    assert "the host waits 2 times, 250 ms" in result.evidence


@pytest.mark.parametrize(("between_s", "is_found"), [(5.0, True), (4.9, False)])
def test_outside_parts(between_s: float, is_found: bool, tmp_path: Path) -> None:
    rows = [
        operator("linear", 100.0 - between_s),
        operator("other", between_s, module=None, operator="aten::exp"),
        operator("other", 1000.0, module=None, stage="decode", step=None),
    ]
    results = found("outside_parts", load(save_run(tmp_path, operators=rows)))
    assert [result.value for result in results] == ([pytest.approx(0.05)] if is_found else [])
    assert all("aten::exp" in result.evidence for result in results)


@pytest.mark.parametrize(("decode", "is_found"), [(105, True), (104, False)])
def test_decode_peak(decode: int, is_found: bool, tmp_path: Path) -> None:
    stages = {"generate": max(decode, 100), "denoise_step": 100, "text_encode": 10, "decode": decode}
    peaks = [{"stage": stage, "allocated_bytes": size * 2**20} for stage, size in stages.items()]
    results = found("decode_peak", load(save_run(tmp_path, peaks=peaks)))
    assert [result.value for result in results] == ([pytest.approx(1.05)] if is_found else [])
    assert all("100 MiB" in result.evidence and "denoise step" in result.evidence for result in results)


def save_peaks(folder: Path, stack: str | None, workload: str = "toy", **sizes: int) -> None:
    """A run whose stages peak at so many MiB, and whose generation does at the largest."""
    stages = {"generate": max(sizes.values())} | sizes
    save_run(
        folder,
        workload,
        stack,
        peaks=[{"stage": name, "allocated_bytes": size * 2**20} for name, size in stages.items()],
    )


@pytest.mark.parametrize(
    ("stack", "denoise", "decode", "is_found"),
    [
        ("operator_grouping", 50, 100, True),  # saved where the peak is not
        ("operator_grouping", 80, 100, True),  # saved nowhere, though that is what it is for
        ("operator_grouping", 50, 99, False),  # a lower peak
        ("operator_grouping", 50, 120, True),
        ("bf16", 78, 100, True),  # 2.5 % off a stage
        ("bf16", 79, 100, False),  # 1.25 %, and it is not there for memory
        ("bf16", 80, 100, False),
    ],
)
def test_a_stage_that_holds_the_peak(stack: str, denoise: int, decode: int, is_found: bool, tmp_path: Path) -> None:
    save_peaks(tmp_path, None, denoise_step=80, decode=100)
    save_peaks(tmp_path, stack, denoise_step=denoise, decode=decode)
    results = found("peak_held", load(tmp_path))
    assert [(result.run_id, result.value) for result in results] == [(f"toy-{stack}", decode / 100)] * is_found
    for result in results:
        assert f"the peak is {decode} MiB, no less than out of the box (100 MiB): decode holds it" in result.evidence
        saved = f"denoise step needs {denoise:.1f} MiB in place of 80.0 MiB"
        assert result.evidence.endswith(f"; {saved if denoise < 80 else 'no stage needs less'}.")


def test_the_holder_is_named_as_it_is_now(tmp_path: Path) -> None:
    save_peaks(tmp_path, None, denoise_step=100, decode=90)
    save_peaks(tmp_path, "operator_grouping", denoise_step=40, decode=100)
    save_peaks(tmp_path, "vae_slicing", denoise_step=100, decode=100, text_encode=10)
    one, two = found("peak_held", load(tmp_path))
    assert "decode holds it; denoise step needs 40.0 MiB in place of 100 MiB" in one.evidence
    assert "denoise step and decode hold it" in two.evidence


def test_a_peak_is_held_beside_a_run_out_of_the_box_of_the_same_group_and_counter(tmp_path: Path) -> None:
    save_peaks(tmp_path / "alone", "operator_grouping", denoise_step=50, decode=100)
    assert not found("peak_held", load(tmp_path / "alone"))
    save_peaks(tmp_path / "other", None, workload="another", denoise_step=80, decode=100)
    save_peaks(tmp_path / "other", "operator_grouping", denoise_step=50, decode=100)
    assert not found("peak_held", load(tmp_path / "other"))
    save_run(tmp_path / "counter", peaks=[{"stage": "decode", "resident_bytes": 100}])
    save_peaks(tmp_path / "counter", "operator_grouping", denoise_step=50, decode=100)
    assert not found("peak_held", load(tmp_path / "counter"))


def test_what_is_said_to_be_for_memory_is_an_optimization() -> None:
    assert {path.stem for path in Path("conf/optimization").glob("*.yaml")} >= peak_held.FOR_MEMORY


def test_dominant_class_counts_projections_and_tells_both(tmp_path: Path) -> None:
    rows = [
        operator("attention", 30.0, kind="spatial", part="core"),
        operator("linear", 25.0, kind="spatial", part="projection"),
        operator("convolution", 45.0),
    ]
    (result,) = found("dominant_class", load(save_run(tmp_path, operators=rows)))
    assert result.value == pytest.approx(0.55)
    assert result.evidence.startswith("attention takes 55 % (30 % without its projections)")


@pytest.mark.parametrize(("copied_s", "is_found"), [(5.0, True), (4.9, False)])
def test_copies(copied_s: float, is_found: bool, tmp_path: Path) -> None:
    rows = [
        operator("data_movement", copied_s - 1.0, operator="aten::copy_"),
        operator("data_movement", 1.0, operator="mkldnn_reorder_conv2d_weight"),
        operator("linear", 100.0 - copied_s),
    ]
    results = found("copies", load(save_run(tmp_path, operators=rows)))
    assert [result.value for result in results] == ([pytest.approx(0.05)] if is_found else [])
    assert all("aten::copy_ the most with 4.00 s" in result.evidence for result in results)


def test_precision_left(tmp_path: Path) -> None:
    rows = [
        operator("linear", 1.0, 985),
        operator("convolution", 1.0, 15, precision="float32", stage="decode", step=None),
    ]
    (result,) = found("precision_left", load(save_run(tmp_path / "half", operators=rows)))
    assert result.value == pytest.approx(0.015)
    assert "most of them in decode" in result.evidence
    whole = [operator("linear", 1.0, 100, precision="float32")]
    assert not found("precision_left", load(save_run(tmp_path / "single", operators=whole)))


def test_a_baseline_that_nobody_runs(tmp_path: Path) -> None:
    make_study(tmp_path, ("stable_diffusion",))
    runs = load(tmp_path)
    stacks = dict(zip(runs.runs["run_id"], runs.runs["stack"], strict=True))
    results = {stacks[result.run_id]: result for result in found("unusual_baseline", runs)}
    assert (
        "flash_attention" in results
    )  # three times the math kernel's speed, and hardly more than the library's default
    assert "faster than baseline attention, beside the workload out of the box" in results["flash_attention"].evidence
    assert "baseline_attention" not in results


def test_the_table_lets_the_largest_value_speak_and_counts_the_others(tmp_path: Path) -> None:
    for stack, decode in ((None, 200), ("vae_slicing", 90), ("feature_slicer", 300)):
        peaks = [{"stage": "denoise_step", "allocated_bytes": 100}, {"stage": "decode", "allocated_bytes": decode}]
        save_run(tmp_path, stack=stack, peaks=peaks)
    decode, held = findings.build(load(tmp_path)).to_dict("records")
    assert (decode["name"], decode["stack"], decode["num_found"], decode["num_runs"]) == (
        "decode_peak",
        "feature_slicer",
        2,
        3,
    )
    assert (held["name"], held["stack"], held["num_found"], held["num_runs"]) == ("peak_held", "feature_slicer", 1, 3)


def test_nothing_found_is_no_table(tmp_path: Path) -> None:
    thirds = [operator(name, 1.0, 10) for name in ("linear", "convolution", "elementwise")]
    assert findings.build(load(save_run(tmp_path, operators=thirds))).empty
