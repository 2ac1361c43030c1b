"""What can go wrong, as classes.

Every error of a volume is a [`Error`][vexfs.Error], which is an `OSError`: it carries `errno`, `filename` and a
stable `code`, and its text says what happened, to what, and what to do. Where Python has a class for it, it is that
class too, so `except FileNotFoundError` works as it does for files of the machine.
"""

from __future__ import annotations

import errno as _errno
import os
from typing import Any

__all__ = [
    "Busy",
    "Conflict",
    "Corrupt",
    "DirectoryNotEmpty",
    "Error",
    "Exists",
    "ForkedHandle",
    "InvalidArgument",
    "IsADirectory",
    "NoSpace",
    "NotADirectory",
    "NotAVolume",
    "NotFound",
    "PermissionDenied",
    "ReadOnly",
    "TooLarge",
    "Unsupported",
]


class Error(OSError):
    """An error of a volume.

    Attributes:
        code: stable name of the failure, such as `"not_found"`; made to be compared.
        errno: the nearest number of `errno`.
        strerror: what happened and what to do.
        filename: the path it happened to, as it was given; None if there is none.
        filename2: the other path of a verb that takes two.
    """

    code: str = "error"

    def __str__(self) -> str:
        message = str(self.strerror if self.strerror is not None else "".join(map(str, self.args)))
        names = [name for name in (self.filename, self.filename2) if name is not None]
        if not names or any(_text(name) in message for name in names):
            return message
        return f"{' -> '.join(repr(_text(name)) for name in names)}: {message}"


def _text(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else str(name)


class NotFound(Error, FileNotFoundError):
    """There is nothing at this path."""


class Exists(Error, FileExistsError):
    """There is something at this path already."""


class NotADirectory(Error, NotADirectoryError):
    """What should be a directory is something else."""


class IsADirectory(Error, IsADirectoryError):
    """What should be a file is a directory."""


class PermissionDenied(Error, PermissionError):
    """The user that the volume was opened for may not do this."""


class DirectoryNotEmpty(Error):
    """The directory still has entries."""


class InvalidArgument(Error, ValueError):
    """A bad argument, or a handle that was closed."""


class Unsupported(InvalidArgument):
    """What was asked for exists, but not here."""


class ForkedHandle(InvalidArgument):
    """A volume, transaction or file was used in a forked child: only the process that opened it may use it."""


class Corrupt(Error):
    """Bytes of the volume are not what was written. `vexfs.fsck` tells the extent of the damage."""


class NoSpace(Error):
    """The volume is full, in blocks or in inodes. Removing things always works."""


class Conflict(Error):
    """Another transaction changed what this one used. Nothing of this one has happened: run it again."""


class TooLarge(Error):
    """The transaction is larger than the log can take, or the file larger than files can be."""


class ReadOnly(Error):
    """The volume is open for reading only, or turned read-only after a failed write."""


class Busy(Error):
    """Another process has the volume."""


class NotAVolume(Error):
    """These bytes are not a volume that this version can open."""


def _table(*rows: tuple[type[Error], int, str]) -> dict[str, tuple[type[Error], int]]:
    return {code: (kind, errno) for kind, errno, codes in rows for code in codes.split()}


_BY_CODE = _table(
    (ForkedHandle, _errno.EBADF, "forked"),
    (Conflict, _errno.EAGAIN, "conflict too_old"),
    (NoSpace, _errno.ENOSPC, "no_space no_inodes no_host_space fragmentation"),
    (TooLarge, _errno.EFBIG, "too_large transaction_too_large file_too_large value_too_large"),
    (ReadOnly, _errno.EROFS, "read_only failed log_failed"),
    (Busy, _errno.EBUSY, "busy"),
    (NotAVolume, _errno.EINVAL, "not_a_volume newer_format unknown_features"),
    (InvalidArgument, _errno.EINVAL, "invalid_argument not_a_file bad_path bad_size bad_label bad_journal_size"),
    (InvalidArgument, _errno.EINVAL, "volume_too_small volume_too_large"),
    (InvalidArgument, _errno.EBADF, "closed"),
    (InvalidArgument, _errno.EBUSY, "root_busy"),
    (Unsupported, _errno.EOPNOTSUPP, "not_supported"),
    (Exists, _errno.EEXIST, "exists"),
    (NotFound, _errno.ENOENT, "not_found"),
    (NotADirectory, _errno.ENOTDIR, "not_a_directory"),
    (IsADirectory, _errno.EISDIR, "is_directory is_a_directory"),
    (PermissionDenied, _errno.EACCES, "permission"),
    (Corrupt, _errno.EUCLEAN, "corrupt corrupt_block corrupt_data corrupt_node corrupt_value damaged dangling"),
    (Corrupt, _errno.EUCLEAN, "no_checkpoint checkpoint_lost log_damaged bitmap_corrupt table_corrupt truncated"),
    (Corrupt, _errno.EUCLEAN, "bad_magic bad_checksum bad_version bad_value wrong_volume misdirected bad_record"),
    (Corrupt, _errno.EUCLEAN, "was_durable newer_checkpoint unreadable data_mismatch double_free already_used"),
)

_BY_ERRNO: dict[int, type[Error]] = {
    _errno.ENOENT: NotFound,
    _errno.EEXIST: Exists,
    _errno.ENOTDIR: NotADirectory,
    _errno.EISDIR: IsADirectory,
    _errno.EACCES: PermissionDenied,
    _errno.EPERM: PermissionDenied,
    _errno.ENOTEMPTY: DirectoryNotEmpty,
    _errno.EINVAL: InvalidArgument,
    _errno.EBADF: InvalidArgument,
    _errno.ENAMETOOLONG: InvalidArgument,
    _errno.EOPNOTSUPP: Unsupported,
    _errno.EUCLEAN: Corrupt,
}


def build(code: str, errno: int, message: str, filename: Any = None, filename2: Any = None) -> Error:
    """The exception for one failure of the engine, which calls this. The class follows from the code, and for codes
    that only the file layer has, from the number that it gives."""
    kind, errno = _BY_CODE.get(code) or (_BY_ERRNO.get(errno, Error), errno)
    error = kind(errno, message, filename, None, filename2)
    error.code = code
    return error
