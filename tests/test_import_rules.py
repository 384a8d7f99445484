"""Who may import whom: the two walls and the one-way flow of the house, held by reading every import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

FOLDERS = ("suite", "workloads", "reports")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

FORBIDDEN = {
    "suite": ("workloads", "reports"),
    "workloads": ("suite.probes", "suite.optimizations", "suite.execution", "reports"),
    "reports": (
        "torch",
        "diffusers",
        "transformers",
        "hydra",
        "omegaconf",
        "workloads",
        "suite.execution",
        "suite.probes",
    ),
}
ONLY_IN = {
    "diffusers": ("workloads", "suite/optimizations"),
    "transformers": ("workloads", "suite/optimizations"),
    "hydra": ("run.py", "suite/complaints.py", "suite/composition.py", "suite/search"),
    "optuna": ("suite/search",),
    "omegaconf": ("run.py", "suite/complaints.py", "suite/schema.py", "suite/build.py", "suite/composition.py"),
    "pynvml": ("suite/nvml.py", "suite/probes"),
    "matplotlib": ("reports",),
}
NOTHING_OF_OURS = (
    "suite/stage.py", "suite/schema.py", "suite/statistics.py", "suite/errors.py", "suite/units.py", "suite/tensor_cores.py",
)  # fmt: skip

# Floors of suite, from the ground up; a file imports from its own floor or below.
FLOORS = (
    (
        "suite/stage.py",
        "suite/schema.py",
        "suite/statistics.py",
        "suite/steadiness.py",
        "suite/errors.py",
        "suite/clock.py",
        "suite/fidelity.py",
        "suite/units.py",
        "suite/tensor_cores.py",
    ),
    ("suite/slicing",),
    (
        *(
            "suite/attribution",
            "suite/record.py",
            "suite/record_folder.py",
            "suite/record_tables.py",
            "suite/workload.py",
            "suite/offload.py",
            "suite/environment.py",
            "suite/nvml.py",
            "suite/machine_load.py",
            "suite/complaints.py",
            "suite/peaks.py",
        ),
        *("suite/machine.py", "suite/roofline.py", "suite/calibration.py", "suite/estimates.py"),
        *("suite/latency_fit.py", "suite/published_gpu.py"),
        *("suite/ending.py", "suite/sweep.py"),
    ),
    ("suite/optimizations", "suite/protocol.py"),
    (
        "suite/subject.py",
        "suite/profiling.py",
        "suite/probes",
        "suite/simulation",
        "suite/experiment.py",
        "suite/scalars.py",
    ),
    ("suite/planner.py",),
    ("suite/execution",),
    ("suite/build.py", "suite/progress.py"),
    ("suite/composition.py",),
    ("suite/search",),
)


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file, except for types alone."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def lies_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_walls_hold(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        leaks = {name for name in imported(path) if lies_in(name, FORBIDDEN[folder])}
        assert not leaks, f"{path.relative_to(ROOT)} imports {sorted(leaks)}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_in_their_rooms(library: str) -> None:
    for path in [*FILES, ROOT / "run.py"]:
        where = path.relative_to(ROOT).as_posix()
        if not where.startswith(ONLY_IN[library]):
            leaks = {name for name in imported(path) if lies_in(name, (library,))}
            assert not leaks, f"{where} imports {sorted(leaks)}"


@pytest.mark.parametrize("name", NOTHING_OF_OURS)
def test_ground_floor_imports_nothing_of_ours(name: str) -> None:
    leaks = {module for module in imported(ROOT / name) if module.split(".")[0] in FOLDERS}
    assert not leaks, f"{name} imports {sorted(leaks)}"


def floor_of(where: str) -> int:
    return next(level for level, places in enumerate(FLOORS) if where.startswith(places))


def test_imports_run_down_the_floors() -> None:
    for path in (ROOT / "suite").rglob("*.py"):
        where = path.relative_to(ROOT).as_posix()
        if path.name == "__init__.py":
            continue
        for module in imported(path):
            target = module.replace(".", "/")
            target = f"{target}.py" if (ROOT / f"{target}.py").exists() else target
            if module.startswith("suite.") and any(target.startswith(places) for places in FLOORS):
                assert floor_of(target) <= floor_of(where), f"{where} imports upwards: {module}"


@pytest.mark.parametrize("command", [["run.py", "--help"], ["run.py", "--cfg", "job"]])
def test_help_loads_nothing_heavy(command: list[str]) -> None:
    program = (
        "import sys, runpy; sys.argv = sys.argv[1:]\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'pandas', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "workload" in done.stdout


def test_every_source_file_has_its_mirrored_test() -> None:
    """``suite/probes/latency.py`` is tested in ``tests/suite/probes/test_latency.py``, or by a test that names it."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for path in FILES:
        module = path.relative_to(ROOT).with_suffix("").as_posix()
        mirror = ROOT / "tests" / Path(module).parent / f"test_{Path(module).name}.py"
        if path.name != "__init__.py" and not mirror.exists():
            assert module.replace("/", ".") in tests, f"{module} has no test"
