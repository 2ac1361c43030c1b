"""From the volume to the machine.

Nothing is ever written outside of the target: every directory is opened from its parent without following links, every
file is created anew, and a name is checked before it is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Any

from vexfs.errors import InvalidArgument, build
from vexfs.tree.progress import Meter, OnError, Progress, Transferred
from vexfs.tree.sources import KEPT, Inside, InsideFile, measure
from vexfs.tree.temporary import temporary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vexfs._vexfs import Stat

__all__ = ["copy_out"]

PIECE = 8 << 20
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_out(
    volume: Any,
    top: bytes,
    goal: bytes,
    progress: Progress | None = None,
    on_error: OnError = None,
    follow: bool = True,
) -> Transferred:
    """Copies `top` of a volume to the path `goal` of the machine; with `follow` what a link there leads to, else the
    link."""
    source = Inside(volume)
    top, status = source.top(top, follow)
    meter = Meter(progress)
    if progress is not None:
        meter.done.files_total, meter.done.bytes_total = measure(source, top, status)
    exporter = _Exporter(volume, meter, on_error)
    if stat.S_ISDIR(status.st_mode):
        exporter.tree(top, goal, status)
    else:
        exporter.single(top, goal, status)
    source.check_one_moment()
    return meter.finish()


class _Exporter:
    def __init__(self, volume: Any, meter: Meter, on_error: OnError) -> None:
        self._volume = volume
        self._meter = meter
        self._on_error = on_error
        self._owner = os.geteuid() == 0
        self._first: dict[int, list[bytes]] = {}
        self._root = -1

    def single(self, source: bytes, goal: bytes, status: Stat) -> None:
        """One file to the path `goal`."""
        parent, name = os.path.split(goal)
        fd = os.open(parent or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._one(source, [name], fd, status)
        finally:
            os.close(fd)

    def tree(self, source: bytes, goal: bytes, status: Stat) -> None:
        """A directory to the directory `goal`, which may exist."""
        os.makedirs(goal, exist_ok=True)
        self._root = os.open(goal, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            stack: list[tuple[bytes, list[bytes], Stat, bool]] = [(source, [], status, False)]
            while stack:
                path, names, status, filled = stack.pop()
                fd = self._open(names)
                try:
                    if filled:
                        with self._forgiving():
                            self._attributes(path, fd, status)
                        continue
                    self._meter.done.directories += 1
                    stack.append((path, names, status, True))
                    stack.extend(self._fill(path, names, fd))
                finally:
                    os.close(fd)
        finally:
            os.close(self._root)

    def _open(self, names: list[bytes]) -> int:
        """The directory below the target, link-free."""
        fd = os.dup(self._root)
        for name in names:
            try:
                below = os.open(name, DIRECTORY, dir_fd=fd)
            finally:
                os.close(fd)
            fd = below
        return fd

    def _fill(self, path: bytes, names: list[bytes], fd: int) -> list[tuple[bytes, list[bytes], Stat, bool]]:
        """Writes what is in a directory; returns the directories in it, made but empty."""
        directories: list[tuple[bytes, list[bytes], Stat, bool]] = []
        with self._forgiving(), self._volume.scandir(path) as entries:
            for entry in entries:
                with self._forgiving():
                    name = _checked(entry.name, path)
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        _make_directory(name, fd)
                        directories.append((entry.path, [*names, name], status, False))
                    else:
                        self._one(entry.path, [*names, name], fd, status)
        return directories

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Gives what could not be copied to whoever asked for that, and goes on. A closed volume is no such thing."""
        try:
            yield
        except OSError as error:
            if self._on_error is None or isinstance(error, InvalidArgument):
                raise
            self._meter.done.skipped += 1
            self._on_error(error)

    def _one(self, source: bytes, names: list[bytes], parent: int, status: Stat) -> None:
        name = names[-1]
        kind = stat.S_IFMT(status.st_mode)
        first = self._first.get(status.st_ino) if status.st_nlink > 1 else None
        if first is not None and self._linked(first, name, parent):
            self._meter.done.files += 1
            return
        if kind == stat.S_IFREG:
            self._file(source, name, parent, status)
            self._meter.done.files += 1
        elif kind == stat.S_IFLNK:
            target = self._volume.readlink(source)
            _clear(name, parent)
            os.symlink(target, name, dir_fd=parent)
            self._link_attributes(name, parent, status)
            self._meter.done.links += 1
        else:
            _clear(name, parent)
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=parent)
            self._link_attributes(name, parent, status)
            self._meter.done.others += 1
        if status.st_nlink > 1 and self._root >= 0:
            self._first[status.st_ino] = names
        self._meter.tell(source)

    def _linked(self, first: list[bytes], name: bytes, parent: int) -> bool:
        fd = self._open(first[:-1])
        try:
            _clear(name, parent)
            os.link(first[-1], name, src_dir_fd=fd, dst_dir_fd=parent, follow_symlinks=False)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def _file(self, source: bytes, name: bytes, parent: int, status: Stat) -> None:
        """Takes its name when it is whole: what was there before stays if something of it cannot be read."""
        partial = temporary()
        fd = os.open(partial, CREATE, 0o600, dir_fd=parent)
        try:
            with os.fdopen(fd, "wb", buffering=0):
                if status.st_size <= PIECE:
                    data = self._volume.read_bytes(source)
                    _write(fd, data, 0)
                    self._meter.done.bytes += len(data)
                else:
                    self._pieces(fd, source)
                self._attributes(source, fd, status)
            os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            os.unlink(partial, dir_fd=parent)
            raise

    def _pieces(self, fd: int, source: bytes) -> None:
        """Copies a large file with its holes: as much as there is at the beginning, less if it shrinks."""
        with contextlib.closing(Inside(self._volume).open(source)) as file:
            size = file.size()
            for offset, end in file.data(size):
                reached = self._range(fd, file, offset, end, source)
                if reached < end:
                    size = reached
                    break
            os.ftruncate(fd, min(size, file.size()))

    def _range(self, fd: int, file: InsideFile, offset: int, end: int, source: bytes) -> int:
        """Copies what lies between two offsets; returns where that ends, before `end` if the file does."""
        while offset < end and (piece := file.pread(min(PIECE, end - offset), offset)):
            _write(fd, piece, offset)
            offset += len(piece)
            self._meter.done.bytes += len(piece)
            self._meter.tell(source)
        return offset

    def _attributes(self, source: bytes, fd: int, status: Stat) -> None:
        if self._owner:
            os.fchown(fd, status.st_uid, status.st_gid)
        os.fchmod(fd, stat.S_IMODE(status.st_mode))
        for name in self._volume.listxattr(source, follow_symlinks=False):
            if name.startswith(KEPT):
                value = self._volume.getxattr(source, name, follow_symlinks=False)
                try:
                    os.setxattr(fd, name, value)
                except OSError as error:
                    if error.errno != errno.ENOTSUP:  # the machine's file system has no attributes
                        raise
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _link_attributes(self, name: bytes, parent: int, status: Stat) -> None:
        if self._owner:
            os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=parent)
        times = status.st_atime_ns, status.st_mtime_ns
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)


def _checked(name: bytes, directory: bytes) -> bytes:
    """The name, if a directory can have it: a damaged volume must not choose where we write."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        message = f"a directory holds the impossible name {name!r}; run vexfs fsck"
        raise build("corrupt", errno.EUCLEAN, message, directory)
    return name


def _make_directory(name: bytes, parent: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise


def _clear(name: bytes, parent: int) -> None:
    """Removes a file or link that is in the way. A directory stays, and the creation fails."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=parent)


def _write(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
