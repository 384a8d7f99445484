"""Published measurements of diffusion pipelines on GPUs: what simulations are held against, and calibrations fitted to.

    published_gpu.yaml --rows--> one simulated run for each that can be expressed --> claims, figure, table, calibration

Every row has its source, its settings and how sure these are. Nothing in the simulator is chosen by a row. Needs no torch.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from suite.errors import ConfigError
from suite.machine import Machine, machines

Quantity = Literal[
    "latency_s",
    "it_per_s",
    "energy",
    "weights_allocated",
    "peak_allocated",
    "peak_reserved",
    "peak_reserved_or_device",
    "peak_device",
]
Sure = Literal["high", "medium", "low"]
DEFAULT_MACHINE = "a100_80gb"
"""Whose memory stands for that of a GPU that a source does not name."""
NEUTRAL = ("study", "execution", "scale", "device", "output_dir", "rerun", "save_output", "save_trace")
"""Keys that every run of the study has, or that change nothing of it."""
GIGABYTES = {"GB": 10**9, "GiB": 1 << 30, "G": 1 << 30}
"""Bytes of a unit by its first word; torch's users mostly divide by 1024 three times and write GB."""


class Expressed(msgspec.Struct, frozen=True, kw_only=True):
    """How a row is simulated, where that is not told by its other fields."""

    workload: str
    stack: str = ""
    """Optimizations, with commas between."""
    settings: tuple[str, ...] = ()
    """More that is typed, such as ``device.allow_tf32_matmul=true``."""
    besides_gib: float = 0.0
    """Weights that were on the device and belong to no part of the workload."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One published number."""

    id: str
    source: str
    model: str
    gpu: str
    """As the source calls it."""
    dtype: str
    batch: int
    height: int | None
    width: int | None
    frames: int | None
    steps: int | None
    guidance: float | None
    attention: str
    flags: str
    quantity: Quantity
    value: float
    unit: str
    scope: Literal["generate", "denoise_step"]
    """What the number covers: a generation, or one step of its denoising loop."""
    sure: Sure
    """Of the settings, by which it is simulated."""
    why_sure: str
    machine: str | None
    """A file of ``conf/machine``; None where the source names no GPU."""
    sim: Expressed | None
    """None: it cannot be simulated, and `note` says why."""
    libraries: str | None = None
    """Versions that it was measured with, as far as its source tells."""
    note: str | None = None
    incomparable: str | None = None
    """Why a simulation of today's libraries is not what was measured, as a clause."""

    @property
    def is_time(self) -> bool:
        return self.quantity in ("latency_s", "it_per_s")

    @property
    def seconds(self) -> float:
        """A time, of `scope`; rates are turned round."""
        return 1 / self.value if self.quantity == "it_per_s" else self.value

    @property
    def amount(self) -> float:
        """In SI units: seconds, bytes or joules."""
        if self.is_time:
            return self.seconds
        return self.value if self.quantity == "energy" else self.value * GIGABYTES[self.unit.split()[0]]

    def overrides(self) -> list[str]:
        """What is typed after ``python run.py execution=simulate scale=paper`` to simulate it.

        Raises:
            ConfigError: the row says that it cannot be.
        """
        if self.sim is None:
            raise ConfigError(f"{self.id}: cannot be simulated ({self.note or self.flags})")
        request = {
            "batch_size": self.batch,
            "height": self.height,
            "width": self.width,
            "num_frames": self.frames,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
        }
        asked = [f"request.{name}={value}" for name, value in request.items() if value is not None]
        stack = [f"optimization=[{self.sim.stack}]"] if self.sim.stack else []
        chosen = f"machine={self.machine or DEFAULT_MACHINE}"
        return [
            f"workload={self.sim.workload}",
            *asked,
            f"device.precision={self.dtype}",
            chosen,
            *stack,
            *self.sim.settings,
        ]


@cache
def published_rows(path: Path | None = None) -> tuple[Row, ...]:
    """The rows of a file, the project's own by default.

    Raises:
        ConfigError: the file cannot be read or holds no rows, or one with a field of a wrong kind, or two of one id.
    """
    try:
        text = (files("suite").joinpath("published_gpu.yaml") if path is None else path).read_text()
        found = msgspec.yaml.decode(text, type=tuple[Row, ...])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path or 'published_gpu.yaml'}: not a list of published measurements ({error})") from None
    for row in found:
        is_size = not row.is_time and row.quantity != "energy"
        if is_size and row.unit.partition(" ")[0] not in GIGABYTES:
            raise ConfigError(f"{row.id}: unit {row.unit}: bytes are in {', '.join(GIGABYTES)}")
    ids = [row.id for row in found]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ConfigError(f"{path or 'published_gpu.yaml'}: {', '.join(twice)} is there more than once")
    return found


def chosen_rows(path: str | None, beginnings: Sequence[str]) -> list[Row]:
    """Rows of a file whose ids begin with one of these; all of them without any.

    Raises:
        ConfigError: as `published_rows`; or no row begins so.
    """
    rows = published_rows(path and Path(path))
    found = [row for row in rows if not beginnings or row.id.startswith(tuple(beginnings))]
    if not found:
        raise ConfigError(f"hydra.sweeper.select={list(beginnings)}: no row's id begins so; one is {rows[0].id}")
    return found


def runs(rows: Iterable[Row]) -> list[list[str]]:
    """The overrides of the runs that express some rows, each run once, in order of first need."""
    found: dict[tuple[str, ...], None] = {}
    for row in rows:
        if row.sim is not None:
            found.setdefault(tuple(row.overrides()))
    return [list(overrides) for overrides in found]


def beside(rows: Iterable[Row], commands: Mapping[Path, str]) -> dict[str, Path]:
    """The run of every row that has one, by the row's id; `commands` are what runs were started by."""
    typed = {path: frozenset(shlex.split(command)) for path, command in commands.items()}
    found = {}
    for row in rows:
        own = frozenset(row.overrides()) if row.sim is not None else frozenset()
        besides = {path: _besides(words - own) for path, words in typed.items() if own and own <= words}
        named = {word.split("=")[0] for word in own}
        # What a row leaves open of its request may be typed: it is the workload's default, or a run without it is there, too.
        fitting = {
            path: len(keys)
            for path, keys in besides.items()
            if all(key.startswith("request.") and key not in named for key in keys)
        }
        if fitting:
            found[row.id] = min(fitting, key=lambda path: fitting[path])
    return found


def _besides(words: Iterable[str]) -> list[str]:
    """Keys among the words that change a run."""
    return [key for key in (word.split("=")[0] for word in words) if key not in NEUTRAL]


def machine_of(row: Row) -> Machine:
    """The machine that a row was measured on.

    Raises:
        ConfigError: nobody described it.
    """
    name = row.machine or DEFAULT_MACHINE
    known = machines()
    if name not in known:
        raise ConfigError(f"{row.id}: machine {name} is none of {', '.join(known)}")
    return known[name]
