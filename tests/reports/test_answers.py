"""The first screen's sentences: told of what users run, from hand-made trials, peaks and operators."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.answers import answers
from reports.facts import ATTENTION_KERNELS
from reports.loading import load
from suite.record import Outcome
from tests.reports.claims_records import operator, save_in_doubt, save_run, trials

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


def test_a_sentence_says_that_the_machine_was_not_quiet(tmp_path: Path) -> None:
    """Pairs that carry a comparison decide it all the same; those whose ratio steps do not."""
    told = answers(load(save_in_doubt(tmp_path)))["optimizations"]
    carried, steps = told
    assert carried.startswith("carried on toy is 2.00")
    assert carried.endswith("slower than out of the box (30 paired trials, on a machine that was not quiet).")
    assert steps.startswith("steps on toy cannot be told from out of the box: 2.0")
    assert steps.endswith("its time (30 paired trials, on a machine that was not quiet).")


@pytest.mark.parametrize("doubt", [None, "Trials jump: 0-1 took 40 s."])
def test_how_long_a_run_takes_is_of_the_trials_that_count(doubt: str | None, tmp_path: Path) -> None:
    save_run(
        tmp_path, "toy", (), samples=trials([40.0, 40.0, *QUIET], aside=[0, 1] if doubt else []),
        operators=[operator("linear", 0.0) | {"host_self_s": 1.0}], doubts={"stack": doubt}, gpu="GPU",
    )  # fmt: skip
    (time,) = answers(load(tmp_path))["time"]
    assert time.startswith("toy out of the box takes 1.00 [")
    assert ("s on a machine that was not quiet; of its" in time) == bool(doubt)


def test_what_does_not_fit_is_told_first_with_how_much_is_missing(tmp_path: Path) -> None:
    short = Outcome(status="oom", reason="the generation needs 85.0 GiB, 5.00 GiB more")
    peaks = [{"stage": stage, "allocated_bytes": 60 * 2**30} for stage in ("generate", "decode")]
    for stack in ((), ("flash_attention",), ("vae_slicing",)):
        save_run(tmp_path, "toy", stack, peaks=peaks, outcome=short)
    first, second = answers(load(tmp_path))["memory"]
    assert first == (
        "toy out of the box ran out of memory: the generation needs 85.0 GiB, 5.00 GiB more. So did 2 more of its stacks."
    )
    assert second.startswith("toy out of the box peaks at 60.0 GiB")


def test_every_attention_kernel_of_the_suite_is_known_as_one() -> None:
    targets = {path.stem: path.read_text() for path in Path("conf/optimization").glob("*.yaml")}
    classes = ("attention.AttentionKernel", "eager_attention.EagerAttention")
    kernels = {name for name, text in targets.items() if any(f"suite.optimizations.{one}\n" in text for one in classes)}
    assert kernels == ATTENTION_KERNELS
