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
    "Stale",
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
    """Another process has the volume, or a reader that does not end holds the room that this needs: try again."""


class Stale(Error):
    """What was open is gone: its file was removed, or the process that writes the volume no longer keeps what a reader
    beside it was reading. Look the path up again, and open anew."""


class NotAVolume(Error):
    """These bytes are not a volume that this version can open."""


def _table(*rows: tuple[type[Error], int, str]) -> dict[str, tuple[type[Error], int]]:
    return {code: (kind, errno) for kind, errno, codes in rows for code in codes.split()}


_BY_CODE = _table(
    (NotFound, _errno.ENOENT, "not_found not_there"),
    (Exists, _errno.EEXIST, "exists attribute_exists"),
    (NotADirectory, _errno.ENOTDIR, "not_a_directory"),
    (IsADirectory, _errno.EISDIR, "is_a_directory"),
    (DirectoryNotEmpty, _errno.ENOTEMPTY, "not_empty"),
    (PermissionDenied, _errno.EACCES, "permission access_denied"),
    (PermissionDenied, _errno.EPERM, "not_permitted"),
    (InvalidArgument, _errno.EINVAL, "invalid_argument invalid_name into_itself not_a_link bad_name bad_label"),
    (InvalidArgument, _errno.EINVAL, "not_a_file bad_path bad_size bad_journal_size volume_too_small volume_too_large"),
    (InvalidArgument, _errno.ENAMETOOLONG, "name_too_long"),
    (InvalidArgument, _errno.ERANGE, "attribute_name"),
    (InvalidArgument, _errno.EBADF, "closed bad_handle"),
    (InvalidArgument, _errno.EBUSY, "root_busy"),
    (Unsupported, _errno.EOPNOTSUPP, "not_supported attribute_namespace"),
    (ForkedHandle, _errno.EBADF, "forked"),
    (Stale, _errno.ESTALE, "stale fell_behind"),
    (Conflict, _errno.EAGAIN, "conflict too_old"),
    (Busy, _errno.EBUSY, "busy"),
    (Busy, _errno.EAGAIN, "stalled log_full"),
    (NoSpace, _errno.ENOSPC, "no_space no_inodes no_host_space fragmentation item_full"),
    (TooLarge, _errno.EFBIG, "too_large file_too_large value_too_large"),
    (TooLarge, _errno.E2BIG, "attribute_too_large"),
    (ReadOnly, _errno.EROFS, "read_only failed log_failed"),
    (NotAVolume, _errno.EINVAL, "not_a_volume newer_format unknown_features"),
    (Corrupt, _errno.EUCLEAN, "corrupt corrupt_data corrupt_node corrupt_value damaged dangling"),
    (Corrupt, _errno.EUCLEAN, "superblocks_lost no_checkpoint log_damaged truncated"),
    (Corrupt, _errno.EUCLEAN, "bitmap_corrupt table_corrupt double_free already_used invalid_run invalid_inode"),
    (Corrupt, _errno.EUCLEAN, "bad_magic bad_checksum bad_version bad_value wrong_volume misdirected outdated"),
    (Corrupt, _errno.EUCLEAN, "bad_journal_region bad_record was_durable newer_checkpoint unreadable data_mismatch"),
    (Corrupt, _errno.EUCLEAN, "not_next out_of_bounds"),
    (Error, _errno.ELOOP, "symlink_loop"),
    (Error, _errno.EMLINK, "too_many_links"),
    (Error, _errno.ENODATA, "no_attribute"),
    (Error, _errno.ENXIO, "no_such_offset"),
    (Error, _errno.ECANCELED, "cancelled"),
    (Error, _errno.EIO, "io no_threads no_random allocation_failed"),
    # What only a mistake in the engine brings about.
    (Error, _errno.EIO, "internal panic wrong_run unsorted_batch log_overdrawn log_overrun bad_epoch"),
    (Error, _errno.EIO, "alignment invalid_request invalid_group checkpoint_pending"),
)


def build(code: str, errno: int, message: str, filename: Any = None, filename2: Any = None) -> Error:
    """The exception for one failure of the engine, which calls this. Class and number follow from the code; an input or
    output error keeps the number that the machine gave."""
    kind, usual = _BY_CODE.get(code, (Error, errno))
    error = kind(errno if code == "io" else usual, message, filename, None, filename2)
    error.code = code
    return error
