"""Files of a volume as Python file objects.

A file object of a volume is what `open` returns for a file of the machine: a raw stream, a buffer over it, and for
text a decoder over that. Nothing is held back below the buffer: after `flush()` every reader of the volume sees the
bytes, and after [`fsync`][vexfs.fsync] they are on the device.
"""

from __future__ import annotations

import io
import os
import warnings
from typing import IO, TYPE_CHECKING, Any, cast

from vexfs.errors import InvalidArgument

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from vexfs._vexfs import File, Stat

__all__ = ["RawFile", "fsync", "open_file", "parse_mode"]

READ_BUFFER = 4096
"""The size of a block: reads at random places of a file cost one block, and larger reads bypass the buffer."""

WRITE_BUFFER = 256 * 1024
"""Each flush of the buffer is a change of the volume: few large ones are cheaper than many small ones."""


class RawFile(io.RawIOBase):
    """An open file of a volume, unbuffered.

    Attributes:
        name: the path it was opened by.
        mode: how it was opened, as in `open`, always binary.
    """

    def __init__(self, file: File, name: Any, mode: str) -> None:
        self._file = file
        self.name = name
        self.mode = mode
        self._readable = "r" in mode or "+" in mode
        self._writable = "r" not in mode or "+" in mode
        # What is called most is called without a frame of Python in between, which would cost half as much again.
        vars(self).update(read=file.read, readinto=file.readinto, write=file.write, seek=file.seek, tell=file.tell)

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        self._check_open()
        return self._readable

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        self._check_open()
        return self._writable

    def seekable(self) -> bool:
        """True: regular files have positions."""
        self._check_open()
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Reads at the position into `buffer` and returns the number of bytes; 0 at the end."""
        return self._file.readinto(buffer)

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes from the position, fewer only at the end; all there are if None or negative."""
        return self._file.read(size)

    def readall(self) -> bytes:
        """Everything from the position to the end."""
        return self._file.readall()

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes all of `data` at the position (at the end in mode "a"); returns its length in bytes."""
        return self._file.write(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Moves the position; `os.SEEK_DATA` and `os.SEEK_HOLE` find where data and holes begin."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position in bytes."""
        return self._file.tell()

    def truncate(self, size: int | None = None, /) -> int:
        """Cuts or grows (with a hole) to `size` bytes, the position if None; returns the size."""
        return self._file.truncate(size)

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset`; the position stays."""
        return self._file.pread(size, offset)

    def pwrite(self, data: ReadableBuffer, offset: int) -> int:
        """Writes `data` at `offset`; the position stays. Returns its length in bytes."""
        return self._file.pwrite(data, offset)

    def allocate(self, offset: int, length: int, *, keep_size: bool = False) -> None:
        """Sets space aside for `length` bytes from `offset`, so that writes there cannot fail for lack of it."""
        self._file.change_range("allocate_keep_size" if keep_size else "allocate", offset, length)

    def punch_hole(self, offset: int, length: int) -> None:
        """Gives the space of a range back; it reads as zeros. The size stays."""
        self._file.change_range("punch", offset, length)

    def zero_range(self, offset: int, length: int, *, keep_size: bool = False) -> None:
        """Makes a range read as zeros and sets its space aside."""
        self._file.change_range("zero_keep_size" if keep_size else "zero", offset, length)

    def collapse_range(self, offset: int, length: int) -> None:
        """Takes a range out; what is behind it moves down. Whole blocks of 4096 bytes, not up to the file's end."""
        self._file.change_range("collapse", offset, length)

    def insert_range(self, offset: int, length: int) -> None:
        """Puts a hole in front of what begins at `offset`. Whole blocks of 4096 bytes, within the file."""
        self._file.change_range("insert", offset, length)

    def stat(self) -> Stat:
        """The attributes of the file, also when it has no name any more."""
        return self._file.stat()

    def sync(self, *, data_only: bool = False) -> None:
        """Returns when everything written so far is on the device. `data_only` may leave times behind."""
        self._file.sync(data_only)

    def close(self) -> None:
        """Closes the file. Closing does not wait for the device."""
        if not self.closed:
            try:
                super().close()
            finally:
                self._file.close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def __del__(self) -> None:
        if not self.closed:
            warnings.warn(f"unclosed file {self!r}", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __repr__(self) -> str:
        state = "closed " if self.closed else ""
        return f"<{state}vexfs.RawFile name={self.name!r} mode={self.mode!r}>"


def parse_mode(mode: str) -> tuple[str, bool, bool]:
    """The action (one of "rwxa"), whether it also does the other direction, and whether it is binary."""
    if not isinstance(mode, str):
        raise TypeError(f"mode must be str, not {type(mode).__name__}")
    letters = set(mode)
    action = letters & set("rwxa")
    if len(letters) != len(mode) or letters - set("rwxabt+") or len(action) != 1 or letters >= {"b", "t"}:
        raise invalid(f"invalid mode {mode!r}: use one of r, w, x, a, then optionally + and b or t")
    return action.pop(), "+" in letters, "b" in letters


def raw_mode(action: str, both: bool) -> str:
    """How `open` of Python writes a binary mode."""
    return f"{action}b+" if both else f"{action}b"


def flags_of(action: str, both: bool) -> int:
    """The flags of open(2) for a mode."""
    direction = os.O_RDWR if both else os.O_RDONLY if action == "r" else os.O_WRONLY
    return (
        direction
        | {
            "r": 0,
            "w": os.O_CREAT | os.O_TRUNC,
            "x": os.O_CREAT | os.O_EXCL,
            "a": os.O_CREAT | os.O_APPEND,
        }[action]
    )


def open_file(
    volume: Any,
    path: Any,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    permissions: int,
) -> IO[Any]:
    """What `open` of a volume and of a transaction does; the arguments are those of Python's `open`."""
    action, both, binary = parse_mode(mode)
    if binary and (encoding is not None or errors is not None or newline is not None):
        raise invalid("binary mode takes no encoding, errors or newline argument")
    if not binary and buffering == 0:
        raise invalid("text needs a buffer: use a binary mode with buffering=0")
    if binary and buffering == 1:
        raise invalid("line buffering is for text modes")
    raw = RawFile(volume.open_handle(path, flags_of(action, both), permissions), path, raw_mode(action, both))
    try:
        if action == "a":
            raw.seek(0, os.SEEK_END)
        if buffering == 0:
            return cast("IO[Any]", raw)
        return _wrap(raw, action, both, binary, buffering, encoding, errors, newline)
    except BaseException:
        raw.close()
        raise


def _wrap(
    raw: RawFile,
    action: str,
    both: bool,
    binary: bool,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> IO[Any]:
    reads_only = action == "r" and not both
    size = buffering if buffering > 1 else READ_BUFFER if action == "r" else WRITE_BUFFER
    buffer: io.BufferedRandom | io.BufferedReader | io.BufferedWriter
    if both:
        buffer = io.BufferedRandom(raw, size)
    elif reads_only:
        buffer = io.BufferedReader(raw, size)
    else:
        buffer = io.BufferedWriter(raw, size)
    if binary:
        return buffer
    text = io.TextIOWrapper(buffer, io.text_encoding(encoding, 3), errors, newline, line_buffering=buffering == 1)
    text.mode = raw.mode.replace("b", "")  # type: ignore[misc]
    return text


def fsync(file: Any, *, data_only: bool = False) -> None:
    """Flushes the buffers of an open file and returns when everything written so far is on the device.

    Args:
        file: what `open` of a volume returned.
        data_only: what is not needed to read the data back, such as times, may stay behind.

    Raises:
        ReadOnly: the device refused; what was not durable before may be lost.
    """
    file.flush()
    raw = file
    while not isinstance(raw, RawFile):
        raw = getattr(raw, "buffer", None) or getattr(raw, "raw", None)
        if raw is None:
            raise TypeError(f"not an open file of a volume: {file!r}")
    raw.sync(data_only=data_only)


def invalid(message: str) -> InvalidArgument:
    """An error of the caller."""
    from vexfs import errors

    error = errors.build("invalid_argument", 22, message)
    assert isinstance(error, InvalidArgument)
    return error
