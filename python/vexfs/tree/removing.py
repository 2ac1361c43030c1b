"""Removing a tree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from vexfs.errors import build
from vexfs.tree.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["remove"]


def remove(volume: Any, path: Any, ignore_errors: bool) -> int:
    """Removes everything below `path` and itself; see `Files.rmtree`."""
    top = os.fsencode(path)
    if not top.strip(b"/"):
        raise build("root_busy", 16, "the root directory cannot be removed", path)
    removed = 0
    try:
        if not volume.is_dir(top, follow_symlinks=False):
            volume.stat(top, follow_symlinks=False)
            raise build("not_a_directory", 20, "not a directory (use unlink for files and links)", path)
        batch = Batch(volume)
        for name, is_directory in _names(volume, top, ignore_errors):
            batch.add(_Removal(name, is_directory, ignore_errors))
            removed += 1
        batch.flush()
    except OSError:
        if not ignore_errors:
            raise
    return removed


class _Removal:
    """The removal of one name."""

    __slots__ = ("_directory", "_ignore", "_path")

    def __init__(self, path: bytes, directory: bool, ignore: bool) -> None:
        self._path, self._directory, self._ignore = path, directory, ignore

    def __call__(self, transaction: Any) -> None:
        try:
            if self._directory:
                transaction.rmdir(self._path)
            else:
                transaction.unlink(self._path)
        except OSError:
            if not self._ignore:
                raise


def _names(volume: Any, top: bytes, ignore_errors: bool) -> Iterator[tuple[bytes, bool]]:
    """Everything in a tree, what is in a directory before it."""
    stack: list[tuple[bytes, bool]] = [(top, False)]
    while stack:
        path, listed = stack.pop()
        if listed:
            yield path, True
            continue
        stack.append((path, True))
        try:
            with volume.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        stack.append((entry.path, False))
                    else:
                        yield entry.path, False
        except OSError:
            if not ignore_errors:
                raise
