"""What Nsight Compute prints (``ncu --csv --page raw``), for kernels and counters that are handed in."""

from __future__ import annotations

from suite.probes.nsight import METRICS

COLUMNS = [
    "ID",
    "Process ID",
    "Process Name",
    "Host Name",
    "Kernel Name",
    "Context",
    "Stream",
    *sorted(METRICS.values()),
]
UNITS = {"dram__bytes.sum": "byte", "gpu__time_duration.sum": "nsecond", "l1tex__t_sector_hit_rate.pct": "%",
         "l1tex__t_sectors.sum": "sector", "lts__t_sector_hit_rate.pct": "%", "lts__t_sectors.sum": "sector"}  # fmt: skip
GEMM = "ampere_fp16_s16816gemm_fp16_128x64_ldg8_f2f_stages_64x4_nn"
SOFTMAX = 'void (anonymous namespace)::softmax_warp_forward<c10::Half, c10::Half, float, (int)10, "x", (bool)0>(T2 *)'


def quoted(cells: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def printed(*launches: tuple[str, dict[str, str]], units: dict[str, str] = UNITS) -> str:
    """What ncu prints for kernels and their counters, by counter name."""
    rows = [
        [str(index), "4711", "python3.11", "127.0.0.1", kernel, "1", "7", *(values[name] for name in COLUMNS[7:])]
        for index, (kernel, values) in enumerate(launches)
    ]
    return "\n".join(
        [
            "==PROF== Connected to process 4711 (/usr/bin/python3.11)",
            *(f'==PROF== Profiling "{kernel[:9]}": 0%....50%....100% - 2 passes' for kernel, _ in launches),
            "a line of the program's own",
            "==PROF== Disconnected from process 4711",
            quoted(COLUMNS),
            quoted([*[""] * 7, *(units[name] for name in COLUMNS[7:])]),
            *map(quoted, rows),
        ]
    )  # fmt: skip


def counters(duration: str, l1: tuple[str, str], l2: tuple[str, str], dram: str) -> dict[str, str]:
    """Of one kernel; (sectors, hit rate) of each cache."""
    return {"gpu__time_duration.sum": duration, "l1tex__t_sectors.sum": l1[0], "l1tex__t_sector_hit_rate.pct": l1[1],
            "lts__t_sectors.sum": l2[0], "lts__t_sector_hit_rate.pct": l2[1], "dram__bytes.sum": dram}  # fmt: skip
