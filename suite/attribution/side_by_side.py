"""Decodes the pieces of a large trace in two processes at once.

Decoding holds the interpreter's lock, so threads would not help. A forked child shares the text without a copy and sends back
columns, which are a fifth of it. Where torch is loaded nothing is forked: its threads would not be there in the child.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from suite.attribution.decode import Piece, decode, split

SMALLEST_BYTES = 32_000_000
"""Below this a second process costs more than it saves."""

_T = TypeVar("_T")


def decode_side_by_side(text: bytes, reduce: Callable[[Piece], _T]) -> list[_T]:
    """`reduce` of every piece of the text, in order.

    Raises:
        msgspec.DecodeError: a piece is not what it should be.
    """
    if len(text) < SMALLEST_BYTES or not _may_fork():
        return _every_other(text, reduce, 0, 1)
    context: Any = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sending, text, reduce), daemon=True)
    child.start()
    sending.close()
    try:
        even = _every_other(text, reduce, 0, 2)
        try:
            odd = receiving.recv()
        except EOFError:  # the child was killed, for want of memory say: its share is decoded here
            odd = _every_other(text, reduce, 1, 2)
    finally:
        child.kill()
        child.join()
    if isinstance(odd, Exception):
        raise odd
    found: list[_T] = [*even, *odd]
    found[0::2], found[1::2] = even, odd
    return found


def _may_fork() -> bool:
    several = len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else False
    return several and "torch" not in sys.modules and "fork" in multiprocessing.get_all_start_methods()


def _every_other(text: bytes, reduce: Callable[[Piece], _T], turn: int, stride: int) -> list[_T]:
    return [reduce(decode(document)) for index, document in enumerate(split(text)) if index % stride == turn]


def _send(sending: Any, text: bytes, reduce: Callable[[Piece], _T]) -> None:
    try:
        result: Any = _every_other(text, reduce, 1, 2)
    except Exception as error:  # raised again by the parent, whatever it is
        result = error
    sending.send(result)
