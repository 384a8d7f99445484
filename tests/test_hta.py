"""HolisticTraceAnalysis (HTA), another reader of traces, finds the totals that we find, with and without our annotations."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from attribution.handmade import real_trace

from suite.attribution.annotate import annotated
from suite.attribution.kineto import Attribution, attribute
from suite.attribution.trace import read_trace
from suite.subject import Subject

hta = pytest.importorskip("hta.trace_analysis", reason="HolisticTraceAnalysis is not installed: `make setup` does it")

utils = pytest.importorskip("hta.utils.utils")

NAMES = ["timesformer", "owlv2", "vit_small"]


@cache
def ours(name: str) -> Attribution:
    return attribute(read_trace(real_trace(name)))


@pytest.fixture
def annotated_trace(tmp_path: Path) -> Callable[[str], Path]:
    def write(name: str) -> Path:
        path = real_trace(name)
        text = annotated(gzip.decompress(path.read_bytes()), read_trace(path))
        made = tmp_path / path.name
        made.write_bytes(gzip.compress(text, 1))
        return made

    return write


def analysed(path: Path) -> Any:
    return hta.TraceAnalysis(trace_files={0: str(path)}, trace_dir="")


def seconds_by_category(analysis: Any) -> dict[str, float]:
    names = analysis.t.symbol_table.sym_table
    return {names[number]: dur / 1e6 for number, dur in analysis.t.get_trace(0).groupby("cat")["dur"].sum().items()}


def test_host_time_of_a_kept_trace_agrees(
    experiment: Callable[..., Any],
    smoke_workload: Callable[[str], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HTA finds as many operators in a run's trace, and as much time that any of them takes."""
    monkeypatch.setenv("HTA_DISABLE_NS_ROUNDING", "1")
    protocol = experiment("workload=animatediff").protocol
    subject = Subject(smoke_workload("animatediff"), {"stack": {}}, protocol, tmp_path, save_trace=True)
    rows = subject.profile().attribution.operators.to_pandas().query("operator != 'unattributed'")
    analysis = analysed(tmp_path / "trace" / "profile.pt.trace.json.gz")
    events = analysis.t.get_trace(0)
    operators = events[events["cat"] == analysis.t.symbol_table.sym_index["cpu_op"]]
    merged = utils.merge_kernel_intervals(operators[["ts", "dur"]].copy())
    assert len(operators) == rows["calls"].sum() > 1e4
    assert (merged["end"] - merged["ts"]).sum() / 1e6 == pytest.approx(rows["host_self_s"].sum(), rel=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_device_time_is_the_same_to_the_nanosecond(
    name: str, annotated_trace: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "HTA_DISABLE_NS_ROUNDING", "1"
    )  # else every kernel is cut to whole microseconds, 13 % of the ViT's
    found = seconds_by_category(analysed(annotated_trace(name)))
    assert found["kernel"] == pytest.approx(ours(name).kernel_total_s, abs=1e-9)
    assert found.get("gpu_memcpy", 0) == pytest.approx(ours(name).memcpy_total_s, abs=1e-9)
    assert found.get("gpu_memset", 0) == pytest.approx(ours(name).memset_total_s, abs=1e-9)


@pytest.mark.parametrize("name", ["timesformer", "owlv2"])
def test_its_breakdowns_agree_with_ours(name: str, annotated_trace: Callable[[str], Path]) -> None:
    """As its users run it, with time cut to whole microseconds: that is 1 % for kernels, and more for short fills."""
    analysis = analysed(annotated_trace(name))
    kinds, _ = analysis.get_gpu_kernel_breakdown(visualize=False)
    found = kinds.set_index("kernel_type")["sum"] / 1e6
    assert found["COMPUTATION"] == pytest.approx(ours(name).kernel_total_s, rel=0.01)
    (row,) = analysis.get_temporal_breakdown(visualize=False).to_dict("records")
    activity = ours(name).device_activity
    assert activity is not None
    busy = sum(activity["busy_s"].to_pylist())
    assert (row["compute_time(us)"] + row["non_compute_time(us)"]) / 1e6 == pytest.approx(busy, rel=0.01)


@pytest.mark.parametrize("name", ["timesformer", "vit_small"])
def test_its_analyses_do_not_see_the_annotations(name: str, annotated_trace: Callable[[str], Path]) -> None:
    before, after = analysed(real_trace(name)), analysed(annotated_trace(name))
    drawn = seconds_by_category(after)
    assert drawn.pop("genscope") > 0
    assert drawn == seconds_by_category(before)
    for analysis in ("get_temporal_breakdown", "get_gpu_kernel_breakdown", "get_idle_time_breakdown"):
        old, new = (getattr(one, analysis)(visualize=False) for one in (before, after))
        for table, same in zip(
            *((found if isinstance(found, tuple) else (found,)) for found in (old, new)), strict=True
        ):
            assert (table is None and same is None) or table.equals(same), analysis
