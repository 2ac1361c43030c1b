"""The engine of the package `vexfs`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Self, final
from _typeshed import ReadableBuffer, WriteableBuffer

DEBUG: bool
__version__: str
_Path = str | bytes | PathLike[str] | PathLike[bytes]

class Verbs:
    """What [`crate::volume::Volume`] and [`crate::transaction::Transaction`] have in common."""

    @property
    def privileged(self) -> bool:
        """Whether no permission is checked for the user of this volume."""

    def read_bytes(self, path: _Path, /) -> bytes:
        """The content of a file.

        Returns:
            All of it, as it was at one moment.

        Raises:
            NotFound: there is no such file.
            IsADirectory: it is a directory.
            PermissionDenied: the volume's user may not read it.
            Corrupt: a block is not what was written.
        """

    def write_bytes(self, path: _Path, data: ReadableBuffer, *, durable: bool = False, parents: bool = False) -> int:
        """Replaces the content of a file, which is made if it is missing.

        Visible to everybody when it returns (in a transaction: at its commit), and durable with the next group commit.

        Args:
            path: the file; a symbolic link is followed.
            data: any bytes-like object.
            durable: return only when it is on the device; in a transaction its commit decides.
            parents: make the directories above that are missing.

        Returns:
            The number of bytes.

        Raises:
            NotFound: a directory above is missing.
            IsADirectory: it is a directory.
            NoSpace: it does not fit; the old content stays.
            ReadOnly: the volume is open for reading.
        """

    def copy(self, source: _Path, target: _Path, /) -> None:
        """Copies a file's content, holes and permissions to another file, which is made or replaced.

        Raises:
            NotFound: there is no such file, or no directory for the copy.
            IsADirectory: one of the two is a directory.
            NoSpace: it does not fit.
        """

    def truncate(self, path: _Path, length: int, /) -> None:
        """Sets the length of a file in bytes; what is added is a hole, which reads as zeros.

        Raises:
            InvalidArgument: the length is negative.
            TooLarge: it is more than 16 TiB.
            NotFound, IsADirectory, PermissionDenied.
        """

    def open_handle(self, path: _Path, flags: int, mode: int = 438, /) -> File:
        """Opens a file as open(2) does; `open` wraps what it returns in Python's file objects.

        Args:
            path: the file.
            flags: `os.O_RDONLY`, `O_WRONLY` or `O_RDWR`, with `O_CREAT`, `O_EXCL`, `O_TRUNC`, `O_APPEND`, `O_NOFOLLOW`.
            mode: permissions of a file that is made, before the umask.
        """

    def touch(self, path: _Path, mode: int = 438, exist_ok: bool = True) -> None:
        """Makes an empty file, or sets the times of an existing one to now.

        Args:
            path: the file.
            mode: permissions of a file that is made, before the umask.
            exist_ok: whether there may be something already.

        Raises:
            Exists: there is something, and `exist_ok` is False.
        """

    def size(self, path: _Path, /) -> int:
        """The size of a file without its other attributes."""

    def stat(self, path: _Path, *, follow_symlinks: bool = True) -> Stat:
        """The attributes of what a path leads to, with the names of `os.stat_result`.

        Reading never changes the time of access, as on a file system mounted with `noatime`.

        Args:
            path: anything.
            follow_symlinks: whether a symbolic link at the end stands for what it leads to.

        Raises:
            NotFound: there is nothing.
        """

    def lstat(self, path: _Path, /) -> Stat:
        """As `stat` without following a symbolic link."""

    def stat_or_none(self, path: _Path, *, follow_symlinks: bool = True) -> Stat | None:
        """As `stat`; None if there is nothing."""

    def exists(self, path: _Path, *, follow_symlinks: bool = True) -> bool:
        """Whether there is anything at a path; what cannot be reached because a name on the way is a file is not there."""

    def is_dir(self, path: _Path, *, follow_symlinks: bool = True) -> bool:
        """Whether a path leads to a directory."""

    def is_file(self, path: _Path, *, follow_symlinks: bool = True) -> bool:
        """Whether a path leads to a regular file."""

    def is_symlink(self, path: _Path, /) -> bool:
        """Whether a path is a symbolic link."""

    def access(self, path: _Path, mode: int, /) -> bool:
        """Whether the volume's user may do all of `mode` with what a path leads to: 4 read, 2 write, 1 execute; 0 whether it is
        there.
        """

    def readlink(self, path: _Path, /) -> Any:
        """Where a symbolic link leads to: `str`, or `bytes` if the path is.

        Raises:
            InvalidArgument: it is no symbolic link.
        """

    def mkdir(self, path: _Path, mode: int = 511, parents: bool = False, exist_ok: bool = False) -> None:
        """Makes a directory.

        Args:
            path: where.
            mode: its permissions, before the umask.
            parents: make the directories above that are missing.
            exist_ok: whether there may be a directory already.

        Raises:
            Exists: there is something already.
            NotFound: the directory above is missing.
        """

    def listdir(self, path: _Path | None = None, /) -> list[Any]:
        """The names in a directory, without "." and "..", in no order that means anything.

        Args:
            path: the directory; the root if None. Names are `bytes` if it is.

        Raises:
            NotFound, NotADirectory, PermissionDenied.
        """

    def scandir(self, path: _Path | None = None, /) -> Listing:
        """The entries of a directory one after the other, as `os.scandir`: an iterator and context manager.

        What is there all the time is met exactly once, whatever is made and removed meanwhile.

        Args:
            path: the directory; the root if None. Names are `bytes` if it is.
        """

    def rmdir(self, path: _Path, /) -> None:
        """Removes an empty directory.

        Raises:
            DirectoryNotEmpty: it has entries; `rmtree` removes those too.
            NotADirectory: it is something else.
            InvalidArgument: it is the root.
        """

    def remove_tree(self, path: _Path, /) -> None:
        """Removes what a path leads to and everything below it; `rmtree` is the verb for people."""

    def rename(self, source: _Path, target: _Path, *, noreplace: bool = False) -> None:
        """Renames a file or directory; what is at the target is replaced, a directory only if it is empty.

        Args:
            source: what to rename; a symbolic link itself.
            target: its new path in this volume.
            noreplace: whether something at the target is an error.

        Raises:
            Exists: there is something at the target, and `noreplace` is True.
            DirectoryNotEmpty, NotADirectory, IsADirectory: the target cannot be replaced by the source.
            InvalidArgument: a directory would come to lie under itself, or one of the two is the root.
        """

    def replace(self, source: _Path, target: _Path, /) -> None:
        """As `rename`, as `os.replace` calls it."""

    def exchange(self, source: _Path, target: _Path, /) -> None:
        """Lets two names change places, at once for everybody.

        Raises:
            NotFound: one of the two is missing.
        """

    def unlink(self, path: _Path, missing_ok: bool = False) -> None:
        """Removes a name of what is no directory. The file itself goes with its last name, once nobody has it open.

        Args:
            path: the name; of a symbolic link itself.
            missing_ok: whether it may be missing.

        Raises:
            NotFound, IsADirectory, PermissionDenied.
        """

    def link(self, source: _Path, target: _Path, *, follow_symlinks: bool = True) -> None:
        """Gives a file a further name, up to 65,000.

        Args:
            source: the file.
            target: the new name.
            follow_symlinks: whether a symbolic link at `source` stands for what it leads to.

        Raises:
            Exists: the name is taken.
            PermissionDenied: the source is a directory.
        """

    def symlink(self, target: _Path, path: _Path, /) -> None:
        """Makes a symbolic link at `path` that leads to `target`, which need not exist: any 1 to 4095 bytes.

        Raises:
            Exists: there is something at `path`.
        """

    def mknod(self, path: _Path, mode: int = 384, device: int = 0) -> None:
        """Makes a fifo, socket, device file or regular file.

        Args:
            path: where.
            mode: type and permissions, as `stat.S_IFIFO | 0o600`; without type a regular file.
            device: the number of a device, as `os.makedev` gives it.
        """

    def chmod(self, path: _Path, mode: int, *, follow_symlinks: bool = True) -> None:
        """Changes permissions: the low 12 bits of `mode`.

        Raises:
            PermissionDenied: the volume's user does not own it.
        """

    def chown(self, path: _Path, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        """Changes owner and group; -1 leaves one as it is.

        Raises:
            PermissionDenied: the volume's user may not give it away.
        """

    def utime(
        self,
        path: _Path,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Sets the times of access and of change of the data, as `os.utime`.

        Args:
            path: anything.
            times: both in seconds since 1970.
            ns: both in nanoseconds since 1970. With neither, both are now.
            follow_symlinks: whether a symbolic link at the end stands for what it leads to.
        """

    def set_attributes(
        self,
        path: _Path,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        atime_ns: int | None = None,
        mtime_ns: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Changes those attributes that are given, all or none.

        Args:
            path: anything.
            mode: permissions.
            uid: owner.
            gid: group.
            atime_ns: last access, nanoseconds since 1970.
            mtime_ns: last change of the data, nanoseconds since 1970.
            follow_symlinks: whether a symbolic link at the end stands for what it leads to.
        """

    def setxattr(
        self, path: _Path, name: _Path, value: ReadableBuffer, flags: int = 0, *, follow_symlinks: bool = True
    ) -> None:
        """Sets an extended attribute.

        Args:
            path: anything.
            name: begins with `user.`, `trusted.` or `security.`, or is one of the two access control lists.
            value: any bytes-like object of just under 64 KiB at most.
            flags: 0, `os.XATTR_CREATE` (it must not be there) or `os.XATTR_REPLACE` (it must).
            follow_symlinks: whether a symbolic link at the end stands for what it leads to.
        """

    def getxattr(self, path: _Path, name: _Path, *, follow_symlinks: bool = True) -> bytes:
        """The value of an extended attribute.

        Raises:
            Error: with code "no_attribute" and errno ENODATA if there is none of this name.
        """

    def listxattr(self, path: _Path, *, follow_symlinks: bool = True) -> list[str]:
        """The names of the extended attributes."""

    def removexattr(self, path: _Path, name: _Path, *, follow_symlinks: bool = True) -> None:
        """Removes an extended attribute."""

    def write_many(self, files: Mapping[Any, ReadableBuffer], *, durable: bool = False, parents: bool = False) -> None:
        """Replaces the contents of many files in one transaction, with few large writes to the device.

        Args:
            files: a mapping of paths to bytes-like objects.
            durable: return only when all of it is on the device.
            parents: make the directories that are missing.

        Raises:
            TooLarge: more than one transaction can take: a quarter of the log, of which a file of several blocks needs
                some 300 bytes, and one below 2 KiB its content besides.
            NoSpace: it does not fit. Nothing was written.
        """

    def read_many(self, files: Iterable[_Path], *, missing_ok: bool = False) -> list[Any]:
        """The contents of many files as they were at one moment, read by several threads.

        Args:
            files: paths.
            missing_ok: whether a missing file is None in the result instead of an error.

        Returns:
            A list of `bytes` in the order of the paths.
        """

    def stat_many(self, files: Iterable[_Path], *, follow_symlinks: bool = True, missing_ok: bool = False) -> list[Any]:
        """The attributes of many files as they were at one moment, by several threads.

        Args:
            files: paths.
            follow_symlinks: as in `stat`.
            missing_ok: whether a missing file is None in the result instead of an error.

        Returns:
            A list of `Stat` in the order of the paths.
        """

class Volume(Verbs):
    """A volume: the verbs, and what concerns it as a whole."""

    def __new__(
        cls,
        image: _Path,
        mode: str = "rw",
        user: tuple[int, int, Sequence[int]] | None = None,
        *,
        workers: int | None = None,
        cache_bytes: int | None = None,
        memtable_bytes: int | None = None,
        commit_interval: float | None = None,
        commit_batch_bytes: int | None = None,
        commit_delay: float | None = None,
        checkpoint_interval: float | None = None,
        discard: bool = False,
        formatted: Formatted | None = None,
        progress: Callable[[str, int, int], object] | None = None,
    ) -> Self: ...
    @property
    def path(self) -> str:
        """The file or device."""

    @property
    def mode(self) -> Literal["rw", "r"]:
        """ "rw" or "r"."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    @property
    def label(self) -> str:
        """The volume's name for people."""

    def bad_superblocks(self) -> list[int]:
        """The blocks of damaged copies of the superblock; the volume works from another copy."""

    def as_of_ns(self) -> int | None:
        """Beside a writer: when the checkpoint that is shown was made, in nanoseconds since 1970."""

    def refresh(self) -> bool:
        """Beside a writer: goes on to its newest checkpoint; says whether there was a newer one. Otherwise what is seen is
        always the newest.
        """

    def sync(self) -> None:
        """Returns when everything committed so far is on the device.

        Raises:
            ReadOnly: the device refused. The volume takes no more changes; opening it again recovers what was durable.
        """

    def checkpoint(self) -> int:
        """Writes a checkpoint: everything committed moves from the log to the tree, and the next opening has nothing to recover.

        Returns:
            The number of the newest checkpoint.
        """

    def statvfs(self) -> StatVfs:
        """Free and used space, with the names of `os.statvfs_result`; units are blocks of 4096 bytes."""

    def info_fields(self) -> dict[str, Any]:
        """The fields of `Volume.info`."""

    def stats_fields(self) -> dict[str, Any]:
        """The fields of `Volume.stats`."""

    def recovery_fields(self) -> dict[str, Any]:
        """The fields of `Volume.recovery`."""

    def close(self) -> None:
        """Closes the volume: everything committed is durable on return. Closing twice is nothing."""

class Transaction(Verbs):
    """A transaction: the verbs, and its end."""

    def __new__(cls, volume: Volume, isolation: str, durable: bool) -> Self: ...
    @property
    def isolation(self) -> Literal["snapshot", "serializable"]:
        """ "snapshot" or "serializable"."""

    @property
    def durable(self) -> bool:
        """Whether a commit returns only when it is on the device."""

    @property
    def active(self) -> bool:
        """Whether it has neither been committed nor aborted."""

    def commit(self) -> None:
        """Makes all changes visible to everybody at once; if the transaction is durable, returns when they are on the device.

        Raises:
            Conflict: another transaction changed what this one used. Nothing of this one has happened.
            NoSpace: it does not fit. Nothing of it has happened.
            TooLarge: it needs more than a quarter of the log. Nothing of it has happened.
        """

    def abort(self) -> None:
        """Undoes everything. Does nothing if the transaction has ended."""

    def mark(self) -> int:
        """A place to undo to."""

    def rollback_to(self, mark: int) -> None:
        """Undoes everything since a mark."""

    def release(self, mark: int) -> None:
        """Keeps everything since a mark."""

@final
class File:
    """An open file with a position."""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Reads at the position into a buffer; returns the number of bytes."""

    def read(self, size: int | None = None, /) -> bytes:
        """Up to `size` bytes from the position; everything to the end if None or negative."""

    def readall(self) -> bytes:
        """Everything from the position to the end."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes at the position, or at the end if opened to append; returns the number of bytes."""

    def pread(self, size: int, offset: int, /) -> bytes:
        """Up to `size` bytes from `offset`; the position stays."""

    def pwrite(self, data: ReadableBuffer, offset: int, /) -> int:
        """Writes at `offset`; the position stays."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves the position; returns it."""

    def tell(self) -> int:
        """The position."""

    def truncate(self, size: int | None = None, /) -> int:
        """Sets the length, to the position if None; returns it."""

    def change_range(self, how: str, offset: int, length: int, /) -> None:
        """Changes how a range is allocated, as `fallocate` does; `how` is one of the names of `RANGE_CHANGES`."""

    def next_data(self, offset: int, /) -> int | None:
        """Where data begins at or behind `offset`; None if there is none."""

    def next_hole(self, offset: int, /) -> int:
        """Where a hole begins at or behind `offset`, which lies within the file; the end counts as one."""

    def stat(self) -> Stat:
        """The attributes of the file."""

    def sync(self, data_only: bool = False, /) -> None:
        """Returns when what was written is on the device; in a transaction, its commit decides."""

    def close(self) -> None:
        """Closes the file."""

@final
class Listing:
    """The iterator that `scandir` returns."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> DirEntry: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_error: object) -> None: ...
    def close(self) -> None:
        """Ends the listing."""

@final
class DirEntry:
    """An entry of a directory, with the names of `os.DirEntry`."""

    @property
    def name(self) -> Any:
        """The name."""

    @property
    def path(self) -> Any:
        """The path: that of the directory as it was given, and the name."""

    def inode(self) -> int:
        """The inode number."""

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a directory."""

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a regular file."""

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""

    def stat(self, *, follow_symlinks: bool = True) -> Stat:
        """The attributes, as they are now."""

    def __fspath__(self) -> Any: ...

@final
class Stat:
    """Attributes of a file, with the names of `os.stat_result`."""

    @property
    def st_mode(self) -> int:
        """Type and permissions; see the module `stat`."""

    @property
    def st_ino(self) -> int:
        """The inode number."""

    @property
    def st_dev(self) -> int:
        """The volume: a number made of its UUID."""

    @property
    def st_nlink(self) -> int:
        """How many names it has."""

    @property
    def st_uid(self) -> int:
        """The owner."""

    @property
    def st_gid(self) -> int:
        """The group."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_blocks(self) -> int:
        """Occupied units of 512 bytes."""

    @property
    def st_blksize(self) -> int:
        """Bytes of a block."""

    @property
    def st_rdev(self) -> int:
        """The number of a device file."""

    @property
    def st_atime(self) -> float:
        """Last access, seconds since 1970."""

    @property
    def st_mtime(self) -> float:
        """Last change of the data, seconds since 1970."""

    @property
    def st_ctime(self) -> float:
        """Last change of data or attributes, seconds since 1970."""

    @property
    def st_birthtime(self) -> float:
        """When it was made, seconds since 1970."""

    @property
    def st_atime_ns(self) -> int:
        """Last access, nanoseconds since 1970."""

    @property
    def st_mtime_ns(self) -> int:
        """Last change of the data, nanoseconds since 1970."""

    @property
    def st_ctime_ns(self) -> int:
        """Last change of data or attributes, nanoseconds since 1970."""

    @property
    def st_birthtime_ns(self) -> int:
        """When it was made, nanoseconds since 1970."""

    @property
    def st_gen(self) -> int:
        """A number that no other inode of the volume has or ever had."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> int: ...

@final
class StatVfs:
    """Free and used space, with the names of `os.statvfs_result`."""

    @property
    def f_bsize(self) -> int:
        """Bytes of a block."""

    @property
    def f_frsize(self) -> int:
        """The unit of the counts of blocks, in bytes."""

    @property
    def f_blocks(self) -> int:
        """Blocks for data and metadata."""

    @property
    def f_bfree(self) -> int:
        """Free blocks."""

    @property
    def f_bavail(self) -> int:
        """Free blocks that files can have."""

    @property
    def f_files(self) -> int:
        """Inodes."""

    @property
    def f_ffree(self) -> int:
        """Free inodes."""

    @property
    def f_favail(self) -> int:
        """Free inodes that files can have."""

    @property
    def f_fsid(self) -> int:
        """A number made of the volume's UUID."""

    @property
    def f_flag(self) -> int:
        """`os.ST_RDONLY` if it cannot be written, `os.ST_NODEV` in any case."""

    @property
    def f_namemax(self) -> int:
        """Bytes that a name can have."""

class Formatted:
    """A file or device that was just formatted, and that nobody else can have until it is let go."""

def mkfs(
    image: _Path,
    size: int | None,
    *,
    label: str,
    force: bool = False,
    journal_size: int | None = None,
    preallocate: bool = False,
) -> Formatted:
    """Formats a file or block device."""

def tune(image: _Path, *, label: str) -> None:
    """Changes the label of a volume that nobody has open."""

def fsck(image: _Path, data: bool, progress: Callable[[str, int, int], object] | None = None, /) -> str:
    """Checks a volume; returns the report as JSON."""

def fsck_passes() -> str:
    """What a check consists of, as JSON."""

def debug_show(image: _Path, what: str, number: int | None = None, /) -> str:
    """One structure of a volume, as JSON."""
