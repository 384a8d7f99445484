"""Two processes decode what one does, in the same order, and a piece that is broken is an error in either."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import ROOT

from suite.attribution import decode, side_by_side
from suite.attribution.side_by_side import decode_side_by_side
from suite.attribution.trace import read_trace


def events_text(num_events: int) -> bytes:
    events = [
        {"ph": "X", "cat": "cpu_op", "name": f"aten::op{i % 7}", "pid": 1, "tid": i % 3, "ts": i * 2.5, "dur": 1.25}
        for i in range(num_events)
    ]
    return json.dumps({"schemaVersion": 1, "traceEvents": events, "deviceProperties": [{"name": "toy"}]}).encode()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "PIECE_BYTES", 10_000)
    monkeypatch.setattr(side_by_side, "SMALLEST_BYTES", 0)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("forks", [True, False])
def test_pieces_come_back_in_order(forks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_may_fork", lambda: forks)
    found = decode_side_by_side(events_text(2001), lambda piece: [event.ts for event in piece.events or ()])
    assert len(found) > 10
    assert [time for times in found for time in times] == [i * 2.5 for i in range(2001)]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("place", [0.3, 0.31, 0.32, 0.6])
def test_a_broken_piece_is_an_error_whoever_decodes_it(place: float, monkeypatch: pytest.MonkeyPatch) -> None:
    import msgspec

    monkeypatch.setattr(side_by_side, "_may_fork", lambda: True)
    text = events_text(2001)
    cut = text.index(b"cpu_op", int(len(text) * place))
    with pytest.raises(msgspec.DecodeError):
        decode_side_by_side(text[:cut] + b"\x01" + text[cut:], lambda piece: None)


def test_a_trace_is_the_same_read_by_one_process_or_two(tmp_path: Path) -> None:
    """In a process without torch, where forking is allowed."""
    path = tmp_path / "trace.json"
    path.write_bytes(events_text(5003))
    program = textwrap.dedent(
        """
        import sys
        from dataclasses import fields
        from pathlib import Path
        import numpy as np
        from suite.attribution import decode, side_by_side
        from suite.attribution.trace import read_trace
        assert "torch" not in sys.modules
        alone = read_trace(Path(sys.argv[1]))
        decode.PIECE_BYTES, side_by_side.SMALLEST_BYTES = 10_000, 0
        assert side_by_side._may_fork() or len(__import__("os").sched_getaffinity(0)) == 1
        shared = read_trace(Path(sys.argv[1]))
        assert (alone.names, alone.signatures, alone.devices) == (shared.names, shared.signatures, shared.devices)
        for name in alone.host.__slots__:
            assert np.array_equal(getattr(alone.host, name), getattr(shared.host, name)), name
        assert alone.num_events == shared.num_events == 5003
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert read_trace(path).num_events == 5003
