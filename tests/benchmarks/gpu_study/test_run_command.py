"""The run command from end to end, with runs that only write a record's file."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.gpu_study import run_command
from benchmarks.gpu_study.packing import unpack
from benchmarks.gpu_study.plan import Where
from benchmarks.gpu_study.schedule import Ended, Job

STUDIES = ("first", "second")


class Plan:
    """Two studies of two runs."""

    def jobs(self, where: Where) -> list[Job]:
        return [Job(study, key, (where.folder,), 1, study) for study in STUDIES for key in "ab"]


class FakeWorker:
    """Runs at once; what `during` does comes between."""

    begun: list[str]
    during: Callable[[Job], None]
    root: Path

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def run(self, job: Job, seconds: float) -> Ended:
        type(self).begun.append(job.name)
        folder = self.root / job.overrides[0] / job.study / job.key
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(job.name)
        type(self).during(job)
        return Ended("ok", 0.5, job.key)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[FakeWorker]:
    class Fresh(FakeWorker):
        begun: list[str] = []  # noqa: RUF012
        during = staticmethod(lambda job: None)
        root = tmp_path

    for name, value in {"Worker": Fresh, "ROOT": tmp_path, "missing": list, "torch_sees_cuda": lambda: True}.items():
        monkeypatch.setattr(run_command, name, value)
    monkeypatch.setattr(run_command, "read_plan", lambda path: Plan())
    return Fresh


def packed(out: Path, into: Path) -> list[str]:
    return unpack(sorted(out.glob("*.tar.gz")), into)


def test_all_is_run_and_packed(worker: type[FakeWorker], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_command.main(["--out", str(tmp_path / "out")]) == 0
    assert worker.begun == ["first: a", "first: b", "second: a", "second: b"]
    names = packed(tmp_path / "out", tmp_path / "back")
    assert names == ["first/a/record.json", "first/b/record.json", "ledger-cuda-paper-float16.json",
                     "second/a/record.json", "second/b/record.json"]  # fmt: skip
    assert "Nothing is left of the plan." in capsys.readouterr().out
    assert "Nothing is left" in (tmp_path / "out" / "summary.md").read_text()
    assert len(list((tmp_path / "out").iterdir())) <= 8


def test_a_bare_machine_goes_on_from_what_an_earlier_call_packed(
    worker: type[FakeWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_command.main(["--out", str(tmp_path / "out"), "--only", "first"]) == 0
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(run_command, "ROOT", elsewhere)
    monkeypatch.setattr(worker, "root", elsewhere)
    files = [str(path) for path in (tmp_path / "out").glob("*.tar.gz")]
    assert run_command.main(["--out", str(tmp_path / "again"), "--resume", *files]) == 0
    assert worker.begun == ["first: a", "first: b", "second: a", "second: b"]
    assert len(packed(tmp_path / "again", tmp_path / "back")) == 5


def test_a_result_that_is_lost_is_made_again(worker: type[FakeWorker], tmp_path: Path) -> None:
    assert run_command.main(["--out", str(tmp_path / "out")]) == 0
    shutil.rmtree(tmp_path / "outputs" / "gpu_study" / "first" / "b")
    worker.begun.clear()
    assert run_command.main(["--out", str(tmp_path / "out")]) == 0
    assert worker.begun == ["first: b"]


def test_a_test_drive_is_no_part_of_the_study(worker: type[FakeWorker], tmp_path: Path) -> None:
    assert (
        run_command.main(["--out", str(tmp_path / "out"), "--only", "first", "--device", "cpu", "--scale", "smoke"])
        == 0
    )
    shutil.rmtree(tmp_path / "outputs" / "gpu_study" / "first")
    assert run_command.main(["--out", str(tmp_path / "out"), "--only", "first"]) == 0
    assert worker.begun == ["first: a", "first: b"] * 2


def test_one_that_is_told_to_stop_brings_home_what_is_done(
    worker: type[FakeWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(job: Job) -> None:
        if job.name == "second: a":
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(worker, "during", staticmethod(stop))
    with pytest.raises(SystemExit) as ended:
        run_command.main(["--out", str(tmp_path / "out")])
    assert ended.value.code == 128 + signal.SIGTERM
    assert worker.begun == ["first: a", "first: b", "second: a"]
    assert {"first/a/record.json", "first/b/record.json"} <= set(packed(tmp_path / "out", tmp_path / "back"))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_no_run_is_begun_without_time(worker: type[FakeWorker], tmp_path: Path) -> None:
    assert run_command.main(["--out", str(tmp_path / "out"), "--budget", "10"]) == 0
    assert worker.begun == []
    assert "4 runs are left" in (tmp_path / "out" / "summary.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--only", "third"], "the plan has first, second"), (["--resume", "no.tar.gz"], "no.tar.gz")],
)
def test_bad_input_is_a_sentence(
    arguments: list[str], words: str, worker: type[FakeWorker], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run_command.main(["--out", str(tmp_path / "out"), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert worker.begun == []


def test_without_a_gpu_nothing_is_recorded_as_unsupported(
    worker: type[FakeWorker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(run_command, "torch_sees_cuda", lambda: False)
    assert run_command.main(["--out", str(tmp_path / "out")]) == 2
    assert "--device cpu --scale smoke" in capsys.readouterr().err
    assert run_command.main(["--out", str(tmp_path / "out"), "--simulate", "h200"]) == 0
    assert (tmp_path / "outputs" / "gpu_study_simulated" / "first" / "a").is_dir()
