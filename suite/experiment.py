"""The experiment: a frozen value that holds a run ready to go, its way of execution included.

It knows its identity before anything heavy is imported, so a finished run is recognised in milliseconds.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import pyarrow as pa

from suite import record_folder
from suite.errors import ConfigError
from suite.machine import Machine
from suite.optimizations.contract import Optimization
from suite.protocol import MeasurementProtocol
from suite.record import FINAL_OUTCOMES, Record, WorkloadFacts
from suite.record_folder import RecordError
from suite.scalars import with_scalars
from suite.tensor_cores import Tf32
from suite.workload import Placement, Request, Workload

if TYPE_CHECKING:
    from suite.probes.contract import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """Process-wide settings of torch while the run lasts; see `suite.schema.DeviceConfig`."""

    num_threads: int | None
    allow_tf32_matmul: bool
    allow_tf32_cudnn: bool
    deterministic: bool
    expandable_segments: bool

    @property
    def tf32(self) -> Tf32:
        return Tf32(self.allow_tf32_matmul, self.allow_tf32_cudnn)

    def __post_init__(self) -> None:
        if self.num_threads is not None and self.num_threads < 1:
            raise ConfigError(
                f"device.num_threads={self.num_threads}: a whole number of at least 1, or null, is needed"
            )


@dataclass(frozen=True)
class Result:
    """What an execution returns: the facts and the tables of a record."""

    record: Record
    tables: Mapping[str, pa.Table]


class Execution(Protocol):
    """A way of filling a record: by measuring, or by simulating."""

    needs_no_device: ClassVar[bool]
    """Whether it tells of a GPU without one."""

    def execute(self, experiment: Experiment, scratch: Path, say: Callable[[str], None]) -> Result: ...


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run: a workload, what it is asked for, the stacks it is measured with and who watches."""

    run_id: str
    name: str
    """The run's folder inside `output_dir`."""
    output_dir: Path
    config: Mapping[str, Any]
    """What identifies the run, resolved, as plain values."""
    command: str
    """What was typed after ``python run.py``."""
    workload_name: str
    scale: str
    weights_source: str
    request: Request
    placement: Placement
    device_settings: DeviceSettings
    protocol: MeasurementProtocol
    make_workload: Callable[..., Workload]
    """Builds it on `placement`, or on another that is given (a simulation's is on the meta device)."""
    stack: Mapping[str, Optimization]
    reference: Mapping[str, Optimization]
    probes: Mapping[str, Probe]
    execution: Execution
    save_output: bool
    save_trace: bool
    machine: Machine | None = None
    """Whose speed estimates are made for."""
    out_of_the_box: str | None = None
    """The `name` of the run that is the same but for its stack, which is empty; None where this one's is."""

    @property
    def folder(self) -> Path:
        return self.output_dir / self.name

    @property
    def out_of_the_box_folder(self) -> Path | None:
        """Of the run that is the same but for its empty stack, whether it was made or not; None where this one's is empty."""
        return None if self.out_of_the_box is None else self.output_dir / self.out_of_the_box

    @property
    def workspace_bytes(self) -> int:
        """Of the machine's memory, what torch's libraries keep; 0 where no machine is named or it is not known."""
        return (self.machine and self.machine.matrix_workspace_bytes) or 0

    @property
    def capacity_bytes(self) -> int | None:
        """What a simulated GPU has for tensors; None where no machine is named, or a CPU is simulated: then there is no end."""
        return self.machine.usable_bytes if self.machine and self.placement.device == "cuda" else None

    def finished(self) -> Record | None:
        """The record of this very configuration, if a run has ended in a way that a second try would only repeat.

        Raises:
            ConfigError: a record is there and cannot be read; nothing is overwritten without being asked.
        """
        record_folder.remove_leftovers(self.folder)
        if not (self.folder / record_folder.RECORD_FILE).exists():
            return None
        try:
            found = record_folder.load(self.folder)
        except RecordError as error:
            raise ConfigError(f"{error}; move that folder away, or add rerun=true to replace it") from None
        return found if found.run_id == self.run_id and found.outcome.status in FINAL_OUTCOMES else None

    def run(self, say: Callable[[str], None]) -> Record:
        """Execute and save; the run's folder appears complete or not at all."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        scratch = self.output_dir / f".{self.name}.scratch-{os.getpid()}"
        scratch.mkdir()
        try:
            result = self.execution.execute(self, scratch, say)
            record = with_scalars(result.record, result.tables, scratch)
            record_folder.save(record, result.tables, self.folder, extra=scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return record

    def workload_facts(self) -> WorkloadFacts:
        """What is known of the workload before it is built."""
        return WorkloadFacts(name=self.workload_name, scale=self.scale, weights=self.weights_source)

    def blank_record(self, **facts: Any) -> Record:
        """A record of this experiment with the given facts filled in."""
        request = {name: getattr(self.request, name) for name in self.request.__slots__}
        return Record(
            run_id=self.run_id,
            name=self.name,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            execution=str(self.config["execution"]["name"]),
            request=request,
            config={**self.config, "command": self.command},
            **facts,
        )
