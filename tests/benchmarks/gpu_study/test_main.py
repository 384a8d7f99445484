"""The command line: every command is there, loads only what it needs, and takes --help."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

from benchmarks.gpu_study.__main__ import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"gpu_study {command}" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "status"), [([], 2), (["colour"], 2), (["--help"], 0)])
def test_without_a_command_they_are_listed(given: list[str], status: int, capsys: pytest.CaptureFixture) -> None:
    assert main(given) == status
    assert all(name in capsys.readouterr().err for name in [next(iter(COMMANDS))])


def test_a_bare_python_can_start_a_study() -> None:
    """Before anything is installed there is the standard library alone."""
    program = (
        "import sys\n"
        "for name in ('hydra', 'yaml', 'torch', 'numpy', 'packaging', 'msgspec', 'omegaconf'): sys.modules[name] = None\n"
        "from benchmarks.gpu_study.__main__ import main\n"
        "sys.exit(main(['run', '--out', 'unused', '--wheelhouse', 'no_such_folder']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "make wheelhouse" in done.stderr
