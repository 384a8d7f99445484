"""The kernels probe, with a stand-in for ncu that runs the call on the CPU and prints counters that are known."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from nsight_output import GEMM, SOFTMAX, counters, printed
from toy import ToyWorkload, toy_subject

from suite.errors import ConfigError
from suite.probes.kernels import Kernels, shapes
from suite.record_tables import TABLES
from suite.subject import Subject
from suite.workload import Placement, UnsupportedError

COPY = (
    "void at::native::elementwise_kernel<128, 2, at::native::gpu_kernel_impl<at::native::direct_copy_kernel_cuda>>(int)"
)
SCALE = "void at::native::vectorized_elementwise_kernel<4, at::native::BinaryFunctor<float, MulFunctor<float>>>(int)"
FLASH = "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128, 4>>(Flash_fwd_params)"


def probe(**changes: Any) -> Kernels:
    given: dict = {"kinds": ["spatial"], "attention_kernels": ["math"], "max_shapes": 2, "timeout_s": 60}
    return Kernels(**given | changes)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """A toy that was profiled on the CPU and then claims to be on a GPU."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made = toy_subject(scratch, ToyWorkload())
    made.profile()
    made.workload.placement = Placement(device="cuda", precision="float32")
    return made


@pytest.fixture
def fake_ncu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a shell script named ncu on the PATH; gives back the file that it notes its arguments in."""

    def put(output: str, *, before: str = "", status: int = 0) -> Path:
        folder, noted = tmp_path / "bin", tmp_path / "arguments.txt"
        folder.mkdir()
        (folder / "printed.csv").write_text(output)
        script = folder / "ncu"
        script.write_text(
            f'#!/bin/sh\necho "$LC_ALL $@" >> {noted}\nwhile [ "$1" != "{sys.executable}" ]; do shift; done\n'
            f"{before}\ncat {folder / 'printed.csv'}\nexit {status}\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return noted

    return put


def test_each_kernel_is_a_row_with_its_class_and_its_rates(subject: Subject, fake_ncu: Callable) -> None:
    """The stand-in really runs the script that it is given: the call's shape is the toy's."""
    launches = [
        (COPY, counters("100", ("64", "0"), ("64", "50"), "2,048")),
        (GEMM, counters("1,000", ("4,096", "25.00"), ("3,072", "75.00"), "65,536")),
        (SCALE, counters("200", ("128", "0"), ("128", "12.5"), "4,096")),
        (SOFTMAX, counters("300", ("0", "0"), ("256", "12.50"), "8,192")),
    ]
    noted = fake_ncu(printed(*launches), before='"$@" || exit 9')
    rows = probe().observe(subject).tables["attention_kernels"].to_pylist()
    assert [row["kernel_class"] for row in rows] == ["data_movement", "gemm", "elementwise", "softmax"]
    assert [row["launch"] for row in rows] == [0, 1, 2, 3]
    gemm = rows[1]
    shape = ("batch", "heads", "query_length", "key_length", "head_dim", "precision", "calls", "attention_kind")
    assert [gemm[name] for name in shape] == [1, 2, 16, 16, 8, "float32", 2, "spatial"]
    assert (gemm["l1_hit_rate"], gemm["l2_hit_rate"]) == (0.25, 0.75)
    assert (gemm["l1_sectors"], gemm["l2_sectors"], gemm["dram_bytes"]) == (4096, 3072, 65536)
    assert gemm["duration_s"] == pytest.approx(1e-6)
    assert rows[3]["l1_hit_rate"] is None, "it asked for no sector"
    assert rows[0]["l1_hit_rate"] == 0
    (arguments,) = noted.read_text().splitlines()
    assert arguments.startswith(
        "C --csv --page raw --print-units base --profile-from-start off --cache-control all --clock-control none --metrics "
    )
    assert arguments.endswith("attention_replay.py MATH 1 2 16 16 8 float32")
    assert "l1tex__t_sector_hit_rate.pct" in arguments
    assert (subject.scratch / "attention_replay.py").exists(), "what was launched is kept with the run"


def test_a_fused_kernel_is_one_of_its_own(subject: Subject, fake_ncu: Callable) -> None:
    fake_ncu(printed((FLASH, counters("100", ("64", "5"), ("64", "50"), "2,048"))))
    rows = probe(attention_kernels=["math", "flash"]).observe(subject).tables["attention_kernels"].to_pylist()
    assert [(row["attention_kernel"], row["kernel_class"]) for row in rows] == [
        ("math", "fused_attention"),
        ("flash", "fused_attention"),
    ]


REASONS = {
    "refused": ("==ERROR== The application returned an error code (3).", "echo it is refused >&2", 3, "it is refused"),
    "silent": ("", "", 7, "ncu ended with 7"),
    "ncu's own": ("==ERROR== Failed to connect.", "", 1, "==ERROR== Failed to connect."),
    "no table": ("==WARNING== No kernels were profiled.", "", 0, "ncu printed no table of kernels"),
    "no row": (printed(), "", 0, "ncu saw no kernel"),
}  # fmt: skip


@pytest.mark.parametrize("case", REASONS)
def test_a_call_that_could_not_be_launched_is_a_row_with_its_reason(
    case: str, subject: Subject, fake_ncu: Callable
) -> None:
    output, before, status, reason = REASONS[case]
    fake_ncu(output, before=before, status=status)
    (row,) = probe().observe(subject).tables["attention_kernels"].to_pylist()
    assert row["reason"] == reason
    assert (row["kernel"], row["query_length"]) == (None, 16)


def test_one_that_hangs_is_given_up(subject: Subject, fake_ncu: Callable) -> None:
    """With the process that it has started, which would keep its output open."""
    fake_ncu("", before="sleep 30")
    start = time.monotonic()
    (row,) = probe(timeout_s=0.2).observe(subject).tables["attention_kernels"].to_pylist()
    assert row["reason"] == "ncu took longer than 0.2 s (probe.kernels.timeout_s)"
    assert time.monotonic() - start < 15


def test_counters_that_only_root_may_read_are_unsupported(subject: Subject, fake_ncu: Callable) -> None:
    denied = "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU Performance Counters"
    fake_ncu(denied, status=1)
    with pytest.raises(UnsupportedError, match="NVreg_RestrictProfilingToAdminUsers=0"):
        probe().observe(subject)


def test_without_a_gpu_or_ncu_it_is_unsupported(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError, match="no ncu is on the PATH"):
        probe().observe(subject)
    subject.workload.placement = Placement(device="cpu", precision="float32")
    with pytest.raises(UnsupportedError, match="device=cuda"):
        probe().observe(subject)


def test_the_shapes_with_the_most_work_come_first() -> None:
    def call(kind: str, length: int, **changes: Any) -> dict[str, Any]:
        return {"attention_kind": kind, "batch": 1, "heads": 8, "query_length": length, "key_length": length,
                "head_dim": 64, "precision": "float16"} | changes  # fmt: skip

    calls = [
        call("spatial", 64),
        *[call("spatial", 32)] * 5,
        call("spatial", 16),
        call("temporal", 16),
        call("cross", 99),
    ]
    calls.append(call("spatial", 512, heads=None))
    table = pa.Table.from_pylist(calls, schema=TABLES["attention"])
    found = shapes(table, ["temporal", "spatial"], most=2)
    assert [(row["attention_kind"], row["query_length"], row["calls"]) for row in found] == [
        ("temporal", 16, 1),
        ("spatial", 32, 5),
        ("spatial", 64, 1),
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"kinds": ["diagonal"]}, "diagonal"), ({"attention_kernels": ["mth"]}, "mth"), ({"max_shapes": 0}, "0")],
)
def test_wrong_values_are_one_sentence(changes: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=f"probe.kernels.*{says}"):
        probe(**changes)
