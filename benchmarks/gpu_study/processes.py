"""The worker seen from its parent: asked, waited for, and ended with all that it started."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from benchmarks.gpu_study import ROOT
from benchmarks.gpu_study.schedule import Ended, Job

WORKER = (sys.executable, "-m", "benchmarks.gpu_study.worker")
SICK = frozenset({"failed", "crashed"})
"""After these a fresh process runs the next job: an illegal memory access, for one, leaves no other CUDA call working."""


class Worker:
    """Runs jobs in a child process that is started when it is needed.

    Args:
        command: of the child, which is given the number of the pipe that it answers on.
    """

    def __init__(self, command: Sequence[str] = WORKER) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def run(self, job: Job, seconds: float) -> Ended | None:
        """Run a job; None where it took longer than `seconds` and was ended."""
        start = time.monotonic()
        process = self._started()
        assert process.stdin is not None, "it was asked for"
        try:
            process.stdin.write(json.dumps(job.overrides) + "\n")
            process.stdin.flush()
            answer = self._answers.get(timeout=max(seconds, 0.001))
        except queue.Empty:
            self.end()
            return None
        except BrokenPipeError:
            answer = ""
        if not answer:
            code = process.wait()
            self.end()
            return Ended("crashed", time.monotonic() - start, reason=f"its process ended with status {code}")
        ended = Ended(seconds=time.monotonic() - start, **json.loads(answer))
        if ended.status in SICK:
            self.end()
        return ended

    def end(self) -> None:
        """Kill the child and everything below it (a profiler may have sessions of its own)."""
        process, self._process = self._process, None
        if process is None:
            return
        for child in [*_descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, 9)
        process.wait()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            reading, writing = os.pipe()
            self._process = subprocess.Popen(
                [*self._command, str(writing)], cwd=ROOT, stdin=subprocess.PIPE, text=True, pass_fds=[writing]
            )
            os.close(writing)
            self._answers = queue.SimpleQueue()
            arguments = (os.fdopen(reading, encoding="utf-8"), self._answers)
            threading.Thread(target=_read, args=arguments, daemon=True).start()
        return self._process


def _read(pipe: IO[str], answers: queue.SimpleQueue[str]) -> None:
    """Hand on every line, and an empty one at the end."""
    with pipe:
        for line in pipe:
            answers.put(line)
    answers.put("")


def _descendants(pid: int) -> list[int]:
    """Processes below one, the deepest first; from /proc, since a bare node may lack psutil."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found[::-1]
