"""The first screen's sentences: told of what users run, from hand-made trials, peaks and operators."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.answers import answers
from reports.facts import ATTENTION_KERNELS
from reports.loading import load
from suite.record import Arm
from tests.reports.claims_records import operator, save_run, trials

MIB = 2**20
QUIET = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0]
SECONDS = {"out_of_the_box": 1.0, "baseline_attention": 1.38, "flash_attention": 0.9, "vae_slicing": 1.23}
PEAKS = {"out_of_the_box": 400, "baseline_attention": 1000, "flash_attention": 400, "vae_slicing": 300}
CONVOLUTION = {"out_of_the_box": 0.7, "baseline_attention": 0.2, "flash_attention": 0.8, "vae_slicing": 0.7}


def save(folder: Path, stack: str, reference: str | None = "baseline_attention", workload: str = "toy") -> None:
    """A measured run of hand-made numbers, its stack interleaved with the workload out of the box and with the reference."""
    arms = {"stack": stack, "out_of_the_box": "out_of_the_box"} | ({"reference": reference} if reference else {})
    samples = [one for arm, name in arms.items() for one in trials([SECONDS[name] * value for value in QUIET], arm)]
    share = CONVOLUTION[stack]
    rows = [
        operator(name, 0.0) | {"host_self_s": part} for name, part in (("convolution", share), ("attention", 1 - share))
    ]
    peaks = [{"stage": stage, "allocated_bytes": PEAKS[stack] * MIB} for stage in ("generate", "denoise_step")]
    save_run(
        folder, workload, () if stack == "out_of_the_box" else (stack,), samples=samples, reference=reference, gpu="GPU",
        operators=rows, peaks=peaks,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("study")
    for stack in SECONDS:
        save(folder, stack)
    return answers(load(folder))


def test_time_and_memory_are_those_of_the_workload_out_of_the_box(found: dict[str, list[str]]) -> None:
    (time,) = found["time"]
    assert time.startswith("toy out of the box takes 1.00")
    assert "convolution 70 %, attention 30 %" in time
    (memory,) = found["memory"]
    assert memory.startswith("toy out of the box peaks at 400 MiB of allocated memory in denoise step")
    assert memory.endswith("; vae slicing needs 25 % less (300 MiB).")


def test_what_an_optimization_buys_is_told_against_the_workload_out_of_the_box(found: dict[str, list[str]]) -> None:
    first, second = found["optimizations"][:2]
    assert first.startswith("flash attention on toy is 1.11")
    assert "faster than out of the box (10 paired trials)" in first
    assert second.startswith("vae slicing on toy is 1.23")
    assert "slower than out of the box (10 paired trials)" in second


def test_the_attention_of_old_is_named_beside_attention_kernels_alone(found: dict[str, list[str]]) -> None:
    told = [sentence for sentence in found["optimizations"] if "baseline attention" in sentence]
    assert [sentence.split(" on toy")[0] for sentence in told] == [
        "flash attention",
        "out of the box",
        "baseline attention",
    ]
    assert not any("baseline attention" in sentence for sentence in found["optimizations"][:2])
    assert "baseline attention" not in " ".join(found["time"] + found["memory"])


def test_a_reference_that_is_no_attention_kernel_is_told_after_the_workload_out_of_the_box(tmp_path: Path) -> None:
    save(tmp_path, "flash_attention", reference="vae_slicing")
    first, second = answers(load(tmp_path))["optimizations"]
    assert "faster than out of the box" in first
    assert "faster than vae slicing" in second


def test_without_a_run_out_of_the_box_another_is_told_and_named(tmp_path: Path) -> None:
    save(tmp_path, "baseline_attention")
    found = answers(load(tmp_path))
    assert found["time"][0].startswith("toy with baseline attention takes 1.38")
    assert found["memory"][0].startswith("toy with baseline attention peaks at")
    save(tmp_path, "flash_attention")
    found = answers(load(tmp_path))
    assert found["time"][0].startswith("toy with flash attention takes 0.90")
    assert found["memory"][0].startswith("toy with flash attention peaks at")


def test_every_attention_kernel_of_the_suite_is_known_as_one() -> None:
    targets = {path.stem: path.read_text() for path in Path("conf/optimization").glob("*.yaml")}
    classes = ("attention.AttentionKernel", "eager_attention.EagerAttention")
    kernels = {name for name, text in targets.items() if any(f"suite.optimizations.{one}\n" in text for one in classes)}
    assert kernels == ATTENTION_KERNELS


def test_a_machine_that_was_not_quiet_is_in_the_sentences(tmp_path: Path) -> None:
    arms = [Arm(name="stack", doubt="a core was taken.")]
    rows = [operator("convolution", 0.0) | {"host_self_s": 1.0}]
    save_run(tmp_path, "toy", (), samples=trials(QUIET), gpu="GPU", arms=arms, operators=rows)
    both = trials([0.5 * value for value in QUIET]) + trials(QUIET, "out_of_the_box")
    save_run(tmp_path, "toy", ("vae_slicing",), samples=both, gpu="GPU", arms=arms)
    told = answers(load(tmp_path))
    assert " on a machine that was not quiet" in told["time"][0]
    (slicing,) = told["optimizations"]
    assert slicing.endswith("(10 paired trials, on a machine that was not quiet).")
