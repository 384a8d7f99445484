"""Power limit, throttle reasons and device of a record against nvidia-smi."""

from __future__ import annotations

import subprocess

from benchmarks.gpu_study.checks.setting import Setting, Verdict

QUESTION = "Are name, power limit and throttle reasons what nvidia-smi says?"
FIELDS = ("uuid", "name", "power.limit", "clocks_event_reasons.active", "clocks.sm", "clocks.mem")
NO_THROTTLING = 0x1
"""An idle GPU."""


def check(setting: Setting) -> dict[str, Verdict]:
    if not setting.on_gpu:
        return setting.cannot_tell()
    from suite.environment import capture

    state = capture("cuda")["gpu"]
    command = ["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return setting.cannot_tell(f"nvidia-smi does not answer ({error})")
    return compared(state, output)


def compared(state: dict, output: str) -> dict[str, Verdict]:
    """A record's ``environment.gpu`` against the lines of nvidia-smi."""
    rows = [dict(zip(FIELDS, (word.strip() for word in line.split(",")), strict=False)) for line in output.splitlines()]
    mine = [row for row in rows if row.get("uuid") == f"GPU-{state.get('uuid')}"] or rows[:1]
    if not mine:
        return {"all": Verdict(None, "Not told: nvidia-smi names no GPU.")}
    row, limit, reasons = mine[0], state.get("power_limit_w"), state.get("throttle_reasons")
    return {
        "name": Verdict(state.get("name") == row["name"], f"{state.get('name')} beside {row['name']}."),
        "power limit": Verdict(
            limit is not None and abs(limit - float(row["power.limit"])) < 1,
            f"{limit} W beside {row['power.limit']} W.",
        ),
        "throttling": _throttling(reasons, row["clocks_event_reasons.active"]),
        "clocks": Verdict(
            None if state.get("sm_clock_hz") is None else True,
            f"{state.get('sm_clock_hz')} and {state.get('memory_clock_hz')} Hz beside {row['clocks.sm']} and "
            f"{row['clocks.mem']} MHz, which change from moment to moment.",
        ),
    }


def _throttling(reasons: list[str] | None, mask: str) -> Verdict:
    """Both are asked at moments of their own: an idle GPU may have gone to sleep between."""
    from suite.nvml import THROTTLE_REASONS

    if reasons is None or not mask.startswith("0x"):
        return Verdict(None, f"Not told: NVML says {reasons}, nvidia-smi {mask}.")
    bits = int(mask, 16) & ~NO_THROTTLING
    theirs = [word for bit, word in THROTTLE_REASONS.items() if bits & bit]
    return Verdict(sorted(theirs) == sorted(reasons), f"{reasons} beside {theirs}.")
