from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from attribution.handmade import HandmadeTrace
from hypothesis import given
from hypothesis import strategies as st

from suite.attribution.calls import parse_call
from suite.attribution.flaws import APART, ARGS_ODD, MEMORY_UNTOLD, NEGATIVE, phase_flaw, time_flaw
from suite.attribution.trace import FRAME, KERNEL, OPERATOR, Spans, Trace, TraceError, read_trace


def one_span(folder: Path, ts: str, dur: str) -> tuple[int, int]:
    path = folder / "t.json"
    event = f'{{"ph": "X", "cat": "cpu_op", "name": "a", "pid": 1, "tid": 1, "ts": {ts}, "dur": {dur}}}'
    path.write_text(f'{{"traceEvents": [{event}]}}')
    host = read_trace(path).host
    return int(host.start_ns[0]), int(host.end_ns[0])


@given(start_ns=st.integers(0, 2**62), length_ns=st.integers(0, 10**12))
def test_every_nanosecond_is_kept(tmp_path_factory: pytest.TempPathFactory, start_ns: int, length_ns: int) -> None:
    folder = tmp_path_factory.getbasetemp()
    ts, dur = (f"{time // 1000}.{time % 1000:03}" for time in (start_ns, length_ns))
    assert one_span(folder, ts, dur) == (start_ns, start_ns + length_ns)


@pytest.mark.parametrize("ts", ["4375452181130.591", "4398046511103.999", "4398046511104.001", "1790857026000123.457"])
def test_clocks_near_the_limit_of_a_float(tmp_path: Path, ts: str) -> None:
    assert one_span(tmp_path, ts, "0.001") == (int(ts.replace(".", "")), int(ts.replace(".", "")) + 1)


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 1)
    plain = made.read()
    path = tmp_path / "no_suffix"
    # Two members one after the other are one file.
    text = made.path.read_bytes()
    path.write_bytes(gzip.compress(text[:40]) + gzip.compress(text[40:]))
    assert read_trace(path).host.start_ns.tolist() == plain.host.start_ns.tolist()


def test_a_bare_list_of_events_is_a_trace_too(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([{"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 1, "dur": 2}]))
    assert read_trace(path).device.category.tolist() == [KERNEL]


def test_events_of_other_phases_and_kinds_are_left_out(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 1).frame("f.py(1): f", 0, 2, tid="main", pid="host")
    made.span("gpu_user_annotation", "x", 0, 1).span("ac2g", "ac2g", 0, 1)
    made.events += [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": "python"}},
        {"ph": "f", "id": 3, "cat": "ac2g", "ts": 1.0, "bp": "e"},
        {"ph": "X", "cat": "cpu_op", "name": "no time"},
        {"ph": "X", "cat": "cpu_op", "name": "null time", "ts": None, "dur": None},
        {},
    ]
    trace = made.read()
    assert trace.host.category.tolist() == [OPERATOR, FRAME]
    assert trace.num_events == 9
    assert trace.flaws == {time_flaw("ts", "missing"): 2, "of categories that are not read ('ac2g'): left out": 1}
    assert len(set(trace.host.thread.tolist())) == 2


def test_an_odd_event_costs_only_itself(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0.5, 1)
    made.operator("aten::odd", 2, 3, correlation={"not": "a number"})
    made.events.append({"ph": "X", "cat": "cpu_op", "name": 12, "ts": [], "dur": "x"})
    made.operator("aten::long", 3, 4, correlation=2**63)
    made.events.append({"ph": "X", "cat": "cpu_op", "name": "aten::late", "ts": 1e300, "dur": 1})
    made.operator("aten::text", 4, 5, correlation="12")
    trace = made.read()
    assert trace.flaws == {
        ARGS_ODD: 2,
        time_flaw("ts", "not a number"): 1,
        time_flaw("ts", "out of range"): 1,
    }
    assert [trace.names[name] for name in trace.host.name] == ["aten::mm", "aten::odd", "aten::long", "aten::text"]
    assert trace.host.correlation.tolist() == [-1, -1, -1, 12]
    assert np.diff(trace.host.start_ns).tolist() == [1500, 1000, 1000]


@pytest.mark.parametrize(
    ("field", "text", "flaw"),
    [
        ("dur", "-0.001", NEGATIVE),
        ("dur", "-1e308", NEGATIVE),
        ("dur", '"-3"', NEGATIVE),
        ("dur", None, time_flaw("dur", "missing")),
        ("dur", "null", time_flaw("dur", "missing")),
        ("dur", "NaN", time_flaw("dur", "NaN")),
        ("dur", "-nan", time_flaw("dur", "NaN")),
        ("dur", '"NaN"', time_flaw("dur", "NaN")),
        ("dur", "inf", time_flaw("dur", "infinite")),
        ("dur", "-Infinity", time_flaw("dur", "infinite")),
        ("dur", '"Infinity"', time_flaw("dur", "infinite")),
        ("dur", "true", time_flaw("dur", "not a number")),
        ("dur", '"soon"', time_flaw("dur", "not a number")),
        ("dur", "[1]", time_flaw("dur", "not a number")),
        ("dur", "1e308", time_flaw("dur", "out of range")),
        ("dur", str(2**70), time_flaw("dur", "out of range")),
        ("dur", "9007199254741.5", time_flaw("dur", "out of range")),
        ("ts", None, time_flaw("ts", "missing")),
        ("ts", "null", time_flaw("ts", "missing")),
        ("ts", "NaN", time_flaw("ts", "NaN")),
        ("ts", "-inf", time_flaw("ts", "infinite")),
        ("ts", "{}", time_flaw("ts", "not a number")),
        ("ts", "1e308", time_flaw("ts", "out of range")),
        ("ts", "-1e16", time_flaw("ts", "out of range")),
    ],
)
@pytest.mark.parametrize("other_ts", ["3.5", "1790857026000123.457"])
def test_an_event_of_no_usable_time_is_left_out_and_counted(
    tmp_path: Path, field: str, text: str | None, flaw: str, other_ts: str
) -> None:
    fields = {"ph": '"X"', "cat": '"cpu_op"', "name": '"a"', "pid": "1", "tid": "1", "ts": other_ts, "dur": "2"}
    damaged = {key: value for key, value in (fields | {"name": '"bad"', field: text}).items() if value is not None}
    written = [
        "{" + ", ".join(f'"{key}": {value}' for key, value in event.items()) + "}" for event in (fields, damaged)
    ]
    for events in (written, [written[1], written[0], written[1]]):
        path = tmp_path / "t.json"
        path.write_text(f'{{"traceEvents": [{", ".join(events)}]}}')
        trace = read_trace(path)
        assert (trace.flaws, trace.num_events) == ({flaw: len(events) - 1}, len(events))
        assert [trace.names[name] for name in trace.host.name] == ["a"]
        assert (trace.host.end_ns - trace.host.start_ns).tolist() == [2000]


@pytest.mark.parametrize(
    ("text", "length_ns"), [('"12.5"', 12500), ("1e3", 10**6), ("0", 0), ("-0.0", 0), ("9007199254740.992", 2**53)]
)
def test_usual_and_unusual_durations_are_read(tmp_path: Path, text: str, length_ns: int) -> None:
    start, end = one_span(tmp_path, "1", text)
    assert end - start == length_ns


def test_begins_and_ends_alone_and_unknown_phases_are_counted(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 1)
    base = {"cat": "cpu_op", "name": "a", "pid": 1, "tid": 1, "ts": 3.5}
    made.events += [base | {"ph": phase} for phase in ("B", "B", "E", "Q", "b", "i", "M", "s", "C")]
    made.events += [
        base | {"ph": phase, "cat": "fwdbwd"} for phase in ("B", "E", "Q")
    ]  # nothing that is read otherwise
    assert made.read().flaws == {APART: 3, phase_flaw("Q"): 1, phase_flaw("b"): 1}


def test_spans_of_categories_that_are_not_read_are_counted(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 1)
    for category in ("mtia_ccp_events", "mtia_ccp_events", "Trace", "gpu_user_annotation", "overhead"):
        made.span(category, "x", 0, 1)
    assert made.read().flaws == {"of categories that are not read ('mtia_ccp_events'): left out": 2}


def test_events_of_the_allocator_without_time_or_args_are_counted(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).memory(1, 64).memory(2, 64).memory(3, 64)
    del made.events[0]["ts"], made.events[1]["args"]
    trace = made.read()
    assert trace.flaws == {MEMORY_UNTOLD: 2}
    assert len(trace.allocations) == 1


def test_numbers_that_are_no_json_are_read_over(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).kernel("k", 0, 1, **{"memory bandwidth (GB/s)": "INF"})
    made.read()
    made.path.write_text(made.path.read_text().replace('"INF"', "inf"))
    assert len(read_trace(made.path).device) == 1


def test_names_in_no_known_encoding_are_read_over(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 1).kernel("kernel_NAME", 0, 1)
    made.read()
    made.path.write_bytes(made.path.read_bytes().replace(b"NAME", b"\xff\xfe"))
    assert read_trace(made.path).names == ["aten::mm", "kernel_\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"]


def test_repeated_calls_share_a_signature(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path)
    for start in range(5):
        made.operator("aten::mm", start, start + 0.5, [2, 3], [3, 4], **{"Concrete Inputs": [str(start), ""]})
    made.operator("aten::mm", 9, 10, [2, 3], [3, 5])
    assert made.read().host.signature.tolist() == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not a trace"),
        (b"hello", "is not a trace"),
        (b'{"a": 1}', "it has no traceEvents"),
        (b'{"traceEvents": 3}', "is not a trace"),
        (b"[1, 2]", "is not a trace"),
        (b'{"traceEvents": [{"ph": "X", "cat"', "is not a trace"),
        (gzip.compress(b'{"traceEvents": []}', mtime=0)[:-9], "cannot be read as a trace"),
        (b"\x1f\x8b\x08garbage", "cannot be read as a trace"),
        (b'{"traceEvents": [3, "x"]}', "none of its 2 events can be read"),
    ],
)
def test_what_is_no_trace_is_said_in_one_sentence(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=complaint) as caught:
        read_trace(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"traceEvents": ' + b"[" * 100_000, b'{"a":' * 100_000])
def test_deep_nesting_is_no_trace(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "deep.json"
    path.write_bytes(text)
    with pytest.raises(TraceError, match=r"deep\.json is not a trace: its JSON is nested too deeply$"):
        read_trace(path)


def test_too_little_memory_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("suite.attribution.trace.decode_side_by_side", out_of_memory)
    with pytest.raises(TraceError, match="there is too little memory"):
        HandmadeTrace(tmp_path).read()


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no trace file"):
        read_trace(tmp_path / "nowhere.json")
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path)


def test_an_empty_trace_is_a_trace(tmp_path: Path) -> None:
    trace = HandmadeTrace(tmp_path).read()
    assert len(trace.host) == len(trace.device) == len(trace.allocations) == 0


def long_trace(folder: Path, num: int) -> HandmadeTrace:
    made = HandmadeTrace(folder)
    made.document["deviceProperties"] = [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]
    for start in range(num):
        made.operator(f"aten::op{start % 7}", start, start + 0.5, [start % 5, 3], note='tricky "}, {" text')
        made.memory(start + 0.2, start)
    return made


def same(one: Trace, other: Trace) -> bool:
    spans = all((getattr(one.host, name) == getattr(other.host, name)).all() for name in Spans.__slots__)
    memory = (one.allocations.num_bytes == other.allocations.num_bytes).all()
    told = [
        (trace.names, [parse_call(signature) for signature in trace.signatures], trace.devices, trace.num_events)
        for trace in (one, other)
    ]
    return bool(spans and memory and told[0] == told[1])


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("piece_bytes", [1, 100, 777, 5000])
def test_pieces_make_the_same_trace_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, piece_bytes: int
) -> None:
    made = long_trace(tmp_path, 40)
    whole = made.read()
    document = made.document | {"traceEvents": made.events, "traceName": "x", "more": [{"a": 1}, {"b": 2}]}
    made.path.write_text(json.dumps(document, indent=indent))
    monkeypatch.setattr("suite.attribution.decode.PIECE_BYTES", piece_bytes)
    assert same(read_trace(made.path), whole)


def test_lists_of_objects_inside_events_are_not_cut_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = HandmadeTrace(tmp_path)
    for start in range(20):
        made.operator("aten::mm", start, start + 0.5, [2, 3], inner=[{"a": 1}, {"b": [{"c": 2}, {"d": 3}]}] * 4)
    whole = made.read()
    monkeypatch.setattr("suite.attribution.decode.PIECE_BYTES", 60)
    assert same(read_trace(made.path), whole)


def test_a_long_trace_cut_short_is_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = long_trace(tmp_path, 40)
    made.read()
    made.path.write_bytes(made.path.read_bytes()[:-200])
    monkeypatch.setattr("suite.attribution.decode.PIECE_BYTES", 500)
    with pytest.raises(TraceError, match="is not a trace"):
        read_trace(made.path)
