"""Results to take home: folders of runs in a few files of limited size, and back.

Every file is a .tar.gz by itself, so that one that is lost takes no other with it. Traces, event files, scripts and generated
media stay behind; a record still lists them.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

KEPT = (".json", ".parquet", ".txt", ".md", ".json.gz")
"""Endings of what is packed."""
LEFT_BEHIND = frozenset({"trace", "output"})
"""Folders of a run that are not."""
MIB = 2**20


class PackingError(ValueError):
    """Files that are no results, or results that fit into no file. The message is one sentence."""


@dataclass
class Packed:
    """What came out: the files, and folders that did not fit into them."""

    files: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def pack(source: Path, out: Path, *, name: str, most_files: int = 7, most_bytes: int = 15 * MIB) -> Packed:
    """Pack a folder's results, in the order of its names' first use, as ``out/NAME-1.tar.gz`` and so on.

    Args:
        source: the studies' folder.
        out: an existing folder; files of an earlier packing there are replaced.
        name: of the files, letters, digits, points, dashes and underscores.
        most_files, most_bytes: what may come home.
    """
    for old in out.glob(f"{name}-*.tar.gz"):
        old.unlink()
    found = Packed()
    part = b""
    for folder, files in sorted(_folders(source).items()):
        piece = _archive(source, files)
        if len(piece) > most_bytes or (
            part and len(part) + len(piece) > most_bytes and len(found.files) + 1 >= most_files
        ):
            found.left_out.append(folder)
            continue
        if len(part) + len(piece) > most_bytes:
            _write(part, out, name, found)
            part = b""
        part += piece
    if part:
        _write(part, out, name, found)
    return found


def _write(part: bytes, out: Path, name: str, found: Packed) -> None:
    path = out / f"{name}-{len(found.files) + 1}.tar.gz"
    partial = path.with_suffix(".partial")
    partial.write_bytes(part)
    partial.replace(path)
    found.files.append(path)


def _folders(source: Path) -> dict[str, list[Path]]:
    """Files to pack by their folder, relative to `source`; what begins with a dot is being written."""
    found: dict[str, list[Path]] = {}
    for root, folders, files in os.walk(source):
        folders[:] = [name for name in sorted(folders) if not name.startswith(".") and name not in LEFT_BEHIND]
        kept = [Path(root) / name for name in sorted(files) if name.endswith(KEPT) and not name.startswith(".")]
        if kept:
            found[Path(root).relative_to(source).as_posix()] = kept
    return found


def _archive(source: Path, files: Iterable[Path]) -> bytes:
    """A .tar.gz of some files, without owners; several of them one after another are one, too."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for path in files:
            member = tarfile.TarInfo(path.relative_to(source).as_posix())
            member.size, member.mtime = path.stat().st_size, int(path.stat().st_mtime)
            with path.open("rb") as content:
                archive.addfile(member, content)
    return buffer.getvalue()


def unpack(files: Sequence[Path], into: Path) -> list[str]:
    """Put packed results back, over what is there; returns the files' names, sorted.

    Raises:
        PackingError: a file that cannot be read, or one that would be written elsewhere.
    """
    names: set[str] = set()
    for path in files:
        try:
            with tarfile.open(path, "r:gz", ignore_zeros=True) as archive:
                for member in archive:
                    if member.isfile():
                        _put(archive, member, into, path)
                        names.add(member.name)
        except (OSError, tarfile.TarError, EOFError) as error:
            raise PackingError(f"{path} is no file of packed results: {error}.") from None
    return sorted(names)


def _put(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path, path: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise PackingError(f"{path} holds {member.name}, which lies outside the folder that it is for.")
    content = archive.extractfile(member)
    assert content is not None, "it is a file"
    target = into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read())
