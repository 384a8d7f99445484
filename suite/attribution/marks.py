"""Marks: names of spans that we leave in a trace, made here and read back here, so that a trace file explains itself."""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "genscope/"
STAGE_PREFIX = PREFIX + "stage/"
MODULE_PREFIX = PREFIX + "module/"
ATTENTION_PREFIX = PREFIX + "attention/"


class Mark(NamedTuple):
    """What a mark says. Exactly one of `stage` and `module` is set."""

    stage: str | None = None
    module: str | None = None
    attention_kind: str | None = None


def stage_mark(name: str) -> str:
    """Name of the span of a stage, e.g. ``genscope/stage/decode``."""
    return STAGE_PREFIX + name


def module_mark(path: str) -> str:
    """Name of the span of one call of a module, e.g. ``genscope/module/denoiser.down_blocks.0``."""
    return MODULE_PREFIX + path


def attention_mark(kind: str, path: str) -> str:
    """Name of the span of one call of an attention module; the kind comes first, since a path may hold anything."""
    return f"{ATTENTION_PREFIX}{kind}/{path}"


def parse(name: str) -> Mark | None:
    """What a span's name says, or None where it is no mark of ours."""
    if name.startswith(STAGE_PREFIX):
        return Mark(stage=name.removeprefix(STAGE_PREFIX))
    if name.startswith(MODULE_PREFIX):
        return Mark(module=name.removeprefix(MODULE_PREFIX))
    kind, slash, path = name.removeprefix(ATTENTION_PREFIX).partition("/")
    if name.startswith(ATTENTION_PREFIX) and slash:
        return Mark(module=path, attention_kind=kind)
    return None
