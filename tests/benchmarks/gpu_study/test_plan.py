"""The plan: that every run of it can be composed, for a GPU, for a test drive and for a simulation, and what it covers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from benchmarks.gpu_study.checking import names
from benchmarks.gpu_study.plan import PLAN, PlanError, Where, read_plan
from benchmarks.gpu_study.schedule import Job
from suite.composition import experiment_of

GPU = Where("cuda", "paper", "float16", "outputs/gpu_study")
TEST_DRIVE = Where("cpu", "smoke", "float32", "outputs/gpu_study")
SIMULATION = Where("cuda", "paper", "float16", "outputs/gpu_study_simulated", machine="h200")
TEN = {"stable_diffusion", "imagen", "prod_image", "muse", "parti", "phenaki", "make_a_video", "animatediff",
       "stable_video_diffusion", "llama"}  # fmt: skip


@cache
def jobs(where: Where) -> list[Job]:
    return read_plan().jobs(where)


def runs(where: Where) -> list[Job]:
    return [job for job in jobs(where) if job.study != "check"]


@pytest.mark.parametrize("where", [GPU, TEST_DRIVE], ids=["gpu", "test_drive"])
def test_one_run_of_each_study_is_built_as_asked(where: Where) -> None:
    firsts = {job.study: job for job in reversed(runs(where))}
    for study, job in firsts.items():
        experiment = experiment_of(job.overrides)
        assert experiment.output_dir == Path(where.folder) / study
        assert experiment.placement.device == where.device
        assert experiment.config["execution"]["name"] == "measure"
        assert experiment.machine is None


def test_no_two_runs_are_the_same_and_none_lies_in_anothers_folder() -> None:
    names_of = [job.name for job in jobs(GPU)]
    assert len(set(names_of)) == len(names_of)
    assert len({job.overrides for job in jobs(GPU)}) == len(names_of)


def test_a_simulation_is_of_the_very_requests_that_are_measured() -> None:
    from suite.calibration import configuration

    for study in ("flash_attention", "streamlined_memory", "image_size_scaling"):
        found = []
        for where in (GPU, SIMULATION):
            one = experiment_of(next(job.overrides for job in runs(where) if job.study == study))
            assert one.config["execution"]["name"] == ("simulate" if where.machine else "measure")
            assert (one.machine is None) == (where.machine is None)
            found.append(configuration(one.blank_record(workload=one.workload_facts(), outcome=None)))
        assert found[0] == found[1]
    assert [job.name for job in runs(GPU)] == [job.name for job in runs(SIMULATION)]


def test_the_ten_workloads_run_with_both_attentions_in_half_precision_at_the_published_size() -> None:
    seen = set()
    for job in runs(GPU):
        words = dict(word.partition("=")[::2] for word in job.overrides)
        if words["study"] == "paper_simulation" and words["optimization"] != "[]":
            seen.add((words["workload"], words["optimization"]))
            assert (words["scale"], words["device.precision"]) == ("paper", "float16")
    assert seen == {(name, stack) for name in TEN for stack in ("baseline_attention", "flash_attention")}


def test_checks_come_first_and_are_all_there_are() -> None:
    order = [job.study for job in jobs(GPU)]
    assert order[: order.count("check")] == ["check"] * order.count("check")
    assert sorted(read_plan().checks) == names()
    assert "check" not in {job.study for job in jobs(SIMULATION)}


def test_what_is_typed_replaces_an_axis_of_the_study() -> None:
    studied = [job for job in runs(GPU) if job.study == "image_size_scaling"]
    assert len(studied) == 12
    assert {job.kind for job in studied} == {"image_size_scaling: stable_diffusion"}
    driven = [job for job in runs(TEST_DRIVE) if job.study == "image_size_scaling"]
    assert len(driven) == 4


def test_two_studies_of_one_name_are_refused(tmp_path: Path) -> None:
    text = PLAN.read_text().replace("- name: imagen", "- name: llama")
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(PlanError, match="two studies of one name"):
        read_plan(tmp_path / "plan.yaml")
