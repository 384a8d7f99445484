"""Trace files that somebody or something has damaged: a mutator over bytes and over the JSON tree, the same for a seed."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from typing import Any

Tree = Any

_ODD_TEXTS = (
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "inf",
        "nan",
        "1e308",
        "-1e308",
        "1e400",
        "1e999999999999999999999",
        "-0.0",
        "-1",
    ),
    *(
        "9223372036854775807",
        "18446744073709551616",
        "-9223372036854775809",
        str(2**70),
        "9" * 500,
        "0.0000001",
        "1e15",
    ),
    *(
        "null",
        "true",
        '""',
        '"12.5"',
        '"NaN"',
        '"x"',
        "[]",
        "{}",
        "[[]]",
        '{"a": [1, {"b": null}]}',
        '"\\ud800"',
        '"\\u0000"',
    ),
    *("[" * 300 + "]" * 300, "[" * 5000 + "]" * 5000, '{"a":' * 2000 + "1" + "}" * 2000, "[" * 100_000),
)
"""JSON texts to put in place of any value; some are no JSON, and some are of the wrong type or out of all bounds anywhere."""
_ODD_NAMES = (
    *(
        "genscope/stage/generate",
        "genscope/stage/denoise_step",
        "genscope/attention/spatial/a",
        "genscope/module/a.b",
        "[memory]",
    ),
    *(
        "aten::mm",
        "aten::scaled_dot_product_attention",
        "aten::_softmax",
        "aten::bmm",
        "aten::convolution",
        "cudaGraphLaunch",
    ),
    *(
        "cpu_op",
        "kernel",
        "gpu_memcpy",
        "cuda_runtime",
        "user_annotation",
        "python_function",
        "B",
        "E",
        "X",
        "i",
        "Q",
        "\n",
        "é" * 200,
    ),
)
"""Names, categories and phases that mean something, in places where they do not belong."""


def mutant(seeds: Sequence[bytes], number: int) -> bytes:
    """A damaged copy of one of the texts, some of them gzipped, and damaged after that."""
    chance = random.Random(number)
    text = chance.choice(seeds)
    if chance.random() < 0.7:
        text = _through_the_tree(text, chance)
    if chance.random() < 0.4:
        text = _through_bytes(text, chance)
    if chance.random() < 0.2:
        text = gzip.compress(text, 1, mtime=0)
        text = _through_bytes(text, chance) if chance.random() < 0.7 else text
    return text


def _through_bytes(text: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
        text = _with_one_place_changed(text, chance)
    return text


def _with_one_place_changed(text: bytes, chance: random.Random) -> bytes:
    first = chance.randrange(len(text) + 1)
    stop = min(first + chance.choice((1, 1, 4, 50, 2000)), len(text))
    noise = bytes(chance.randrange(256) for _ in range(stop - first))
    token = chance.choice((b"}", b"]", b'"', b",", b"\\", b"\x00", b"\xff", b"NaN", b"[[[["))
    changes = (
        text[:first] + noise + text[stop:],
        text[:first] + text[stop:],
        text[:stop] + text[first:stop] * 3 + text[stop:],
        text[:first] + noise + text[first:],
        text[:first],
        text[:first] + token + text[first:],
        text + text[first:],
    )
    return chance.choice(changes)


def _through_the_tree(text: bytes, chance: random.Random) -> bytes:
    tree = json.loads(text)
    placeholders: dict[str, str] = {}
    for _ in range(chance.choice((1, 1, 2, 4, 12))):
        tree = _changed(tree, chance, placeholders)
    changed = json.dumps(tree, indent=chance.choice((None, None, 1)))
    for placeholder, odd in placeholders.items():
        changed = changed.replace(json.dumps(placeholder), odd)
    return changed.encode(errors="surrogatepass")


def _changed(tree: Tree, chance: random.Random, placeholders: dict[str, str]) -> Tree:
    """The tree after one change, in one place or in the same field of many events."""
    events = tree["traceEvents"] if isinstance(tree, dict) and isinstance(tree.get("traceEvents"), list) else tree
    odd = _odd_value(chance, placeholders)
    kind = chance.randrange(8)
    if kind == 0 and isinstance(events, list) and events:
        _change_a_field_of_many(events, odd, chance)
    elif kind == 1 and isinstance(events, list) and events:
        _rearrange(events, chance)
    elif kind == 2 and isinstance(events, list) and events:
        _stretch_times(events, chance)
    elif kind == 3 and chance.random() < 0.3:
        return events if chance.random() < 0.5 else {"traceEvents": odd}
    else:
        _change_somewhere(tree, odd, chance)
    return tree


def _odd_value(chance: random.Random, placeholders: dict[str, str]) -> Any:
    if chance.random() < 0.4:
        return chance.choice(_ODD_NAMES)
    placeholder = f"placeholder {len(placeholders)}"
    placeholders[placeholder] = chance.choice(_ODD_TEXTS)
    return placeholder


def _change_a_field_of_many(events: list[Any], odd: Any, chance: random.Random) -> None:
    field = chance.choice(("ph", "cat", "name", "pid", "tid", "ts", "dur", "args"))
    share = chance.choice((0.05, 0.5, 1))
    for event in events:
        if isinstance(event, dict) and chance.random() < share:
            if chance.random() < 0.3:
                event.pop(field, None)
            else:
                event[field] = odd


def _rearrange(events: list[Any], chance: random.Random) -> None:
    first, stop = sorted(chance.randrange(len(events) + 1) for _ in range(2))
    change = chance.randrange(5)
    if change == 0:
        chance.shuffle(events)
    elif change == 1:
        events[first:first] = events[first:stop]
    elif change == 2:
        del events[first:stop]
    elif change == 3:
        events.insert(first, chance.choice((3, "x", [], None, {}, [{}])))
    else:
        one, other = chance.choice(events), chance.choice(events)
        if isinstance(one, dict) and isinstance(other, dict) and one and other:
            field, another = chance.choice(list(one)), chance.choice(list(other))
            one[field], other[another] = other[another], one[field]


def _stretch_times(events: list[Any], chance: random.Random) -> None:
    """Spans that overlap, run backwards or lie ages apart."""
    share, field = chance.choice((0.05, 0.5, 1)), chance.choice(("ts", "dur"))
    factor, shift = chance.choice((-1, 0, 0.5, 1, 3, 1e3, 1e9, 1e300)), chance.choice((0, 0, -1e6, 1e6, 1.7e15, 4e15))
    for event in events:
        if isinstance(event, dict) and type(event.get(field)) in (int, float) and chance.random() < share:
            event[field] = event[field] * factor + shift


def _change_somewhere(tree: Tree, odd: Any, chance: random.Random) -> None:
    """Replace, delete or swap what some node far down holds."""
    node = tree
    while isinstance(node, dict | list) and node:
        key = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
        below = node[key]
        if not isinstance(below, dict | list) or not below or chance.random() < 0.15:
            if chance.random() < 0.25:
                del node[key]
            else:
                node[key] = odd
            return
        node = below
