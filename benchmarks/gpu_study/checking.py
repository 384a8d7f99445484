"""Runs a check and writes what it found: ``check-NAME/check.json``, and small traces beside it."""

from __future__ import annotations

import json
import pkgutil
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.gpu_study import checks
from benchmarks.gpu_study.checks.setting import Setting, Verdict

CHECK_FILE = "check.json"
WORDS = {True: "passed", False: "FAILED", None: "not told"}


def names() -> list[str]:
    """Every check there is."""
    found = (module.name for module in pkgutil.iter_modules(checks.__path__))
    return sorted(name for name in found if hasattr(import_module(f"{checks.__name__}.{name}"), "QUESTION"))


def run_check(name: str, device: str, scale: str, folder: Path) -> dict[str, Any]:
    """Run one check and write its findings; what goes wrong is a finding as well."""
    module = import_module(f"{checks.__name__}.{name}")
    target = folder / f"check-{name}"
    target.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            verdicts = module.check(Setting(device, scale, target, Path(scratch)))
        except Exception as error:  # the other checks are still worth having
            (target / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
            verdicts = {"all": Verdict(False, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")}
    document = {
        "check": name,
        "question": module.QUESTION,
        "device": _device(device),
        "scale": scale,
        "seconds": time.monotonic() - start,
        "verdicts": {what: verdict.as_document() for what, verdict in verdicts.items()},
    }
    (target / CHECK_FILE).write_text(json.dumps(document, indent=1), encoding="utf-8")
    return document


def _device(device: str) -> dict[str, Any]:
    from suite.environment import capture

    environment = capture(device)
    (environment["gpu"] or {}).pop("uuid", None)  # which of its kind it was is nobody's business
    return {"gpu": environment["gpu"], "packages": environment["packages"], "torch": environment["torch"]}


def lines(document: dict[str, Any]) -> list[str]:
    """A check's verdicts, a sentence each."""
    found = document["verdicts"].items()
    return [f"{WORDS[verdict['passed']]:8} {document['check']}, {what}: {verdict['told']}" for what, verdict in found]


def has_failed(document: dict[str, Any]) -> bool:
    return any(verdict["passed"] is False for verdict in document["verdicts"].values())
