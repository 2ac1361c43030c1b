"""The changes that a copy into a volume consists of.

Each is made to a volume or transaction `to`, perhaps more than once, and replaces what is at its path, but for a
directory.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from typing import Any

__all__ = [
    "Attributes",
    "make_directory",
    "make_file",
    "make_link",
    "make_special",
    "make_symlink",
    "set_all",
    "take_name",
]


@dataclass(slots=True, frozen=True)
class Attributes:
    """What is at a path besides its content; the owner only with `owner`."""

    path: bytes
    status: Any
    owner: bool
    xattrs: dict[bytes, bytes]


def set_all(attributes: Attributes, to: Any) -> None:
    """Sets them."""
    path, status = attributes.path, attributes.status
    for name, value in attributes.xattrs.items():
        to.setxattr(path, name, value, follow_symlinks=False)
    to.set_attributes(
        path,
        mode=None if stat.S_ISLNK(status.st_mode) else stat.S_IMODE(status.st_mode),
        uid=status.st_uid if attributes.owner else None,
        gid=status.st_gid if attributes.owner else None,
        atime_ns=status.st_atime_ns,
        mtime_ns=status.st_mtime_ns,
        follow_symlinks=False,
    )


def make_directory(path: bytes, to: Any) -> None:
    """Makes a directory and what is missing above it."""
    to.mkdir(path, 0o700, parents=True, exist_ok=True)


def make_file(data: bytes, attributes: Attributes, to: Any) -> None:
    """Makes a regular file with its content."""
    _clear(attributes.path, to, keep=stat.S_IFREG)
    to.write_bytes(attributes.path, data)
    set_all(attributes, to)


def take_name(temporary: bytes, attributes: Attributes, to: Any) -> None:
    """Gives a file that was written under another name its attributes and its own name."""
    set_all(replace(attributes, path=temporary), to)
    to.rename(temporary, attributes.path)


def make_symlink(target: bytes, attributes: Attributes, to: Any) -> None:
    """Makes a symbolic link."""
    _clear(attributes.path, to)
    to.symlink(target, attributes.path)
    set_all(attributes, to)


def make_special(attributes: Attributes, to: Any) -> None:
    """Makes a fifo, socket or device."""
    _clear(attributes.path, to)
    to.mknod(attributes.path, attributes.status.st_mode, attributes.status.st_rdev)
    set_all(attributes, to)


def make_link(first: bytes, path: bytes, to: Any) -> None:
    """Gives a file that was copied before a further name."""
    _clear(path, to)
    to.link(first, path)


def _clear(path: bytes, to: Any, keep: int = 0) -> None:
    """Removes what is in the way at `path`, unless it is of the type to keep. Directories are not removed."""
    found = to.stat_or_none(path, follow_symlinks=False)
    if found is not None and stat.S_IFMT(found.st_mode) != keep:
        to.unlink(path)
