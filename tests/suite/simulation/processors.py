"""Marks of tests that cannot hold on every kind of processor; the reason names what is missing here."""

from __future__ import annotations

import os
import platform

import pytest

from suite.simulation.scratch import ONEDNN_LIMIT, onednn_isa

HERE = f"{ONEDNN_LIMIT}={os.environ.get(ONEDNN_LIMIT, 'not set')} on {platform.machine()}"
NEEDS_X86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"),
    reason=f"needs oneDNN's kernels for x86, whose temporaries are known: this is {platform.machine()}",
)
NEEDS_AVX2 = pytest.mark.skipif(onednn_isa() == "SSE41", reason=f"needs oneDNN with AVX2: {HERE}")
