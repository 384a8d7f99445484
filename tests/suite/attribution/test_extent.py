"""The span of a trace without marks is wall time, whatever its threads did; the answers are read off the drawing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attribution.handmade import HandmadeTrace, only, rows, total
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from suite.attribution.flaws import CUT

US = 1e-6


@pytest.fixture
def two_threads(tmp_path: Path) -> HandmadeTrace:
    """Two threads with a gap and an overlap.

    thread 7  |mm 0-100, inside it add 20-60|      |mul 300-400|
    thread 8               |mm 50--------------200|            .         |add 500-520|
    nobody                                        |gap|        |   gap   |
    """
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 100).operator("aten::add", 20, 60)
    made.operator("aten::mul", 300, 400)
    return made.operator("aten::mm", 50, 200, tid=8).operator("aten::add", 500, 520, tid=8)


def test_two_threads_with_gaps_and_overlap(two_threads: HandmadeTrace) -> None:
    found = two_threads.attribute()
    assert found.span_s == pytest.approx(520 * US)
    assert found.aside_s == pytest.approx(50 * US), "from 50 to 100 both worked"
    assert only(found.operators, operator="aten::mm")["host_self_s"] == pytest.approx((60 + 150) * US)
    assert only(found.operators, operator="aten::add")["host_self_s"] == pytest.approx((40 + 20) * US)
    nobody = only(found.operators, operator="unattributed")
    assert (nobody["host_self_s"], nobody["calls"]) == (pytest.approx((100 + 100) * US), 0)
    assert (nobody["operator_class"], nobody["stage"], nobody["module"]) == ("other", None, None)
    assert total(found.operators, "host_self_s") == pytest.approx(found.span_s + found.aside_s, rel=1e-12)


def test_work_on_the_device_is_part_of_the_span(two_threads: HandmadeTrace) -> None:
    found = two_threads.kernel("gemm", 510, 700).kernel("early", -30, -10).attribute()
    assert found.span_s == pytest.approx(730 * US)
    assert only(found.operators, operator="unattributed")["host_self_s"] == pytest.approx((200 + 30 + 180) * US)
    assert total(found.operators, "host_self_s") == pytest.approx(found.span_s + found.aside_s, rel=1e-12)
    assert total(found.operators, "device_self_s") == pytest.approx(210 * US)


def test_a_trace_of_a_device_alone_tells_nothing_of_a_host(tmp_path: Path) -> None:
    found = HandmadeTrace(tmp_path).kernel("gemm", 10, 20).kernel("gemm", 50, 90).attribute()
    assert found.span_s == pytest.approx(80 * US)
    assert (found.aside_s, total(found.operators, "host_self_s")) == (0, 0)
    assert rows(found.operators, operator="unattributed") == []


def test_with_marks_the_span_is_that_of_the_generations(two_threads: HandmadeTrace) -> None:
    found = two_threads.stage("generate", 10, 390, tid=6).stage("generate", 450, 460, tid=6).attribute()
    assert found.span_s == pytest.approx(390 * US)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12), st.integers(1, 3)), min_size=1, max_size=12))
def test_rows_sum_to_the_span_and_what_went_on_beside_it(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int, int]]
) -> None:
    """Against a clock that looks at every microsecond."""
    made = HandmadeTrace(tmp_path_factory.getbasetemp())
    busy = np.zeros((4, 80), bool)
    for start, length, thread in spans:
        made.operator("aten::mm", start, start + length, tid=thread)
        busy[thread, start : start + length] = True
    found = made.attribute()
    first, last = min(start for start, _, _ in spans), max(start + length for start, length, _ in spans)
    assert round(found.span_s / US) == last - first
    assert total(found.operators, "host_self_s") == pytest.approx(found.span_s + found.aside_s, rel=1e-9, abs=1e-12)
    assume(CUT not in found.flaws)
    nowhere = int((~busy.any(axis=0))[first:last].sum())
    assert round(total(found.operators, "host_self_s", lambda row: row["operator"] == "unattributed") / US) == nowhere
