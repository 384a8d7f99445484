"""Kernels: cache hit rates of the kernels of attention (Golden et al. 2024, Fig. 12), read by Nsight Compute (``ncu``).

Counters are read by replaying a kernel several times over, too slow for a whole generation. So each shape of attention call
that the run's own arm makes is launched again by itself (`suite.probes.attention_replay`), in a process that ncu watches.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import pyarrow as pa

from suite.attribution.taxonomy import ATTENTION_KINDS, kernel_class
from suite.errors import ConfigError
from suite.optimizations.attention import KERNELS
from suite.probes import attention_replay
from suite.probes.contract import Observation
from suite.probes.nsight import METRICS, NsightError, kernels
from suite.record_tables import TABLES
from suite.subject import Subject
from suite.workload import Placement, UnsupportedError

SHAPE = ("batch", "heads", "query_length", "key_length", "head_dim")
CLASSES = {"attention": "fused_attention", "linear": "gemm", "normalization": "softmax"}
"""Names of the paper for classes of our taxonomy; in attention, what normalizes is the softmax. Others keep theirs."""

# Clocks are left alone: no rate of hits depends on them, and they are the machine's, whose other users they would slow down.
_OPTIONS = ("--csv", "--page", "raw", "--print-units", "base", "--profile-from-start", "off", "--cache-control", "all",
            "--clock-control", "none", "--metrics", ",".join(METRICS.values()))  # fmt: skip
_NO_PERMISSION = "ERR_NVGPUCTRPERM"


@dataclass(frozen=True)
class Kernels:
    """Hit rates in L1 and L2, bytes of DRAM and time of every kernel that attention launches.

    Args:
        kinds: of attention that are looked at.
        attention_kernels: each shape is launched with each of them.
        max_shapes: of each kind, those with the most work over the generation.
        timeout_s: of one launch.
    """

    kinds: Sequence[str]
    attention_kernels: Sequence[str]
    max_shapes: int
    timeout_s: float
    not_simulated: ClassVar[str] = "hit rates are counted by a GPU, which a simulation does not have"

    def __post_init__(self) -> None:
        for key, known in (("kinds", ATTENTION_KINDS), ("attention_kernels", tuple(KERNELS))):
            for name in getattr(self, key):
                if name not in known:
                    raise ConfigError(f"probe.kernels.{key}: {name} is none of {', '.join(known)}")
        if self.max_shapes < 1:
            raise ConfigError(f"probe.kernels.max_shapes={self.max_shapes}: a whole number of at least 1 is needed")

    def require(self, placement: Placement) -> str:
        """
        Returns:
            The path of ncu.

        Raises:
            UnsupportedError: there is no GPU, or no ncu.
        """
        if placement.device != "cuda":
            raise UnsupportedError("probe=kernels reads counters of a GPU, and the run is not on one (device=cuda)")
        ncu = shutil.which("ncu")
        if ncu is None:
            raise UnsupportedError("probe=kernels reads counters with Nsight Compute, and no ncu is on the PATH")
        return ncu

    def observe(self, subject: Subject) -> Observation:
        """
        Raises:
            UnsupportedError: there is no GPU, no ncu, or no permission to read counters.
        """
        ncu = self.require(subject.workload.placement)
        # A copy, since beside the script lie modules of ours whose names, everyday words, could stand in the way of others.
        script = str(shutil.copy(attention_replay.__file__, subject.scratch))
        rows = []
        for shape in shapes(subject.profile().attribution.attention, self.kinds, self.max_shapes):
            for attention_kernel in self.attention_kernels:
                size = " x ".join(str(shape[name]) for name in SHAPE)
                subject.say(f"kernels, {attention_kernel} attention of {size} under ncu")
                facts = shape | {"attention_kernel": attention_kernel}
                rows += [
                    facts | row
                    for row in self._launch([ncu, *_OPTIONS, sys.executable, script], attention_kernel, shape)
                ]
        return Observation(tables={"attention_kernels": pa.Table.from_pylist(rows, schema=TABLES["attention_kernels"])})

    def _launch(self, replay: list[str], attention_kernel: str, shape: dict[str, Any]) -> list[dict[str, Any]]:
        """One attention call under ncu: its kernels, or a row that says why there are none."""
        command = [*replay, KERNELS[attention_kernel], *(str(shape[name]) for name in SHAPE), shape["precision"]]
        environment = os.environ | {"LC_ALL": "C"}  # numbers without a locale's marks, where ncu heeds it
        done = _run(command, environment, self.timeout_s)
        if done is None:
            return [{"reason": f"ncu took longer than {self.timeout_s:g} s (probe.kernels.timeout_s)"}]
        if _NO_PERMISSION in done.stdout + done.stderr:
            raise UnsupportedError(
                f"the driver lets only administrators read the GPU's counters ({_NO_PERMISSION}): run as root, or load the "
                "nvidia module with NVreg_RestrictProfilingToAdminUsers=0"
            )
        if done.returncode:
            return [{"reason": _last_words(done.stdout + "\n" + done.stderr) or f"ncu ended with {done.returncode}"}]
        try:
            found = kernels(done.stdout)
        except NsightError as error:
            return [{"reason": str(error)}]
        return list(_classified(found)) or [{"reason": "ncu saw no kernel"}]


def _run(command: list[str], environment: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str] | None:
    """The finished process; None where it took too long and was killed, with what it had started."""
    kept: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "start_new_session": True,
    }
    with subprocess.Popen(command, env=environment, **kept) as process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


def shapes(attention: pa.Table, kinds: Sequence[str], most: int) -> list[dict[str, Any]]:
    """Distinct calls of some kinds, with how often the generation makes them: of each kind those with the most work.

    Args:
        attention: the attention table; calls of which it lacks a length or the precision are left out.
        kinds: in the order in which they are given back.
        most: of each.
    """
    known = ["attention_kind", *SHAPE, "precision"]
    counted = attention.select(known).group_by(known, use_threads=False).aggregate([([], "count_all")]).to_pylist()
    found = [row | {"calls": row.pop("count_all")} for row in counted if None not in row.values()]
    found.sort(key=lambda row: -row["calls"] * prod(row[name] for name in SHAPE))
    return [row for kind in kinds for row in [row for row in found if row["attention_kind"] == kind][:most]]


def _classified(found: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for launch, row in enumerate(found):
        # A rate of no sectors is no rate: ncu prints 0 for it.
        rates = {
            f"{cache}_hit_rate": None if row[f"{cache}_sectors"] == 0 else row[f"{cache}_hit_rate"]
            for cache in ("l1", "l2")
        }
        plain = kernel_class(row["kernel"])
        yield row | rates | {"launch": launch, "kernel_class": CLASSES.get(plain, plain)}


def _last_words(output: str) -> str:
    """The last line, of the program where it said something, else of ncu, whose lines begin with ``==``."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith("==")), lines[-1] if lines else "")
