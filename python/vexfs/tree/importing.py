"""From the machine into the volume."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from vexfs.tree.batch import Batch
from vexfs.tree.progress import Meter, Progress, Transferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["import_tree"]

WHOLE = 16 << 20
"""Files up to this size are read whole and written with others in one transaction; larger ones go piece by piece."""

PIECE = 8 << 20

OnError = "Callable[[OSError], object] | None"


def import_tree(
    volume: Any, source: Any, target: Any, progress: Progress | None, on_error: Callable[[OSError], object] | None
) -> Transferred:
    """See `Files.import_tree`."""
    top, goal = os.fsencode(source), os.fsencode(target)
    meter = Meter(progress)
    if progress is not None:
        meter.done.files_total, meter.done.bytes_total = _measure(top)
    importer = _Importer(volume, meter, on_error)
    importer.run(top, goal)
    return meter.finish()


class _Importer:
    """One import: what is to be done is found by walking the source, and made by a batch."""

    def __init__(self, volume: Any, meter: Meter, on_error: Callable[[OSError], object] | None) -> None:
        self._volume = volume
        self._meter = meter
        self._on_error = on_error
        self._batch = Batch(volume, meter.tell)
        self._owner: bool = volume.privileged
        self._first: dict[tuple[int, int], bytes] = {}

    def run(self, top: bytes, goal: bytes) -> None:
        status = os.stat(top)
        if not stat.S_ISDIR(status.st_mode):
            self._one(top, goal, status)
            self._batch.flush()
            return
        stack: list[tuple[bytes, bytes, os.stat_result, bool]] = [(top, goal, status, False)]
        while stack:
            source, path, status, filled = stack.pop()
            if filled:
                self._batch.add(_Attributes(path, status, self._owner, _xattrs(source)))
                continue
            entries = self._entries(source)
            if entries is None:
                continue
            self._batch.add(_Directory(path))
            self._meter.done.directories += 1
            stack.append((source, path, status, True))
            for entry in entries:
                below = path.rstrip(b"/") + b"/" + entry.name
                with self._forgiving():
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        stack.append((entry.path, below, found, False))
                    else:
                        self._one(entry.path, below, found)
        self._batch.flush()

    def _entries(self, source: bytes) -> list[os.DirEntry[bytes]] | None:
        with self._forgiving(), os.scandir(source) as listing:
            return list(listing)
        return None

    def _one(self, source: bytes, path: bytes, status: os.stat_result) -> None:
        identity = status.st_dev, status.st_ino
        if status.st_nlink > 1 and (first := self._first.get(identity)) is not None:
            self._batch.add(_Link(first, path))
            self._meter.done.files += 1
            return
        if stat.S_ISREG(status.st_mode):
            self._file(source, path, status)
        elif stat.S_ISLNK(status.st_mode):
            self._batch.add(_Symlink(path, os.readlink(source), status, self._owner))
            self._meter.done.links += 1
        else:
            self._batch.add(_Special(path, status, self._owner))
            self._meter.done.others += 1
        if status.st_nlink > 1:
            self._first[identity] = path

    def _file(self, source: bytes, path: bytes, status: os.stat_result) -> None:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            attributes = _Attributes(path, status, self._owner, _xattrs(fd))
            if status.st_size > WHOLE:
                self._batch.flush()
                self._pieces(fd, path)
                self._batch.add(attributes)
            else:
                data = _read(fd, status.st_size)
                self._batch.add(_File(path, data, attributes), len(data))
                self._meter.done.bytes += len(data)
        finally:
            os.close(fd)
        self._meter.done.files += 1
        self._meter.tell(source)

    def _pieces(self, fd: int, path: bytes) -> None:
        """Copies a large file with its holes."""
        handle = self._volume.open_handle(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            for offset, end in _data_ranges(fd):
                while offset < end and (piece := os.pread(fd, min(PIECE, end - offset), offset)):
                    handle.pwrite(piece, offset)
                    offset += len(piece)
                    self._meter.done.bytes += len(piece)
                    self._meter.tell(path)
            handle.truncate(os.fstat(fd).st_size)
        finally:
            handle.close()

    def _forgiving(self) -> _Forgiving:
        return _Forgiving(self._on_error, self._meter)


class _Forgiving:
    """Gives errors of the machine's files to whoever asked for them."""

    def __init__(self, on_error: Callable[[OSError], object] | None, meter: Meter) -> None:
        self._on_error, self._meter = on_error, meter

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        from vexfs.errors import Error

        if self._on_error is None or not isinstance(error, OSError) or isinstance(error, Error):
            return False
        self._meter.done.skipped += 1
        self._on_error(error)
        return True


class _Directory:
    def __init__(self, path: bytes) -> None:
        self._path = path

    def __call__(self, to: Any) -> None:
        to.mkdir(self._path, 0o700, parents=True, exist_ok=True)


class _Attributes:
    """Mode, owner, times and extended attributes of a file or directory."""

    def __init__(
        self, path: bytes, status: os.stat_result, owner: bool, xattrs: dict[bytes, bytes] | None = None
    ) -> None:
        self._path, self._status, self._owner, self._xattrs = path, status, owner, xattrs

    def __call__(self, to: Any) -> None:
        status = self._status
        for name, value in (self._xattrs or {}).items():
            to.setxattr(self._path, name, value, follow_symlinks=False)
        to.set_attributes(
            self._path,
            mode=None if stat.S_ISLNK(status.st_mode) else stat.S_IMODE(status.st_mode),
            uid=status.st_uid if self._owner else None,
            gid=status.st_gid if self._owner else None,
            atime_ns=status.st_atime_ns,
            mtime_ns=status.st_mtime_ns,
            follow_symlinks=False,
        )


class _File:
    def __init__(self, path: bytes, data: bytes, attributes: _Attributes) -> None:
        self._path, self._data, self._attributes = path, data, attributes

    def __call__(self, to: Any) -> None:
        _clear(to, self._path, keep=stat.S_IFREG)
        to.write_bytes(self._path, self._data)
        self._attributes(to)


class _Symlink:
    def __init__(self, path: bytes, target: bytes, status: os.stat_result, owner: bool) -> None:
        self._path, self._target = path, target
        self._attributes = _Attributes(path, status, owner)

    def __call__(self, to: Any) -> None:
        _clear(to, self._path)
        to.symlink(self._target, self._path)
        self._attributes(to)


class _Special:
    def __init__(self, path: bytes, status: os.stat_result, owner: bool) -> None:
        self._path, self._status = path, status
        self._attributes = _Attributes(path, status, owner)

    def __call__(self, to: Any) -> None:
        _clear(to, self._path)
        to.mknod(self._path, self._status.st_mode, self._status.st_rdev)
        self._attributes(to)


class _Link:
    def __init__(self, first: bytes, path: bytes) -> None:
        self._first, self._path = first, path

    def __call__(self, to: Any) -> None:
        _clear(to, self._path)
        to.link(self._first, self._path)


def _clear(to: Any, path: bytes, keep: int = 0) -> None:
    """Removes what is in the way at `path`, unless it is of the type to keep. Directories are not removed."""
    found = to.stat_or_none(path, follow_symlinks=False)
    if found is not None and stat.S_IFMT(found.st_mode) != keep:
        to.unlink(path)


def _read(fd: int, size: int) -> bytes:
    """All there is to read, in one piece if the size is right."""
    data = os.read(fd, size + 1)
    pieces = [data]
    while data and len(data) != size:
        data = os.read(fd, PIECE)
        size = -1
        pieces.append(data)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _data_ranges(fd: int) -> Iterator[tuple[int, int]]:
    """Where the file has data; all of it where the machine cannot tell."""
    end = os.fstat(fd).st_size
    offset = 0
    while offset < end:
        try:
            begin = os.lseek(fd, offset, os.SEEK_DATA)
            offset = os.lseek(fd, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != 6:  # ENXIO: no data up to the end
                yield offset, end
            return
        yield begin, offset


def _xattrs(file: bytes | int) -> dict[bytes, bytes]:
    """The attributes of users, and access control lists."""
    try:
        names = os.listxattr(file)
        kept = [name for name in names if name.startswith(("user.", "system.posix_acl_"))]
        return {os.fsencode(name): os.getxattr(file, name) for name in kept}
    except OSError:
        return {}


def _measure(top: bytes) -> tuple[int, int]:
    """Files and bytes of a tree of the machine; what cannot be read counts nothing."""
    if not os.path.isdir(top):
        return 1, os.stat(top).st_size
    files = size = 0
    for directory, _, names, fd in os.fwalk(top):
        del directory
        for name in names:
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                files += 1
                size += status.st_size
    return files, size
