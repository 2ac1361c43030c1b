"""Into the volume: from the machine, from another volume, or from elsewhere in the same one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from functools import partial
from typing import TYPE_CHECKING, Any

from vexfs.errors import InvalidArgument, build
from vexfs.tree.batch import Batch
from vexfs.tree.changes import (
    Attributes,
    make_directory,
    make_file,
    make_link,
    make_special,
    make_symlink,
    set_all,
    take_name,
)
from vexfs.tree.progress import Meter, OnError, Progress, Transferred
from vexfs.tree.sources import Host, Inside, Unread, measure, reading
from vexfs.tree.temporary import temporary

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["copy_into"]

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL

WHOLE = 16 << 20
"""Files up to this size are read whole and written with others in one transaction; larger ones go piece by piece."""

SPARSE = 1 << 20
"""From this size on a file that occupies less than its size goes piece by piece, with its holes."""

PIECE = 8 << 20


def copy_into(
    volume: Any,
    source: Host | Inside,
    top: bytes,
    goal: bytes,
    progress: Progress | None = None,
    on_error: OnError = None,
    follow: bool = True,
) -> Transferred:
    """Copies `top` of a source to `goal` in the volume; with `follow` what a link there leads to, else the link.

    Without `on_error` the first thing that cannot be read ends the copy with its error.
    """
    meter = Meter(progress)
    try:
        with reading:
            top, status = source.top(top, follow)
        if progress is not None:
            meter.done.files_total, meter.done.bytes_total = measure(source, top, status)
        _Importer(volume, source, meter, on_error).run(top, goal, status)
        source.check_one_moment()
    except Unread as unread:
        raise unread.error from None
    return meter.finish()


class _Importer:
    """One copy: what is to be done is found by walking the source, and made by a batch."""

    def __init__(self, volume: Any, source: Host | Inside, meter: Meter, on_error: OnError) -> None:
        self._volume = volume
        self._source = source
        self._meter = meter
        self._on_error = on_error
        self._batch = Batch(volume, meter.tell)
        self._owner: bool = volume.privileged
        self._first: dict[tuple[int, int], bytes] = {}

    def run(self, top: bytes, goal: bytes, status: Any) -> None:
        if stat.S_ISDIR(status.st_mode):
            self._tree(top, goal, status)
        else:
            self._one(top, goal, status)
        self._batch.flush()

    def _tree(self, top: bytes, goal: bytes, status: Any) -> None:
        stack: list[tuple[bytes, bytes, Any, bool]] = [(top, goal, status, False)]
        while stack:
            here, path, status, filled = stack.pop()
            if filled:
                with self._forgiving():
                    self._batch.add(partial(set_all, self._attributes(here, path, status)))
                continue
            entries = self._entries(here)
            self._batch.add(partial(make_directory, path))
            self._meter.done.directories += 1
            stack.append((here, path, status, True))
            for entry in entries:
                below = path.rstrip(b"/") + b"/" + entry.name
                with self._forgiving():
                    with reading:
                        found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        stack.append((entry.path, below, found, False))
                    else:
                        self._one(entry.path, below, found)

    def _entries(self, directory: bytes) -> list[Any]:
        """What is in a directory; of a damaged one, what comes before the damage."""
        entries: list[Any] = []
        with self._forgiving(), reading, contextlib.closing(self._source.scandir(directory)) as listing:
            entries.extend(listing)
        return entries

    def _one(self, here: bytes, path: bytes, status: Any) -> None:
        identity = status.st_dev, status.st_ino
        if status.st_nlink > 1 and (first := self._first.get(identity)) is not None:
            self._batch.add(partial(make_link, first, path))
            self._meter.done.files += 1
            return
        if stat.S_ISREG(status.st_mode):
            self._file(here, path, status)
        elif stat.S_ISLNK(status.st_mode):
            with reading:
                target = self._source.readlink(here)
            self._batch.add(partial(make_symlink, target, self._attributes(here, path, status)))
            self._meter.done.links += 1
        else:
            self._batch.add(partial(make_special, self._attributes(here, path, status)))
            self._meter.done.others += 1
        if status.st_nlink > 1:
            self._first[identity] = path

    def _attributes(self, here: bytes, path: bytes, status: Any) -> Attributes:
        with reading:
            return Attributes(path, status, self._owner, self._source.xattrs(here))

    def _file(self, here: bytes, path: bytes, status: Any) -> None:
        with reading:
            file = self._source.open(here)
        with contextlib.closing(file):
            with reading:
                attributes = Attributes(path, status, self._owner, file.xattrs())
            if status.st_size > WHOLE or SPARSE <= status.st_size > status.st_blocks * 512:
                self._batch.flush()
                self._large(file, attributes)
            else:
                with reading:
                    data = file.read(status.st_size)
                self._batch.add(partial(make_file, data, attributes), len(data))
                self._meter.done.bytes += len(data)
        self._meter.done.files += 1
        self._meter.tell(here)

    def _large(self, file: Any, attributes: Attributes) -> None:
        """Copies a large file. It takes its name when it is whole: what is there may be the source's other name, and
        stays if something of the source cannot be read."""
        path = attributes.path
        self._refuse_directory(path)
        partly = os.path.join(os.path.dirname(path), temporary())
        with contextlib.closing(self._volume.open_handle(partly, CREATE, 0o600)) as handle:
            try:
                self._pieces(file, handle, path)
                self._batch.add(partial(take_name, partly, attributes))
                self._batch.flush()
            except BaseException:
                with contextlib.suppress(OSError):  # the first error is the one to tell
                    self._volume.unlink(partly, missing_ok=True)
                raise

    def _refuse_directory(self, path: bytes) -> None:
        """The rename would refuse it too, but after all was copied."""
        found = self._volume.stat_or_none(path, follow_symlinks=False)
        if found is not None and stat.S_ISDIR(found.st_mode):
            message = "a directory is in the way of a file; remove it or choose another target"
            raise build("is_a_directory", errno.EISDIR, message, path)

    def _pieces(self, file: Any, handle: Any, path: bytes) -> None:
        """Copies what is in a file with its holes: as much as there is at the beginning, less if it shrinks."""
        with reading:
            size = file.size()
            ranges = list(file.data(size))
        for offset, end in ranges:
            reached = self._range(file, handle, offset, end, path)
            if reached < end:
                size = reached
                break
        with reading:
            size = min(size, file.size())
        handle.truncate(size)

    def _range(self, file: Any, handle: Any, offset: int, end: int, path: bytes) -> int:
        """Copies what lies between two offsets; returns where that ends, before `end` if the file does."""
        while offset < end:
            with reading:
                piece = file.pread(min(PIECE, end - offset), offset)
            if not piece:
                break
            handle.pwrite(piece, offset)
            offset += len(piece)
            self._meter.done.bytes += len(piece)
            self._meter.tell(path)
        return offset

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Gives what could not be read to whoever asked for that, and goes on. A closed volume is no such thing."""
        try:
            yield
        except Unread as unread:
            if self._on_error is None or isinstance(unread.error, InvalidArgument):
                raise
            self._meter.done.skipped += 1
            self._on_error(unread.error)
