from __future__ import annotations

from pathlib import Path

from attribution.handmade import HandmadeTrace

from suite.attribution.context import find_context
from suite.attribution.device import DeviceWork, device_work
from suite.attribution.events import Events, arrange
from suite.attribution.flaws import LAUNCHED_TWICE


def joined(made: HandmadeTrace) -> tuple[Events, DeviceWork]:
    trace = made.read()
    events = arrange(trace)
    return events, device_work(trace, events, find_context(events))


def owners(made: HandmadeTrace) -> list[str | None]:
    events, work = joined(made)
    return [events.names[events.spans.name[row]] if row >= 0 else None for row in work.owner]


def test_correlation_comes_before_the_operators_id(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 10, **{"External id": 1}).launch(1, 2, 77)
    made.operator("aten::add", 20, 30, **{"External id": 2})
    made.kernel("a", 40, 41, correlation=77, **{"External id": 2}).kernel(
        "b", 42, 43, correlation=78, **{"External id": 2}
    )
    made.kernel("c", 44, 45, correlation=0, **{"External id": 0}).kernel("d", 46, 47)
    assert owners(made) == ["aten::mm", "aten::add", None, None]


def test_of_launches_with_one_id_the_first_counts_and_that_is_told(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 10).launch(1, 2, 77).operator("aten::add", 20, 30)
    made.launch(21, 22, 77).launch(23, 24, 78)
    made.kernel("a", 40, 41, correlation=77).kernel("b", 41, 42, correlation=77).kernel("c", 44, 45, correlation=78)
    assert owners(made) == ["aten::mm", "aten::mm", "aten::add"]
    assert joined(made)[1].num_ambiguous == 2
    assert made.attribute().flaws == {LAUNCHED_TWICE: 2}


def test_a_launch_outside_of_operators_owns_nothing_but_tells_where(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).stage("generate", 0, 50).launch(10, 11, 3).kernel("gemm", 20, 30, correlation=3)
    events, work = joined(made)
    assert work.owner.tolist() == [-1]
    assert events.names[events.spans.name[work.origin[0]]] == "cudaLaunchKernel"


def test_work_of_before_and_after_the_generation_is_left_out(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 10).launch(1, 2, 1)
    made.stage("generate", 20, 50).operator("aten::mm", 21, 30).launch(22, 23, 2)
    made.kernel("early", 24, 26, correlation=1).kernel("own", 60, 70, correlation=2)
    _, work = joined(made)
    assert work.duration_ns.tolist() == [10_000]


def test_an_operator_without_a_class_keeps_kernels_that_have_none_either(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("mine::op", 0, 10).launch(1, 2, 1).launch(3, 4, 2)
    made.kernel("mystery", 20, 21, correlation=1).kernel("ampere_sgemm", 22, 23, correlation=2)
    assert owners(made) == ["mine::op", None]
