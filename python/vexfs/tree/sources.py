"""What a copy into a volume reads: the machine's files, or those of a volume.

The two have the same methods. Whatever they fail with is an `OSError` about the source, which `reading` tells from an
error of the target.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import closing
from typing import TYPE_CHECKING, Any

from vexfs.errors import build

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Host", "Inside", "InsideFile", "Unread", "measure", "reading"]

KEPT = ("user.", "system.posix_acl_")
"""Attributes that travel between a machine and a volume; the others mean something on the machine only."""


class Unread(Exception):
    """Something of the source could not be read: `error` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class _Reading:
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise Unread(error) from error


reading = _Reading()
"""A context in which an error is one of the source: it comes out as [`Unread`][]."""


class Host:
    """The machine."""

    def top(self, path: bytes, follow: bool) -> tuple[bytes, os.stat_result]:
        """Where a copy begins: with `follow` what a link leads to."""
        path = os.path.realpath(path) if follow else path
        return path, os.lstat(path)

    def scandir(self, path: bytes) -> Any:
        """The entries of a directory."""
        return os.scandir(path)

    def readlink(self, path: bytes) -> bytes:
        """Where a link leads to."""
        return os.readlink(path)

    def check_one_moment(self) -> None:
        """As `Inside.check_one_moment`; a machine's files are of no one moment."""

    def open(self, path: bytes) -> HostFile:
        """A regular file, link-free and without waiting for a fifo that took its place."""
        return HostFile(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))

    def xattrs(self, path: bytes) -> dict[bytes, bytes]:
        """The attributes of users, and access control lists; none where the machine has no attributes."""
        return _host_xattrs(path, follow_symlinks=False)


class HostFile:
    """An open file of the machine."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int) -> bytes:
        """All there is, in one piece if the size is right."""
        data = os.read(self._fd, size + 1)
        pieces = [data]
        while data and len(data) != size:
            data, size = os.read(self._fd, 8 << 20), -1
            pieces.append(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes."""
        return os.pread(self._fd, size, offset)

    def size(self) -> int:
        """The length."""
        return os.fstat(self._fd).st_size

    def data(self, size: int) -> Iterator[tuple[int, int]]:
        """Where the first `size` bytes have data; all of them where the machine cannot tell."""
        offset = 0
        while offset < size:
            try:
                begin = os.lseek(self._fd, offset, os.SEEK_DATA)
                end = os.lseek(self._fd, begin, os.SEEK_HOLE)
            except OSError as error:
                if error.errno != errno.ENXIO:  # no data up to the end
                    yield offset, size
                return
            if begin < size:
                yield begin, min(end, size)
            offset = end

    def xattrs(self) -> dict[bytes, bytes]:
        """As `Host.xattrs`."""
        return _host_xattrs(self._fd, follow_symlinks=True)

    def close(self) -> None:
        """Closes it."""
        os.close(self._fd)


class Inside:
    """A volume, or a transaction."""

    def __init__(self, volume: Any) -> None:
        self._volume = volume
        self._moment = self._seen()
        self.scandir = volume.scandir
        self.readlink = volume.readlink
        self.read = volume.read_bytes

    def top(self, path: bytes, follow: bool) -> tuple[bytes, Any]:
        """As `Host.top`."""
        return path, self._volume.stat(path, follow_symlinks=follow)

    def _seen(self) -> Any:
        """Beside a writer: which checkpoint is shown."""
        return getattr(self._volume, "as_of", None)

    def check_one_moment(self) -> None:
        """Fails if what was copied is of more than one checkpoint: a reader beside a writer goes on by itself."""
        if self._seen() != self._moment:
            message = (
                "the writer's next checkpoint came while this was copied, so that it is of two moments: copy it again"
            )
            raise build("stale", errno.ESTALE, message, self._volume.path)

    def open(self, path: bytes) -> InsideFile:
        """A regular file."""
        return InsideFile(self, path, self._volume.open_handle(path, os.O_RDONLY))

    def xattrs(self, path: bytes) -> dict[bytes, bytes]:
        """All attributes."""
        names = self._volume.listxattr(path, follow_symlinks=False)
        return {os.fsencode(name): self._volume.getxattr(path, name, follow_symlinks=False) for name in names}


class InsideFile:
    """An open file of a volume."""

    def __init__(self, source: Inside, path: bytes, handle: Any) -> None:
        self._source, self._path, self._handle = source, path, handle
        self.pread, self.close = handle.pread, handle.close

    def read(self, size: int) -> bytes:
        """All there is."""
        data: bytes = self._source.read(self._path)
        return data

    def size(self) -> int:
        """The length."""
        size: int = self._handle.stat().st_size
        return size

    def data(self, size: int) -> Iterator[tuple[int, int]]:
        """Where the first `size` bytes have data."""
        end = 0
        while (begin := self._handle.next_data(end)) is not None and begin < size:
            end = self._handle.next_hole(begin)
            yield begin, min(end, size)

    def xattrs(self) -> dict[bytes, bytes]:
        """All attributes."""
        return self._source.xattrs(self._path)


def _host_xattrs(file: bytes | int, follow_symlinks: bool) -> dict[bytes, bytes]:
    try:
        names = [name for name in os.listxattr(file, follow_symlinks=follow_symlinks) if name.startswith(KEPT)]
        return {os.fsencode(name): os.getxattr(file, name, follow_symlinks=follow_symlinks) for name in names}
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return {}


def measure(source: Host | Inside, top: bytes, status: Any) -> tuple[int, int]:
    """Files and bytes of a tree; what cannot be read counts nothing, since copying it tells why."""
    if not stat.S_ISDIR(status.st_mode):
        return 1, status.st_size
    files = size = 0
    stack: list[Any] = [top]
    while stack:
        try:
            with closing(source.scandir(stack.pop())) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        files += 1
                        size += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return files, size
