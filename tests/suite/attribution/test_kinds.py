"""Kinds by shape alone: what is told, and what is rightly left unknown."""

from __future__ import annotations

from suite.attribution.attention import AttentionCall
from suite.attribution.kinds import infer_kinds


def call(batch: int, query: int, key: int, *, heads: int | None = 8, kind: str | None = None) -> AttentionCall:
    return AttentionCall((0,), (), batch, heads, query, key, 64, "flash", "float16", kind)


def kinds(*calls: AttentionCall, num_frames: int | None = None) -> list[str | None]:
    return [found.kind for found in infer_kinds(calls, num_frames)]


def test_an_image_unet() -> None:
    assert kinds(call(2, 4096, 4096), call(2, 4096, 77), call(2, 64, 64), call(2, 64, 77)) == [
        None,
        "cross",
        None,
        "cross",
    ]


def test_divided_space_and_time() -> None:
    assert kinds(call(3136, 8, 8), call(8, 3137, 3137)) == ["temporal", "spatial"]
    assert kinds(call(2 * 256, 14, 14), call(2 * 14, 256, 256), call(28, 256, 77)) == ["temporal", "spatial", "cross"]


def test_windows_over_an_image_are_not_time() -> None:
    assert kinds(call(25, 196, 196), call(1, 4900, 4900)) == [None, None]


def test_lengths_of_unlike_heads_are_not_compared() -> None:
    assert kinds(call(3136, 8, 8, heads=4), call(8, 3136, 3136)) == [None, None]
    assert kinds(call(3136, 8, 8, heads=None), call(8, 3136, 3136, heads=None)) == [None, None]


def test_frames_settle_it() -> None:
    calls = [call(32, 16, 16), call(32, 4, 4), call(2, 16, 7)]
    assert kinds(*calls, num_frames=16) == ["temporal", "spatial", "cross"]
    assert kinds(*calls, num_frames=4) == ["spatial", "temporal", "cross"]


def test_growing_keys_are_causal_and_the_others_a_condition() -> None:
    steps = [pair for length in range(1, 9) for pair in (call(1, 1, length), call(1, 1, 77), call(1, 1, 77))]
    assert kinds(*steps) == ["causal", "cross", "cross"] * 8


def test_one_query_against_a_fixed_number_of_keys_is_unknown() -> None:
    assert kinds(*[call(1, 1, 1024)] * 5) == [None] * 5


def test_more_keys_than_queries_need_two_witnesses() -> None:
    assert kinds(call(1, 16, 77)) == [None]
    assert kinds(call(1, 16, 77), call(1, 64, 77)) == ["cross", "cross"]


def test_what_marks_told_stays() -> None:
    assert kinds(call(3136, 8, 8, kind="joint"), call(8, 64, 77, kind="causal"), num_frames=8) == ["joint", "causal"]


def test_unknown_lengths_stay_unknown() -> None:
    unknown = AttentionCall((0,), (), None, None, None, None, None, None, None)
    assert kinds(unknown, num_frames=8) == [None]
