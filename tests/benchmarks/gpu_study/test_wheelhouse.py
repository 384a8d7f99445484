"""The walk through requirements, on made-up wheels; and the real one, where a registry answers (slow)."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmarks.gpu_study import wheelhouse_command
from benchmarks.gpu_study.node import NodeError, Target, read_packages
from benchmarks.gpu_study.wheelhouse import LEFT_OUT, Walk, Wheel, read_pins

INDEX = {
    "pipeline": ["config>=1", "hub<3", "torch", "numpy", "other; python_version < '3.9'", "extra; extra == 'dev'"],
    "config": ["grammar==4.*", "pipeline"],
    "grammar": [],
    "hub": [],
    "torch": [],
}
PINS = {"pipeline": "2.0", "config": "1.5", "grammar": "4.9", "hub": "2.4"}


class Index:
    """A registry of `INDEX`, whose wheels are written when they are asked for."""

    def __init__(self, tag: str = "py3-none-any") -> None:
        self.asked: list[str] = []
        self.tag = tag

    def fetch(self, pinned: str, folder: Path) -> Path:
        self.asked.append(pinned)
        name, _, version = pinned.partition("==")
        path = folder / f"{name}-{version}-{self.tag}.whl"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", *(f"Requires-Dist: {line}" for line in INDEX[name])]
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n\nProse.\n")
        return path


def walked(
    folder: Path, packages: Mapping[str, str | None], *asked: str, index: Index | None = None, pins: Mapping = PINS
) -> dict[str, Wheel]:
    walk = Walk(Target(), packages, pins, (index or Index()).fetch, folder)
    return walk.need(map(Requirement, asked))


def test_what_the_node_lacks_is_brought_with_what_it_needs_itself(tmp_path: Path) -> None:
    index = Index()
    found = walked(tmp_path, {"torch": "2.11", "numpy": None, "hub": "2.0"}, "pipeline>=1", "torch>=2.11", index=index)
    assert sorted(found) == ["config", "grammar", "pipeline"]
    assert index.asked == ["pipeline==2.0", "config==1.5", "grammar==4.9"]


def test_a_version_that_is_refused_is_replaced_and_told(tmp_path: Path) -> None:
    found = walked(
        tmp_path, {"torch": None, "numpy": None, "hub": "3.1", "config": "1.2", "grammar": "4.1"}, "pipeline"
    )
    assert sorted(found) == ["hub", "pipeline"]
    assert found["hub"].because == "replaces 3.1, as hub<3 is needed"


@pytest.mark.parametrize(
    ("packages", "asked", "pins", "words"),
    [
        ({}, "torch>=2", PINS, "has no version of torch"),
        ({"torch": "1.0"}, "torch>=2", PINS, r"has 1\.0 of torch"),
        ({}, "hub", {}, "pins no hub"),
        ({}, "hub>=5", PINS, r"pins hub to 2\.4, and hub>=5 is needed"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(packages: dict, asked: str, pins: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=words):
        walked(tmp_path, packages, asked, pins=pins)


def test_a_wheel_that_was_built_for_this_machine_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"does not run on Python 3\.12"):
        walked(tmp_path, {}, "hub", index=Index("cp39-cp39-linux_riscv64"))


def test_two_who_need_different_versions_are_told(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"pins grammar to 4\.9"):
        walked(tmp_path, {}, "grammar", "grammar<4")


def test_pins_are_those_of_the_nodes_python(tmp_path: Path) -> None:
    path = tmp_path / "constraints.txt"
    path.write_text('# tested\nA_b==1.0; python_version >= "3.11"\nA_b==0.9; python_version < "3.11"\n')
    assert read_pins(path, Target("3.12")) == {"a-b": "1.0"}
    assert read_pins(path, Target("3.10")) == {"a-b": "0.9"}


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command on `INDEX`."""
    monkeypatch.setattr(wheelhouse_command, "pip_fetch", lambda target: Index().fetch)
    monkeypatch.setattr(wheelhouse_command, "read_pins", lambda path, target: PINS)
    monkeypatch.setattr(wheelhouse_command, "_project_requirements", lambda: [Requirement("pipeline")])


@pytest.mark.usefixtures("made_up")
def test_the_command_lists_wheels_and_how_to_install_them(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    packages, out = tmp_path / "packages.txt", tmp_path / "wheelhouse"
    packages.write_text("torch==2.11.0\nnumpy\n")
    out.mkdir()
    (out / "stale-1.0-py3-none-any.whl").write_bytes(b"")
    assert wheelhouse_command.main(["--out", str(out), "--node-packages", str(packages)]) == 0
    told = capsys.readouterr().out
    assert "4 wheels" in told
    assert "pip install --no-index --no-deps --upgrade --target SITE wheelhouse/*.whl" in told
    assert sorted(path.name.partition("-")[0] for path in out.iterdir()) == ["config", "grammar", "hub", "pipeline"]


@pytest.mark.usefixtures("made_up")
def test_one_that_is_too_large_says_which_wheels_and_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    packages = tmp_path / "packages.txt"
    packages.write_text("torch==2.11.0\nnumpy\n")
    arguments = ["--out", str(tmp_path / "house"), "--node-packages", str(packages), "--most-mib", "0.0001"]
    assert wheelhouse_command.main(arguments) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "pipeline" in told
    assert "NODE_PACKAGES=FILE" in told


def test_the_usual_image_has_a_torch_that_we_accept_and_lacks_what_we_bring() -> None:
    packages = read_packages(wheelhouse_command.PLAIN_IMAGE)
    assert packages["torch"] is not None
    assert not {"diffusers", "hydra-core", "omegaconf", "antlr4-python3-runtime", "msgspec", *LEFT_OUT} & set(packages)


@pytest.mark.slow
def test_the_real_wheelhouse_is_small_and_whole(tmp_path: Path) -> None:
    try:
        wheels = wheelhouse_command.fill(tmp_path, Target(), wheelhouse_command.PLAIN_IMAGE)
    except NodeError as error:
        if "pip has neither" in str(error):
            pytest.skip(f"no registry answers: {error}")
        raise
    assert {"diffusers", "hydra-core", "omegaconf", "antlr4-python3-runtime", "msgspec"} <= set(wheels)
    assert not [name for name in wheels if name == "torch" or name.startswith("nvidia-c")]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 60 * 2**20
    assert all(path.suffix == ".whl" and Target().takes(path) for path in tmp_path.iterdir())
