"""The record: whole or not at all, unchanged by a round trip, one sentence for what cannot be read.

Names for the mirror: suite.record_folder, suite.record_tables.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import ROOT

from suite import record_folder
from suite.record import Outcome, Record, Sample, WorkloadFacts
from suite.record_folder import RecordError
from suite.record_tables import TABLES


def example(**changes: object) -> Record:
    facts: dict = {
        "run_id": "a" * 64,
        "name": "toy-run",
        "created": "2026-01-01T00:00:00+00:00",
        "execution": "measure",
        "workload": WorkloadFacts(name="toy"),
        "outcome": Outcome(status="ok"),
        "samples": [Sample(metric="latency_s", value=0.1 + 0.2, trial=3)],
        "config": {"optimization": {"flash_attention": {}, "vae_slicing": {}}},
    }
    return Record(**facts | changes)


def operators(seconds: list[float]) -> pa.Table:
    rows = [{"operator": "aten::mm", "operator_class": "linear", "calls": 1, "host_self_s": value} for value in seconds]
    return pa.Table.from_pylist(rows, schema=TABLES["operators"])


def test_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    original = example()
    record_folder.save(original, {"operators": operators([0.1, 1e-9])}, tmp_path / "run")
    assert record_folder.load(tmp_path / "run") == original
    assert record_folder.load_table(tmp_path / "run", "operators").column("host_self_s").to_pylist() == [0.1, 1e-9]
    assert original.stack == ["flash_attention", "vae_slicing"]
    assert original.label == "flash_attention+vae_slicing"
    assert example(config={}).label == "out_of_the_box"


def test_a_table_that_was_not_made_is_empty(tmp_path: Path) -> None:
    record_folder.save(example(), {}, tmp_path / "run")
    assert record_folder.load_table(tmp_path / "run", "attention").num_rows == 0


def test_saving_again_replaces_everything_and_leaves_nothing_else(tmp_path: Path) -> None:
    record_folder.save(example(), {"operators": operators([1.0])}, tmp_path / "run")
    record_folder.save(example(outcome=Outcome(status="oom", reason="too big")), {}, tmp_path / "run")
    assert record_folder.load(tmp_path / "run").outcome.status == "oom"
    assert record_folder.load_table(tmp_path / "run", "operators").num_rows == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_extra_files_move_into_the_run(tmp_path: Path) -> None:
    extra = tmp_path / "scratch"
    (extra / "output").mkdir(parents=True)
    (extra / "output" / "image_0.png").write_bytes(b"x")
    record_folder.save(example(), {}, tmp_path / "run", extra=extra)
    assert (tmp_path / "run" / "output" / "image_0.png").read_bytes() == b"x"


def test_an_unknown_table_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="kernels"):
        record_folder.save(example(), {"kernels": operators([1.0])}, tmp_path / "run")
    assert not list(tmp_path.iterdir())


BROKEN = {
    "cut short": ('{"schema_version": 1, "run_id"', "cannot be read as a record"),
    "no object": ("[]", "schema version None"),
    "newer": ('{"schema_version": 99}', "schema version 99"),
    "a field missing": ('{"schema_version": 1, "run_id": "x"}', "is not a record"),
    "a wrong type": ('{"schema_version": "1"}', "schema version '1'"),
}


@pytest.mark.parametrize(("text", "says"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_record_is_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RecordError, match=says) as caught:
        record_folder.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_no_record_and_a_broken_table_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no"):
        record_folder.load(tmp_path)
    (tmp_path / "operators.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="cannot be read as a table"):
        record_folder.load_table(tmp_path, "operators")


def test_records_are_found_below_but_not_in_hidden_folders(tmp_path: Path) -> None:
    for name in ("b", "a/deep", ".hidden"):
        record_folder.save(example(), {}, tmp_path / name)
    assert record_folder.find_records(tmp_path) == [tmp_path / "a" / "deep", tmp_path / "b"]


def test_older_records_are_upgraded_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_folder.save(example(), {}, tmp_path / "run")
    path = tmp_path / "run" / "record.json"
    document = json.loads(path.read_text())
    document["schema_version"] = 0
    document["title"] = document.pop("name")
    path.write_text(json.dumps(document))

    def rename(old: dict) -> dict:
        old["name"] = old.pop("title")
        return old | {"schema_version": 1}

    monkeypatch.setattr(record_folder, "_UPGRADES", {0: rename})
    assert record_folder.load(tmp_path / "run").name == "toy-run"
    monkeypatch.setattr(record_folder, "_UPGRADES", {})
    with pytest.raises(RecordError, match="no longer be upgraded"):
        record_folder.load(tmp_path / "run")


def test_golden_record_of_version_1_stays_readable() -> None:
    found = record_folder.load(ROOT / "tests" / "golden" / "record_v1")
    assert found.workload.parts["denoiser"].num_parameters == 859_520_964
    assert found.samples[0].value == 1.25


def test_a_process_killed_while_saving_leaves_the_old_record(tmp_path: Path) -> None:
    """SIGKILL at every file system call of a save: what is found afterwards is the old run or the new one, whole."""
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        sys.path[:0] = [{root!r}, {root!r} + "/tests", {tests!r}]
        from suite import record_folder
        from test_record import example, operators
        folder, fatal = Path(sys.argv[1]), int(sys.argv[2])
        calls = 0
        def deadly(call):
            def wrapped(*a, **k):
                global calls
                calls += 1
                if calls == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*a, **k)
            return wrapped
        os.fsync = deadly(os.fsync)
        Path.rename = deadly(Path.rename)
        Path.mkdir = deadly(Path.mkdir)
        Path.write_bytes = deadly(Path.write_bytes)
        record_folder.save(example(created="new"), {{"operators": operators([2.0])}}, folder)
        """
    ).format(root=str(ROOT), tests=str(Path(__file__).parent))
    script = tmp_path / "program.py"
    script.write_text(program)
    killed = 0
    for fatal in range(1, 13):
        folder = tmp_path / f"results-{fatal}" / "run"
        record_folder.save(example(created="old"), {"operators": operators([1.0])}, folder)
        done = subprocess.run([sys.executable, str(script), str(folder), str(fatal)], check=False)
        killed += done.returncode == -signal.SIGKILL
        record_folder.remove_leftovers(folder)
        created = record_folder.load(folder).created
        seconds = record_folder.load_table(folder, "operators").column("host_self_s").to_pylist()
        assert (created, seconds) in [("old", [1.0]), ("new", [2.0])]
        assert [path.name for path in folder.parent.iterdir()] == ["run"]
    assert killed >= 6


def test_leftovers_of_a_living_process_are_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / f".run.partial-{os.getpid()}"
    mine.mkdir()
    record_folder.remove_leftovers(tmp_path / "run")
    assert mine.exists()
