"""Studies as their files in ``conf/study`` tell them: the command, which runs it reports on, and what shows the result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

_REPORTED = re.compile(r"python -m reports (.+?) --out ")
_BRACES = re.compile(r"\{([^{}]*)\}")
_SENTENCE = re.compile(r".+?\.(?= [A-Z]|$)")


@dataclass(frozen=True, slots=True)
class Study:
    """A named sweep and what it is for."""

    name: str
    command: str
    says: str
    """The first sentence of its file."""
    patterns: tuple[str, ...]
    """The ends of the paths of its runs, as shells match them; a study may share the runs of another."""
    exhibits: tuple[str, ...]
    """Figures and tables that are its result: ``figures/NAME`` and ``tables/NAME``."""

    def folders_of(self, runs: Iterable[Path]) -> list[Path]:
        """Those of some run folders that the study's own command reports on."""
        return [run for run in runs if any(run.resolve().match(pattern) for pattern in self.patterns)]


def studies() -> list[Study]:
    """Every study, by name."""
    folder = resources.files("conf").joinpath("study")
    found = [(entry.name.removesuffix(".yaml"), entry) for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return [study(name, entry.read_text()) for name, entry in sorted(found, key=lambda one: one[0])]


def study(name: str, text: str) -> Study:
    """The study that a file's text is: its second line is the command, and the comment goes on with what it is about."""
    import yaml

    comments = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    command, about = comments[1], " ".join(comments[2:])
    says = _SENTENCE.match(about)
    return Study(
        name=name,
        command=command,
        says=says.group() if says else about,
        patterns=_patterns(command),
        exhibits=tuple(yaml.safe_load(text).get("exhibits", ())),
    )


def _patterns(command: str) -> tuple[str, ...]:
    reported = _REPORTED.search(command)
    words: Sequence[str] = reported.group(1).split() if reported else ()
    paths = [path.removeprefix("outputs/") for word in words for path in _expanded(word)]
    return tuple(path if "/" in path else f"{path}/*" for path in paths)


def _expanded(word: str) -> list[str]:
    """A word with each alternative of its braces, as a shell expands them."""
    braces = _BRACES.search(word)
    if braces is None:
        return [word]
    head, tail = word[: braces.start()], word[braces.end() :]
    return [path for choice in braces.group(1).split(",") for path in _expanded(f"{head}{choice}{tail}")]
