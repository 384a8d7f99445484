from __future__ import annotations

import gzip
import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from suite.attribution import decode as decoding
from suite.attribution.decode import Document, TraceError, decode, read_text, split
from suite.attribution.flaws import time_flaw

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


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
def test_text_up_to_the_limit_is_read_and_no_more(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(pack(b" " * 5_000_000))
    assert read_text(path, 5_000_000) == read_text(path) == b" " * 5_000_000
    with pytest.raises(
        TraceError, match=r"t\.json .* GiB of text, and of a trace 0\.004657 GiB are read at most: --max-tr"
    ):
        read_text(path, 4_999_999)


def test_a_bomb_is_unpacked_no_further_than_the_limit(tmp_path: Path) -> None:
    """Memory as Python counts it, since a test cannot tell what the machine holds for it."""
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b" " * 200_000_000, 1))
    tracemalloc.start()
    try:
        with pytest.raises(TraceError, match="bomb"):
            read_text(path, 20_000_000)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def test_what_cannot_be_rewound_is_held_to_the_limit_too(tmp_path: Path) -> None:
    """A named pipe has no size."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for limit, packed in ((None, False), (10**6, False), (None, True)):
        text = b"[" + b" " * 2_000_000 + b"]"
        writer = threading.Thread(target=_write, args=(path, gzip.compress(text) if packed else text))
        writer.start()
        if limit is None:
            assert read_text(path) == text
        else:
            with pytest.raises(TraceError, match="pipe has given"):
                read_text(path, limit)
        writer.join()


def _write(path: Path, content: bytes) -> None:
    with suppress(BrokenPipeError):
        path.write_bytes(content)


def test_a_name_that_looks_like_a_number_of_no_json_stays_a_name() -> None:
    """Numbers in place of NaN are put in by looking at the text alone; in a string they do no harm."""
    text = b'{"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "a: nan, b", "ts": 1, "dur": NaN, "args": {"bw": inf}}]}'
    piece = decode(Document(text))
    assert (piece.events, piece.num_events, piece.flaws) == ([], 1, {time_flaw("dur", "NaN"): 1})
