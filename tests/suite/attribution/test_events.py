from __future__ import annotations

from pathlib import Path

from attribution.handmade import HandmadeTrace

from suite.attribution.events import arrange


def test_the_host_in_preorder(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 12, 18, [2, 3], [3, 4]).launch(13, 14, 1)
    made.operator("aten::linear", 10, 20, [2, 3]).stage("generate", 0, 50).launch(30, 31, 2).kernel("k", 0, 1)
    events = arrange(made.read())
    assert [events.names[name].rpartition("/")[2] for name in events.spans.name] == [
        "generate",
        "aten::linear",
        "aten::mm",
        "cudaLaunchKernel",
        "cudaLaunchKernel",
    ]
    assert events.is_operator.tolist() == [False, True, True, False, False]
    assert events.owner.tolist() == [-1, 1, 2, 2, -1]
    assert events.named("aten::mm", "aten::linear", "nothing").tolist() == [False, True, True, False, False]
    assert events.call(2).shapes == [[2, 3], [3, 4]]
    assert events.call(3).shapes == []


def test_an_empty_trace(tmp_path: Path) -> None:
    events = arrange(HandmadeTrace(tmp_path).read())
    assert len(events) == 0
    assert events.named("aten::mm").tolist() == []
