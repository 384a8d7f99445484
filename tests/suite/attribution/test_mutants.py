"""Whatever a trace file holds, the command ends in a record or in one sentence and exit status 2."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from attribution.handmade import REAL_TRACES, HandmadeTrace
from attribution.mutants import mutant
from conftest import ROOT

from suite.attribution.__main__ import main
from suite.record_folder import load, load_table
from suite.record_tables import TABLES

NUM_OF_A_REAL_ONE = 150
"""Events that are cut out of each of the real traces."""


def seed_texts(folder: Path) -> list[bytes]:
    """Small traces to damage: written by hand, with all that is read, and cut from those of GPUs where these are there."""
    made = HandmadeTrace(folder)
    made.document["deviceProperties"] = [{"name": "NVIDIA H100", "totalGlobalMem": 5, "computeMajor": 9}]
    made.stage("generate", 0, 900).stage("denoise_step", 10, 800).module("denoiser", 20, 700)
    made.attention("spatial", "denoiser.attn", 30, 400)
    scores, values = [[2, 8, 4], [2, 4, 8]], [[2, 8, 8], [2, 8, 4]]
    made.operator("aten::mul", 30, 35, [2, 8, 4], []).operator("aten::bmm", 40, 60, *scores).launch(45, 50, 1)
    made.operator("aten::_softmax", 70, 80, [2, 8, 8], [], []).operator("aten::bmm", 90, 99, *values)
    made.operator("aten::scaled_dot_product_attention", 100, 190, *[[1, 2, 4, 8]] * 3)
    made.operator("aten::_scaled_dot_product_flash_attention", 110, 180, *[[1, 2, 4, 8]] * 3).launch(120, 130, 2)
    settings = {"Concrete Inputs": ["", "", "", "[1, 1]", "[1, 1]", "[1, 1]", "False", "[0, 0]", "1"]}
    made.operator("aten::convolution", 500, 600, [1, 4, 8, 8], [4, 4, 3, 3], [4], **settings).launch(510, 520, 3)
    made.launch(610, 690, 4, "cudaDeviceSynchronize").operator("aten::add", 300, 350, [8], tid=9, **{"External id": 5})
    made.kernel("gemm", 60, 70, correlation=1).kernel("flash_fwd", 130, 170, correlation=2)
    made.kernel("cudnn_conv", 650, 680, correlation=3).kernel("lost", 690, 692, **{"External id": 5})
    made.kernel("Memcpy HtoD", 700, 710, "gpu_memcpy").memory(15, 64).memory(200, 4096, 1, 5000, 9000)
    made.memory(300, -4096, 1, 904, 9000).read()
    marked = made.path.read_bytes()
    unmarked = [event for event in made.events if "genscope" not in event["name"]]
    texts = [marked, json.dumps(made.document | {"traceEvents": unmarked}).encode(), json.dumps(unmarked).encode()]
    for path in sorted(REAL_TRACES.glob("*.json.gz")):
        document = json.loads(gzip.decompress(path.read_bytes())) if path.stat().st_size < 500_000 else {}
        events = document.get("traceEvents", [])
        few = events[:: max(len(events) // NUM_OF_A_REAL_ONE, 1)]
        texts += [json.dumps(document | {"traceEvents": few}).encode()] if few else []
    return texts
