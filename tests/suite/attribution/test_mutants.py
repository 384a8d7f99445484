"""Whatever a trace file holds, the command ends in a record or in one sentence and exit status 2."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
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


def check(folder: Path, numbers: range, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the command over these mutants, and fail with the numbers of those that end in any other way than they may."""
    seeds = seed_texts(folder)
    path, out = folder / "mutant.json", folder / "out"
    ends: Counter[str] = Counter()
    for number in numbers:
        path.write_bytes(mutant(seeds, number))
        shutil.rmtree(out, ignore_errors=True)
        try:
            with at_most(seconds=60):
                status = main([str(path), "--out", str(out)])
        except BaseException as error:
            raise AssertionError(f"mutant {number} ends in {type(error).__name__}") from error
        shown, said = capsys.readouterr()
        ends["refused" if status == 2 else "flawed" if "mutant: " in shown else "clean"] += 1
        if status == 2:
            assert said.startswith(f"genscope: {path} "), number
            assert said.count("\n") == 1, number
            assert not out.exists(), number
        else:
            assert (status, said) == (0, ""), number
            assert [child.name for child in out.iterdir()] == ["mutant"], number
            assert_sound(out / "mutant", number)
    assert min(ends[end] for end in ("refused", "flawed", "clean")) > len(numbers) / 20, "the mutator reaches all ends"


def assert_sound(folder: Path, number: int) -> None:
    """The record can be read, times are none that cannot be, and host rows sum to what the record says they do."""
    record = load(folder)
    tables = {name: load_table(folder, name) for name in TABLES}
    operators = tables["operators"].to_pylist()
    assert all(row["host_self_s"] >= 0 and (row["device_self_s"] or 0) >= 0 for row in operators), number
    assert all((row["flops"] or 0) >= 0 for row in operators), number
    assert all(0 <= row["busy_s"] <= row["span_s"] * (1 + 1e-9) for row in tables["device_activity"].to_pylist()), (
        number
    )
    told, host_s = record.profile.span_s + record.profile.aside_s, sum(row["host_self_s"] for row in operators)
    assert host_s == pytest.approx(told, rel=1e-9) or host_s == 0, number
    assert [note.split(" ")[1] for note in record.workload.notes] == [
        f"{count:,}" for count in sorted(record.profile.flaws.values(), reverse=True)
    ], number


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """A guard against hanging; no bound on speed."""

    def interrupt(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.filterwarnings("error")
def test_a_hundred_mutants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path, range(100), capsys)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_two_thousand_mutants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path, range(100, 2100), capsys)


def test_a_mutant_is_the_same_every_time(tmp_path: Path) -> None:
    seeds = seed_texts(tmp_path)
    assert [mutant(seeds, number) for number in range(20)] == [mutant(seeds, number) for number in range(20)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[" * 100_000, "its JSON is nested too deeply"),
        (b'{"traceEvents": [{"args": ' + b'{"a":' * 100_000, "its JSON is nested too deeply"),
        (
            gzip.compress(b" " * 30_000_000, 1),
            "has given 0.01953 GiB of text, and of a trace 0.01953 GiB are read at most",
        ),
        (gzip.compress(b"{}", mtime=0)[:-6] + b"damage", "CRC check failed"),
        (gzip.compress(b"{}") + b"left over", "Not a gzipped file"),
    ],
    ids=["brackets", "objects", "bomb", "checksum", "garbage"],
)
def test_the_command_itself_says_one_sentence(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    command = [sys.executable, "-m", "suite.attribution", str(path), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--max-trace-gib", "0.01953"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert complaint in done.stderr
    assert not (tmp_path / "out").exists()
