"""Patterns over paths, as in `pathlib`: `*`, `?`, `[a-z]` within a name, `**` for any number of directories."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any

from vexfs.file import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find"]

_MAGIC = re.compile(r"[*?\[]")


def find(volume: Any, pattern: str) -> Iterator[str]:
    """The paths that match an absolute pattern, each once, a directory before what is in it.

    A pattern that ends in `/` or `**` matches directories only. Links to directories are matched, but `**` does not
    go through them.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"pattern must be str, not {type(pattern).__name__}")
    if not pattern.startswith("/"):
        raise invalid(f"pattern {pattern!r} is not absolute: begin it with /")
    parts = [part for part in pattern.split("/") if part]
    directories_only = pattern.endswith("/") or parts[-1:] == ["**"]
    seen: set[str] = set()
    for path in _match(volume, "/", parts):
        if path not in seen and (not directories_only or volume.is_dir(path)):
            seen.add(path)
            yield path


def _match(volume: Any, base: str, parts: list[str]) -> Iterator[str]:
    """What matches `parts` below the directory `base`, which exists."""
    if not parts:
        yield base
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _match(volume, base, rest)
        for entry in _entries(volume, base):
            if entry.is_dir(follow_symlinks=False):
                yield from _match(volume, entry.path, parts)
    elif _MAGIC.search(part):
        matches = re.compile(fnmatch.translate(part)).match
        for entry in _entries(volume, base):
            if matches(entry.name) and (not rest or entry.is_dir()):
                yield from _match(volume, entry.path, rest)
    else:
        path = base.rstrip("/") + "/" + part
        if volume.is_dir(path) if rest else volume.exists(path, follow_symlinks=False):
            yield from _match(volume, path, rest)


def _entries(volume: Any, path: str) -> list[Any]:
    """The entries of a directory in the order of their names; none if it vanished or may not be read."""
    try:
        with volume.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
