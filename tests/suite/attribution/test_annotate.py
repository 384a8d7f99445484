"""Annotated traces: what is added, that nothing else changes, and that we read the same from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attribution.handmade import ORIGIN_US, HandmadeTrace

from suite.attribution.annotate import CATEGORY, PROCESS, annotated
from suite.attribution.kineto import attribute
from suite.attribution.trace import read_trace


def annotate(made: HandmadeTrace) -> tuple[dict[str, Any], Path]:
    trace = made.read()
    path = made.folder / "annotated.json"
    path.write_bytes(annotated(made.path.read_bytes(), trace))
    return json.loads(path.read_bytes()), path


def generation(folder: Path) -> HandmadeTrace:
    made = HandmadeTrace(folder).stage("generate", 0, 100, **{"External id": 1}).module("denoiser", 10, 90)
    made.attention("temporal", "denoiser.attn", 20, 40).operator("aten::mm", 25, 35, [4, 4], [4, 4])
    made.attention("temporal", "denoiser.attn", 50, 60).operator("aten::mm", 70, 80, [4, 4], [4, 4])
    return made.module("decoder", 92, 98)


def test_stages_become_annotations_and_modules_calls_of_modules(tmp_path: Path) -> None:
    document, _ = annotate(generation(tmp_path))
    spans = [event for event in document["traceEvents"] if event["pid"] != PROCESS and "genscope" in event["name"]]
    assert {event["name"]: event["cat"] for event in spans} == {
        "genscope/stage/generate": "user_annotation",
        "genscope/module/denoiser": "python_function",
        "genscope/attention/temporal/denoiser.attn": "python_function",
        "genscope/module/decoder": "python_function",
    }
    modules = [event["args"] for event in spans if event["cat"] == "python_function"]
    assert [args["Python parent id"] for args in modules] == [-1, 0, 0, -1]
    assert [args["Python id"] for args in modules] == [0, 1, 2, 3]
    assert [args["Python module id"] for args in modules] == [0, 1, 1, 2]


def test_modules_of_other_threads_are_no_parents(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).module("denoiser", 0, 100).span("cpu_op", "genscope/module/decoder", 10, 20, tid=8)
    document, _ = annotate(made.operator("aten::mm", 1, 2, [4, 4], [4, 4]))
    modules = [event["args"] for event in document["traceEvents"] if event.get("cat") == "python_function"]
    assert [args["Python parent id"] for args in modules] == [-1, -1]


def test_what_is_no_mark_stays_as_it_was(tmp_path: Path) -> None:
    made = generation(tmp_path).operator("about/genscope/stage/x", 81, 82).memory(3, 8)
    document, _ = annotate(made)
    kept = [event for event in document["traceEvents"] if event["pid"] != PROCESS]
    assert len(kept) == len(made.events)
    for before, after in zip(made.events, kept, strict=True):
        assert before["ts"] == after["ts"]
        if not before["name"].startswith("genscope/"):
            assert before == after
    assert {key: document[key] for key in made.document} == made.document


def test_we_read_the_same_from_it(tmp_path: Path) -> None:
    made = generation(tmp_path).launch(26, 27, 1).kernel("gemm", 200, 210, correlation=1)
    _, path = annotate(made)
    before, after = made.attribute(), attribute(read_trace(path))
    assert before.operators.num_rows > 4
    assert after.operators.equals(before.operators)
    assert after.attention.equals(before.attention)
    assert (after.span_s, after.kernel_total_s) == (before.span_s, before.kernel_total_s)


def test_work_launched_outside_of_operators_belongs_to_no_mark(tmp_path: Path) -> None:
    own, other = {"External id": 1}, {"External id": 2}
    made = generation(tmp_path).operator("aten::add", 81, 85, **other)
    made.launch(5, 6, 1, **own).kernel("triton", 200, 210, correlation=1, **own)
    made.launch(82, 83, 2, **other).kernel("add", 220, 230, correlation=2, **other)
    document, _ = annotate(made)
    owners = [
        event["args"]["External id"] for event in document["traceEvents"] if "correlation" in event.get("args", {})
    ]
    assert owners == [0, 0, 2, 2]


def test_tracks_are_a_process_of_their_own(tmp_path: Path) -> None:
    document, _ = annotate(generation(tmp_path))
    own = [event for event in document["traceEvents"] if event["pid"] == PROCESS]
    names = {event["tid"]: event["args"]["name"] for event in own if event["name"] in ("process_name", "thread_name")}
    assert names == {PROCESS: "genscope", PROCESS + 1: "stages", PROCESS + 2: "attention"}
    slices = [event for event in own if event["ph"] == "X"]
    assert {event["cat"] for event in slices} == {CATEGORY}
    assert [(event["name"], event["ts"], event["dur"]) for event in slices] == [
        ("generate", ORIGIN_US, 100),
        ("temporal attention", round(ORIGIN_US + 20, 3), 20),
        ("temporal attention", round(ORIGIN_US + 50, 3), 10),
    ]


def test_numbers_that_json_has_no_word_for_are_no_hindrance(tmp_path: Path) -> None:
    made = generation(tmp_path)
    trace = made.read()
    text = made.path.read_bytes().replace(b'"schemaVersion": 1', b'"schemaVersion": 1, "bandwidth": inf')
    assert json.loads(annotated(text, trace))["bandwidth"] is None
