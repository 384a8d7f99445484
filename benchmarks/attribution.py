"""How long it takes to get from a profile to an operator table: ours, torch's own, HolisticTraceAnalysis.

    python benchmarks/attribution.py [--num-calls 100000] [--hta-python VENV/bin/python]

One profile of many small CPU operators is made, in the mix of a transformer block with a convolution. Then, each in a
process of its own, so that peak memory is its own, and without the time that imports take:

- ours: trace file -> `operators.parquet`;
- torch: ``prof.events()`` and ``prof.key_averages()`` in the process that profiled, since they need its memory; neither the
  profiling nor the profiler's stop is counted;
- HolisticTraceAnalysis: reading the same file, ``TraceAnalysis(trace_files=...)``, which attributes nothing yet.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_HTA = """
import json, sys, time, resource
from hta.trace_analysis import TraceAnalysis
start = time.perf_counter()
analysis = TraceAnalysis(trace_files={0: sys.argv[1]}, trace_dir="")
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print("RESULT" + json.dumps({"seconds": seconds, "peak_bytes": peak}))
"""


def main() -> None:
    options = _parser().parse_args()
    if options.role:
        result = _ROLES[options.role](options)
        # A second process of ours counts in full, though most of what it holds is shared with the first.
        peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024
        sys.stdout.write("RESULT" + json.dumps({"peak_bytes": peak} | result) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        _compare(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-calls", type=int, default=100_000, help="profiled calls, about 7 events each")
    parser.add_argument("--hta-python", type=Path, help="a Python that has HolisticTraceAnalysis 0.5.0")
    parser.add_argument("--trace", type=Path, help="take this trace; torch's own way is then left out")
    parser.add_argument("--role", choices=("profile", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def _compare(options: argparse.Namespace) -> None:
    results: dict[str, dict[str, Any]] = {}
    if options.trace is None:
        options.trace = options.folder / "trace.json"
        results["torch: events() + key_averages()"] = _child(options, "profile")
    results["ours: trace file -> operators.parquet"] = ours = _child(options, "ours")
    if options.hta_python is not None and options.hta_python.exists():
        results["HolisticTraceAnalysis: read the trace file"] = _run(
            [str(options.hta_python), "-c", _HTA, str(options.trace)]
        )
    else:
        sys.stdout.write("HolisticTraceAnalysis is skipped: no Python with it was given by --hta-python\n")
    size = options.trace.stat().st_size
    sys.stdout.write(f"{ours['num_events']:,} events, {size / 1e6:.0f} MB\n\n")
    sys.stdout.write("| way | s | peak MB | times ours |\n| --- | ---: | ---: | ---: |\n")
    for name, result in results.items():
        ratio = result["seconds"] / ours["seconds"]
        peak = result["peak_bytes"] / 1e6
        sys.stdout.write(f"| {name} | {result['seconds']:.2f} | {peak:.0f} | {ratio:.1f} |\n")


def _child(options: argparse.Namespace, role: str) -> dict[str, Any]:
    arguments = ["--role", role, "--trace", str(options.trace), "--folder", str(options.folder)]
    return _run([sys.executable, __file__, *arguments, "--num-calls", str(options.num_calls)])


def _run(command: list[str]) -> dict[str, Any]:
    """Run a process and read the result that it prints."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not found:
        raise SystemExit(f"{command[:3]} failed:\n{done.stderr[-2000:]}")
    return json.loads(found[-1].removeprefix("RESULT"))


def _profile(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from torch.nn.functional import gelu, group_norm, layer_norm, scaled_dot_product_attention, silu
    from torch.profiler import ProfilerActivity, profile

    linear, convolution = torch.nn.Linear(32, 32), torch.nn.Conv2d(4, 4, 3, padding=1)
    features, image, query = torch.randn(8, 32), torch.randn(1, 4, 8, 8), torch.randn(1, 2, 16, 8)
    block: list[Callable[[], Any]] = [
        lambda: layer_norm(features, (32,)),
        *[lambda: linear(features)] * 3,
        lambda: features.reshape(2, 4, 32).transpose(1, 2).contiguous(),
        lambda: scaled_dot_product_attention(query, query, query),
        lambda: linear(features),
        lambda: features + features,
        lambda: gelu(features),
        lambda: group_norm(image, 2),
        lambda: silu(image),
        lambda: convolution(image),
    ]
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        for number in range(options.num_calls):
            block[number % len(block)]()
    profiler.export_chrome_trace(str(options.trace))
    start = time.perf_counter()
    profiler.events()
    events_s = time.perf_counter() - start
    profiler.key_averages()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "events_s": events_s}


def _ours(options: argparse.Namespace) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT))
    import pyarrow.parquet as pq

    from suite.attribution.kineto import attribute
    from suite.attribution.trace import read_trace

    start = time.perf_counter()
    found = attribute(read_trace(options.trace))
    pq.write_table(found.operators, options.folder / "operators.parquet", compression="zstd")
    return {"seconds": time.perf_counter() - start, "num_events": found.num_events}


_ROLES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"profile": _profile, "ours": _ours}


if __name__ == "__main__":
    main()
