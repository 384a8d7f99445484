from __future__ import annotations

import json

import msgspec
import pytest

from suite.attribution import decode as decoding
from suite.attribution.decode import Document, decode, split

EVENT = {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": 1.5, "dur": 2.0}


def test_pieces_are_documents_that_hold_every_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [EVENT | {"name": f"op{number}"} for number in range(30)]
    text = json.dumps({"deviceProperties": [{"id": 0}], "traceEvents": events, "traceName": "x"}).encode()
    monkeypatch.setattr(decoding, "PIECE_BYTES", 300)
    pieces = [decode(document) for document in split(text)]
    assert len(pieces) > 5
    assert [event.name for piece in pieces for event in piece.events] == [event["name"] for event in events]
    assert [piece.devices for piece in pieces if piece.devices] == [[{"id": 0}]]


def test_a_cut_outside_the_events_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps({"traceEvents": [EVENT] * 3, "other": [{"a": 1}] * 200}).encode()
    monkeypatch.setattr(decoding, "PIECE_BYTES", 700)
    with pytest.raises(msgspec.DecodeError):
        [decode(document) for document in split(text)]


def test_a_short_trace_is_one_piece() -> None:
    text = json.dumps({"traceEvents": [EVENT]}).encode()
    assert list(split(text)) == [Document(text)]
    assert list(split(b"nonsense")) == [Document(b"nonsense")]
