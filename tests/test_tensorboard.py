"""A real run in a real TensorBoard: its scalars, and what the profiler plugin makes of its trace, are our numbers.

The plugin is an independent reader of the very same file, with an operator tree and sums of its own.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

import pandas as pd
import pytest
from attribution.handmade import real_trace
from torch_tb_profiler.profiler.data import RunProfileData

from reports import load
from reports.runs import Runs
from suite.attribution.annotate import annotated
from suite.attribution.kineto import attribute
from suite.attribution.trace import read_trace

PATIENCE_S = 60
PLUGIN = "pytorch_profiler"


class Board(NamedTuple):
    """A TensorBoard that shows the runs of a folder."""

    address: str

    def get(self, path: str, **query: str) -> Any:
        with urlopen(f"{self.address}data/{path}?{urlencode(query)}", timeout=PATIENCE_S) as answer:
            body = answer.read()
        return json.loads(gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body)

    def wait_for(self, path: str, ready: Callable[[Any], bool]) -> Any:
        """What it answers once it has read what is there."""
        deadline = time.monotonic() + PATIENCE_S
        while not ready(answer := self.get(path)):
            assert time.monotonic() < deadline, f"{path} still says {answer}"
            time.sleep(0.2)
        return answer


@pytest.fixture(scope="module")
def folder(experiment: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs made as a user makes them: a video model, with its trace kept."""
    output_dir = tmp_path_factory.mktemp("outputs")
    experiment(
        "workload=animatediff",
        "probe=[latency,operators,memory]",
        *("protocol.min_warmup_trials=1", "protocol.max_warmup_trials=1"),
        *("protocol.min_trials=2", "protocol.max_trials=2"),
        "save_trace=true",
        f"output_dir={output_dir}",
    ).run(lambda message: None)
    return output_dir


@pytest.fixture(scope="module")
def runs(folder: Path) -> Runs:
    return load(folder)


@pytest.fixture(scope="module")
def name(runs: Runs) -> str:
    return runs.records[0].name


@pytest.fixture(scope="module")
def board(folder: Path) -> Iterator[Board]:
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--host", "127.0.0.1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stderr is not None
            address = next(found[0] for line in server.stderr if (found := re.search(r"http://127[^ ]*/", line)))
            yield Board(address)
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def plugin(board: Board, name: str) -> Callable[..., Any]:
    """Asks the plugin about the run, once it has read the trace."""
    board.wait_for(f"plugin/{PLUGIN}/runs", lambda answer: answer["runs"] and not answer["loading"])
    chosen = {"run": f"{name}/trace", "worker": "profile", "span": "default"}
    return lambda view, **query: board.get(f"plugin/{PLUGIN}/{view}", **chosen, **query)


def test_scalars_are_the_records_numbers(board: Board, runs: Runs, name: str) -> None:
    tags = board.wait_for("plugin/scalars/tags", lambda answer: "operators/flops" in answer.get(name, ()))[name]

    def values(tag: str) -> list[float]:
        assert tag in tags
        return [value for _, _, value in board.get("plugin/scalars/scalars", run=name, tag=tag)]

    latency = runs.samples.query("metric == 'latency_s' and stage == 'generate' and not warmup")["value"]
    assert values("latency_s/generate") == pytest.approx(latency.tolist(), rel=1e-6)
    assert len(latency) == 2
    peaks = runs.memory_peaks.set_index("stage")["allocated_bytes"]
    assert values("memory_peaks/decode/allocated_bytes") == pytest.approx([peaks["decode"]], rel=1e-6)
    seconds = runs.operators.groupby("operator_class", observed=True)["host_self_s"].sum()
    for operator_class, share in (seconds / seconds.sum()).items():
        assert values(f"operator_share/host_self_s/{operator_class}") == pytest.approx([share], rel=1e-6)


def test_the_plugin_shows_the_run_with_its_modules(board: Board, plugin: Callable[..., Any], name: str) -> None:
    assert board.get(f"plugin/{PLUGIN}/runs")["runs"] == [f"{name}/trace"]
    assert plugin("views") == ["Overview", "Operator", "Trace", "Module"]
    enabled = {name for name, told in board.get("plugins_listing").items() if told["enabled"]}
    assert {"scalars", PLUGIN} <= enabled


def test_operators_agree_with_ours(plugin: Callable[..., Any], runs: Runs) -> None:
    theirs = pd.DataFrame(plugin("operation/table", group_by="Operation")["data"]).set_index("name").sort_index()
    rows = runs.operators.query("operator != 'unattributed'")
    ours = rows.groupby(rows["operator"].astype(str))[["calls", "host_self_s"]].sum()
    assert list(theirs.index) == list(ours.index), "our marks are no operators"
    # The plugin takes an operator that does nothing but call another overload of its own for one call.
    assert (theirs["calls"].to_numpy() <= ours["calls"].to_numpy()).all()
    assert (theirs["calls"].to_numpy() == ours["calls"].to_numpy()).mean() > 0.95
    microseconds = 1e6 * ours["host_self_s"]
    assert theirs["host_self_duration"].sum() == pytest.approx(microseconds.sum(), rel=0.01)
    for operator, value in theirs["host_self_duration"].items():
        assert value == pytest.approx(microseconds[operator], rel=0.01, abs=1)  # the plugin rounds to microseconds


def test_the_overview_covers_the_operators(plugin: Callable[..., Any], runs: Runs) -> None:
    (total,) = plugin("overview")["performance"]
    parts = {part["name"]: part["value"] for part in total["children"]}
    ours = 1e6 * runs.operators.query("operator != 'unattributed'")["host_self_s"].sum()
    assert parts["CPU Exec"] == pytest.approx(ours, rel=0.01)
    assert parts["Other"] > 0
    assert total["value"] <= 1e6 * runs.records[0].profile.span_s


def test_modules_agree_with_ours(plugin: Callable[..., Any], runs: Runs) -> None:
    roots = {module["name"]: module for module in plugin("module")["data"]}
    denoiser = roots["genscope/module/denoiser"]
    modules = runs.operators["module"].astype(str)
    inside = runs.operators[(modules == "denoiser") | modules.str.startswith("denoiser.")]
    assert denoiser["host_duration"] == pytest.approx(1e6 * inside["host_self_s"].sum(), rel=0.01)
    assert denoiser["occurences"] == runs.records[0].profile.num_steps
    attention = [module for module in _all_modules([denoiser]) if "/temporal/" in module["name"]]
    calls = runs.operators.query("attention_kind == 'temporal'")["module"].nunique()
    assert len({module["name"] for module in attention}) == calls > 0


def test_the_trace_can_be_drawn_with_stages_and_attention(plugin: Callable[..., Any]) -> None:
    """What Perfetto's importer of JSON demands: spans of a thread nest, and have a name, a time and a duration."""
    events = plugin("trace")["traceEvents"]
    threads = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            threads[event["pid"], event["tid"]].append(event)
    for spans in threads.values():
        spans.sort(key=lambda span: (span["ts"], -span["dur"]))
        open_ends: list[float] = []
        for span in spans:
            while open_ends and open_ends[-1] <= span["ts"] + 1e-3:
                open_ends.pop()
            end = span["ts"] + span["dur"]
            assert not open_ends or end <= open_ends[-1] + 1e-3, span
            open_ends.append(end)
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    drawn = defaultdict(set)
    for event in events:
        if event.get("cat") == "genscope":
            drawn[names[event["tid"]]].add(event["name"])
    assert {"generate", "text_encode", "denoise_step 0", "denoiser_forward", "decode"} <= drawn["stages"]
    assert {"spatial attention", "temporal attention", "cross attention"} <= drawn["attention"]


@pytest.mark.parametrize("name", ["timesformer", "vit_small"])
def test_kernels_of_a_real_gpu_agree_with_ours(name: str) -> None:
    """In all, and with or without our annotations. Kernels of an operator are not to be had: the plugin knows no launches."""
    path = real_trace(name)
    text, trace = gzip.decompress(path.read_bytes()), read_trace(path)
    plain, drawn = (
        RunProfileData.from_json("profile", None, json.loads(document)) for document in (text, annotated(text, trace))
    )
    found = attribute(trace)
    assert drawn.kernel_stat["sum"].sum() / 1e6 == pytest.approx(found.kernel_total_s, rel=0.01)
    assert drawn.kernel_stat.equals(plain.kernel_stat)


def _all_modules(modules: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for module in modules:
        yield module
        yield from _all_modules(module["children"])
