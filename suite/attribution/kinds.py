"""Kinds of attention guessed from shapes alone, for traces that no marks were left in.

Guesses are made only where shapes leave little doubt; the rest stays unknown.

- ``cross``: keys and queries differ in number, and the keys are fewer, or as many for queries of several lengths.
- ``causal``: one query against keys that grow by one from call to call. One query against keys that stay as many could be
  a cache of fixed size or a condition, and is unknown unless keys grow elsewhere.
- ``temporal`` and ``spatial``: with `num_frames`, self-attention over exactly that many positions is temporal and other
  self-attention spatial. Without it, both are told by two self-attention lengths of the same heads that split the same
  tokens two ways: F frames of S positions are a batch of ``b * S`` with length F and a batch of ``b * F`` with length S
  (or S + 1, with a class token). Frames are taken to be the fewer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from suite.attribution.attention import AttentionCall


def infer_kinds(calls: Sequence[AttentionCall], num_frames: int | None = None) -> list[AttentionCall]:
    """The calls, with a kind where it was unknown and the shapes tell it."""
    growing = _growing_lengths(calls)
    crossing = _crossing_lengths(calls)
    pairs = [] if num_frames else _space_time_lengths(calls)
    temporal = {num_frames} if num_frames else {frames for frames, _ in pairs}
    spatial = {places for _, places in pairs}

    def kind(call: AttentionCall) -> str | None:
        query, key = call.query_length, call.key_length
        if query is None or key is None:
            return None
        if query == 1 and growing:
            return "causal" if key in growing else "cross"
        if query != key:
            return "cross" if query > 1 and (key < query or key in crossing) else None
        if key in temporal:
            return "temporal"
        return "spatial" if num_frames or key in spatial else None

    return [call if call.kind else call._replace(kind=kind(call)) for call in calls]


def _growing_lengths(calls: Sequence[AttentionCall]) -> set[int]:
    """Key lengths of single queries that follow one another; a length seen in far more calls than these is no part of it."""
    counts: defaultdict[int, int] = defaultdict(int)
    for call in calls:
        if call.query_length == 1 and call.key_length is not None:
            counts[call.key_length] += 1
    if len(counts) < 3:
        return set()
    usual = sorted(counts.values())[len(counts) // 2]
    return {length for length, num in counts.items() if num < 2 * usual and ({length - 1, length + 1} & set(counts))}


def _crossing_lengths(calls: Sequence[AttentionCall]) -> set[int]:
    """Key lengths that queries of several other lengths attend to."""
    queries: defaultdict[int, set[int]] = defaultdict(set)
    for call in calls:
        if call.key_length is not None and call.query_length not in (None, 1, call.key_length):
            queries[call.key_length].add(call.query_length or 0)
    return {key for key, lengths in queries.items() if len(lengths) > 1}


def _space_time_lengths(calls: Sequence[AttentionCall]) -> list[tuple[int, int]]:
    """Pairs of self-attention lengths that are frames and positions of the same tokens."""
    sizes = sorted(
        {
            (call.key_length, call.batch, call.heads)
            for call in calls
            if call.kind is None
            and call.heads
            and call.batch
            and call.key_length
            and call.query_length == call.key_length
        }
    )
    return [
        (frames, length)
        for frames, temporal_batch, heads in sizes
        for length, spatial_batch, other_heads in sizes
        if heads == other_heads and length > frames > 1 and spatial_batch % frames == 0
        for places in (length, length - 1)
        if temporal_batch * frames == spatial_batch * places and temporal_batch % places == 0
    ]
