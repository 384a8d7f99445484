"""Read trace files made elsewhere: ``python -m suite.attribution TRACE... --out DIR`` makes a record of each."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa

from suite.attribution.decode import DEFAULT_MAX_BYTES
from suite.attribution.flaws import sentences
from suite.attribution.kineto import Attribution, attribute
from suite.attribution.summary import summary
from suite.attribution.trace import TraceError, read_trace
from suite.record import Outcome, Profile, Record, WorkloadFacts
from suite.record_folder import save

_SUFFIXES = (".gz", ".json", ".trace", ".pt")
_GIB = 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 for bad input; then nothing has been written."""
    options = _parser().parse_args(arguments)
    out: Path = options.out
    blocked = next((path for path in (out, *out.parents) if path.exists() and not path.is_dir()), None)
    if blocked is not None:
        return _complain(f"--out {out} cannot be made: {blocked} is a file")
    try:
        found = [_read(path, options.num_frames, int(options.max_trace_gib * _GIB)) for path in options.traces]
    except TraceError as error:
        return _complain(str(error))
    for (record, attribution), folder in zip(found, _folders(out, [record for record, _ in found]), strict=True):
        try:
            save(record, _tables(attribution), folder)
        except OSError as error:
            return _complain(f"{folder} cannot be written: {error.strerror}")
        sys.stdout.write(f"{folder}\n{summary(attribution)}\n")
        sys.stdout.write("".join(f"{note}\n" for note in record.workload.notes))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m suite.attribution", description="Attribute the time in profiler traces, and record it."
    )
    parser.add_argument(
        "traces", nargs="+", type=Path, metavar="TRACE", help="a trace of torch.profiler: .json or .json.gz"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the records go, a folder a trace")
    parser.add_argument(
        "--num-frames", type=_count, metavar="N", help="frames of the video: attention over N keys is temporal"
    )
    parser.add_argument(
        "--max-trace-gib",
        type=_size,
        metavar="N",
        default=DEFAULT_MAX_BYTES / _GIB,
        help="refuse a trace of more than N GiB, unpacked (default: %(default)g); reading takes about twice as much memory",
    )
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of frames: 1 or more")
    return number


def _size(text: str) -> float:
    number = float(text)
    if not 0 < number < 2**30:
        raise argparse.ArgumentTypeError(f"{text} is no size: a number of GiB above 0")
    return number


def _complain(sentence: str) -> int:
    sys.stderr.write(f"genscope: {sentence}\n")
    return 2


def _read(path: Path, num_frames: int | None, max_bytes: int) -> tuple[Record, Attribution]:
    trace = read_trace(path, max_bytes)
    attribution = attribute(trace, num_frames=num_frames)
    name = _stem(path)
    record = Record(
        run_id=_digest(path),
        name=name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        execution="trace",
        workload=WorkloadFacts(name=name, notes=[f"{name}: {told}" for told in sentences(attribution.flaws)]),
        outcome=Outcome(status="ok"),
        request={} if num_frames is None else {"num_frames": num_frames},
        environment=_environment(trace.devices),
        profile=Profile(
            span_s=attribution.span_s,
            aside_s=attribution.aside_s,
            num_events=attribution.num_events,
            num_steps=attribution.num_steps,
            operators_without_flops=attribution.operators_without_flops,
            flaws=dict(attribution.flaws),
        ),
    )
    return record, attribution


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _stem(path: Path) -> str:
    """``unet.pt.trace.json.gz`` -> ``unet``."""
    name = path.name
    while (suffix := next((end for end in _SUFFIXES if name.endswith(end) and name != end), None)) is not None:
        name = name.removesuffix(suffix)
    return name


def _environment(devices: list[dict[str, Any]]) -> dict[str, Any]:
    """What the trace tells of the machine, in the words of `suite.environment`."""
    if not devices:
        return {"device": "cpu"}
    first = devices[0]
    gpu = {
        "name": _of_type(first.get("name"), str),
        "memory_bytes": _of_type(first.get("totalGlobalMem"), int),
        "num_multiprocessors": _of_type(first.get("numSms"), int),
    }
    major, minor = _of_type(first.get("computeMajor"), int), _of_type(first.get("computeMinor", 0), int)
    if major is not None and minor is not None:
        gpu["compute_capability"] = f"{major}.{minor}"
    return {"device": "cuda", "gpu": {key: value for key, value in gpu.items() if value is not None}}


def _of_type(value: Any, kind: type[Any]) -> Any:
    """The value if it is what it should be; None, which is not known, if it is something else."""
    return value if type(value) is kind else None


def _folders(out: Path, records: Sequence[Record]) -> list[Path]:
    """A folder a trace, by its name; by name and id where several have the same."""
    names = [record.name for record in records]
    return [
        out / (record.name if names.count(record.name) == 1 else f"{record.name}-{record.run_id[:8]}")
        for record in records
    ]


def _tables(attribution: Attribution) -> dict[str, pa.Table]:
    tables = {
        "operators": attribution.operators,
        "attention": attribution.attention,
        "memory": attribution.memory,
        "memory_peaks": attribution.memory_peaks,
        "device_activity": attribution.device_activity,
    }
    return {name: table for name, table in tables.items() if table is not None}


if __name__ == "__main__":
    sys.exit(main())
