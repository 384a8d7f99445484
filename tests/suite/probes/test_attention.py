"""The attention probe: calls of a workload whose every call is known, and rules that shapes contradict."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from toy import toy_subject

from suite.probes.attention import Attention, disagreements
from suite.record_tables import TABLES


def test_every_call_is_seen_with_its_shape_and_kernel(tmp_path: Path) -> None:
    observation = Attention().observe(toy_subject(tmp_path))
    calls = observation.tables["attention"].to_pylist()
    assert [call["step"] for call in calls] == [0, 1]
    for call in calls:
        shape = [call[name] for name in ("batch", "heads", "query_length", "key_length", "head_dim")]
        assert shape == [1, 2, 16, 16, 8]
        assert (call["attention_kind"], call["module"], call["kernel"]) == ("spatial", "denoiser.attn", "flash")
    assert observation.attention_disagreements == []


def calls_of(kind: str | None, query_length: int, key_length: int) -> pa.Table:
    row = {"attention_kind": kind, "module": "denoiser.x", "query_length": query_length, "key_length": key_length}
    return pa.Table.from_pylist([row, row], schema=TABLES["attention"])


@pytest.mark.parametrize(
    ("kind", "query_length", "key_length", "complaint"),
    [
        ("temporal", 16, 16, None),
        ("temporal", 64, 64, "not the 16 frames"),
        ("spatial", 64, 77, "differ in number"),
        ("joint", 64, 65, "differ in number"),
        ("cross", 64, 77, None),
        ("causal", 1, 64, None),
        ("causal", 64, 1, "more queries than keys"),
        (None, 4, 4, "no rule declares"),
    ],
)
def test_a_kind_that_the_shape_contradicts_is_named(
    kind: str | None, query_length: int, key_length: int, complaint: str | None
) -> None:
    found = disagreements(calls_of(kind, query_length, key_length), temporal_lengths=(16,))
    assert len(found) == (complaint is not None), "the same case is said once"
    for sentence in found:
        assert complaint in sentence
        assert "denoiser.x" in sentence


def test_frames_made_in_stages_have_several_lengths() -> None:
    assert disagreements(calls_of("temporal", 76, 76), temporal_lengths=(16, 76)) == []
    assert disagreements(calls_of("temporal", 64, 64), temporal_lengths=(16, 76))[0].count("16 or 76 frames") == 1
    assert disagreements(calls_of("temporal", 64, 64), temporal_lengths=()) == []
