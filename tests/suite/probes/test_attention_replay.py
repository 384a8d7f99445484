"""The replayed call: shapes as asked for, and a refusal with its reason."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from suite.probes import attention_replay


def test_the_call_has_the_shape_that_was_asked_for() -> None:
    output = attention_replay.attend("MATH", (2, 3, 5, 7, 8), "bfloat16", "cpu")
    assert output.shape == (2, 3, 5, 8)
    assert output.dtype == torch.bfloat16
    same = attention_replay.attend("FLASH_ATTENTION", (2, 3, 5, 7, 8), "float64", "cpu")
    again = attention_replay.attend("MATH", (2, 3, 5, 7, 8), "float64", "cpu")
    assert torch.allclose(same, again, atol=1e-12), "one seed, two kernels"


def test_it_is_a_script_of_its_own() -> None:
    command = [sys.executable, attention_replay.__file__, "MATH", "1", "2", "4", "4", "8", "float32"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_refused_call_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no cuDNN on a CPU."""
    if torch.cuda.is_available():
        pytest.skip("a GPU may take it")
    shape = ["1", "2", "4", "4", "8", "float32"]
    assert attention_replay.main(["CUDNN_ATTENTION", *shape]) == attention_replay.REFUSED
    assert capsys.readouterr().err.count("\n") == 1
