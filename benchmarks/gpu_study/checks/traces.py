"""Real traces to keep as test data: small, and with nothing in them of the machine but its GPU."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

from benchmarks.gpu_study.checks.setting import Verdict

KEPT = ("schemaVersion", "deviceProperties", "displayTimeUnit", "traceEvents")
"""Of a trace's document; the rest is the environment."""
MOST_BYTES = 200_000
_PATH = re.compile(r"(?<!\w)(?:/[\w.@+-]+){2,}")
"""Absolute ones: marks of stages and modules have slashes in them, too, and are to stay."""
_UNWANTED = frozenset({"uuid", "pciBusId", "pciDeviceId", "pciDomainId", "hostname"})
_UNREAD = frozenset({"Ev Idx", "Record function id", "Input Strides"})
"""Of an event's arguments; a fifth of a trace, and attribution asks for none of them."""


def keep_trace(path: Path, target: Path) -> Verdict:
    """Write a scrubbed copy, gzipped, if it is small enough."""
    compressed = gzip.compress(
        json.dumps(scrubbed(json.loads(path.read_bytes())), separators=(",", ":")).encode(), mtime=0
    )
    figures = {"bytes": len(compressed), "file": target.name}
    if len(compressed) > MOST_BYTES:
        return Verdict(None, f"{target.name} would have {len(compressed)} bytes, over {MOST_BYTES}: not kept.", figures)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(compressed)
    return Verdict(True, f"{target.name} is kept, {len(compressed)} bytes.", figures)


def scrubbed(document: dict[str, Any]) -> dict[str, Any]:
    """Without environment, names of hosts and processes, and folders: of a path its last word stays."""
    kept = {key: document[key] for key in KEPT if key in document}
    kept["traceEvents"] = [event for event in kept.get("traceEvents", []) if event.get("ph") != "M"]
    return _clean(kept)


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in value.items() if key not in _UNWANTED | _UNREAD}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return _PATH.sub(lambda found: found[0].rpartition("/")[2], value) if isinstance(value, str) else value
