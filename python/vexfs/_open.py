"""Making, opening and checking volumes."""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Literal

from vexfs import _vexfs
from vexfs.errors import build
from vexfs.file import invalid
from vexfs.report import FsckReport, RecoveryReport, Report
from vexfs.sizes import parse_size
from vexfs.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["fsck", "fsck_passes", "mkfs", "open", "recover", "tune"]

Image = str | bytes | os.PathLike[str] | os.PathLike[bytes]
User = tuple[int, int, "Sequence[int]"]


def mkfs(
    image: Image,
    size: int | str | None = None,
    *,
    label: str = "",
    force: bool = False,
    journal_size: int | str | None = None,
    preallocate: bool = False,
    user: User | None = None,
) -> Volume:
    """Formats a file or block device and returns the new volume, open for reading and writing.

    Args:
        image: a file, which is created if it is missing, or a block device.
        size: bytes, or a text such as "1GiB"; from 2 MiB to 16 TiB. May be left out for a device and for a file that
            has a size.
        label: a name for people, at most 64 bytes of UTF-8.
        force: format although there is a volume (or other data) already.
        journal_size: of the log; 1/32 of the volume within 256 KiB and 1 GiB if None.
        preallocate: take all the room on the host now. Otherwise the file is sparse: it takes room as it fills, and a
            full host is found out when something is written.
        user: as in `open`.

    Raises:
        Exists: there is something already, and `force` is not given.
        InvalidArgument: the size, label or journal size is not possible.
        Busy: a process has the volume open.
    """
    formatted = _vexfs.mkfs(
        image,
        None if size is None else parse_size(size),
        label=label,
        force=force,
        journal_size=None if journal_size is None else parse_size(journal_size),
        preallocate=preallocate,
    )
    return Volume(image, "rw", user, formatted=formatted)


def tune(image: Image, *, label: str) -> None:
    """Changes what mkfs decided. Nobody may have the volume open.

    Args:
        image: the file or block device.
        label: a name for people, at most 64 bytes of UTF-8.
    """
    _vexfs.tune(image, label=label)


def open(
    image: Image,
    mode: Literal["rw", "r"] = "rw",
    user: User | None = None,
    *,
    workers: int | None = None,
    cache_size: int | str | None = None,
    memtable_size: int | str | None = None,
    commit_interval: float | None = None,
    commit_batch: int | str | None = None,
    commit_delay: float | None = None,
    checkpoint_interval: float | None = None,
    discard: bool = False,
    progress: Callable[[str, int, int], object] | None = None,
) -> Volume:
    """Opens a volume. One that was not closed is recovered first; `Volume.recovery` tells what that did.

    Args:
        image: the file or block device.
        mode: "rw"; or "r", which writes nothing: beside a writer it shows the last checkpoint (`as_of`,
            `refresh`), and goes on to the newest by itself once the writer no longer keeps that one; a crashed
            volume is recovered in memory.
        user: `(uid, gid, groups)` to check permissions as a mount would. None checks nothing, and new files get the
            process's uid, gid and umask.
        workers: threads of recovery; one per processor, at most 16, if None.
        cache_size: bytes of tree nodes kept in memory at most; an eighth of the machine's memory, within 64 MiB and
            1 GiB, if None.
        memtable_size: bytes of changes in memory from which on a checkpoint begins; 32 MiB if None.
        commit_interval: seconds until a change that nobody waits for is durable; 5 if None.
        commit_batch: bytes of several transactions that are written to the log at once at most; 1 MiB if None.
        commit_delay: seconds that a durable commit waits for others to be written with it. 0 if None: those that come
            while one is written are written together anyway.
        checkpoint_interval: seconds between checkpoints; 300 if None.
        discard: give freed space back to the machine (holes in the image file).
        progress: called with the phase of a recovery, the operations found and the bytes of log read so far, now and
            then if it takes long; an exception from there ends the opening.

    Raises:
        Busy: another process has it open for writing.
        NotAVolume: it is something else, or its format is newer than this version.
        Corrupt: it is damaged; `vexfs.fsck` tells how.
        FileNotFoundError: there is no such file.

    Warns:
        RuntimeWarning: a copy of the superblock is damaged; the volume works from another.
    """
    volume = Volume(
        image,
        mode,
        user,
        workers=workers,
        cache_bytes=None if cache_size is None else parse_size(cache_size),
        memtable_bytes=None if memtable_size is None else parse_size(memtable_size),
        commit_interval=commit_interval,
        commit_batch_bytes=None if commit_batch is None else parse_size(commit_batch),
        commit_delay=commit_delay,
        checkpoint_interval=checkpoint_interval,
        discard=discard,
        progress=progress,
    )
    try:
        _warn_of(volume.bad_superblocks(), volume.path)
    except BaseException:
        volume.close()
        raise
    return volume


def _warn_of(bad_superblocks: list[int], path: str) -> None:
    """Says that copies are damaged, in the name of whoever called `open`."""
    if bad_superblocks:
        blocks = " and ".join(map(str, bad_superblocks))
        message = f"{path}: the copy of the superblock in block {blocks} is damaged, the volume works from another"
        warnings.warn(f"{message}; run `vexfs fsck`", RuntimeWarning, stacklevel=3)


def fsck(
    image: Image,
    repair: Literal["none", "safe", "all"] = "none",
    data: bool = False,
    *,
    progress: Callable[[str, int, int], object] | None = None,
) -> FsckReport:
    """Checks everything on a volume and changes nothing.

    Args:
        image: the file or block device; nobody may have it open for writing.
        repair: only "none" so far.
        data: also read every data block and compare its checksum.
        progress: called with the name of the pass, what is done, and what there is.

    Returns:
        `report.clean`, `report.findings`, `report.to_json()`.

    Raises:
        Unsupported: `repair` is not "none".
        NotAVolume: there is no superblock to begin from.
    """
    if repair not in ("none", "safe", "all"):
        raise invalid(f"repair must be 'none', 'safe' or 'all', not {repair!r}")
    if repair != "none":
        raise build("not_supported", 95, "this version checks and does not repair: use repair='none'", image)
    return FsckReport(json.loads(_vexfs.fsck(image, data, progress)))


def recover(
    image: Image,
    workers: int | None = None,
    *,
    dry_run: bool = False,
    progress: Callable[[str, int, int], object] | None = None,
) -> RecoveryReport:
    """Opens a volume, which recovers it, and closes it again.

    Args:
        image: the file or block device.
        workers: threads; one per processor, at most 16, if None.
        dry_run: recover in memory only and write nothing.
        progress: as in `open`.

    Returns:
        Phases with their seconds, transactions, operations, bytes, and where the log ended and why.
    """
    with open(image, "r" if dry_run else "rw", workers=workers, progress=progress) as volume:
        return volume.recovery


def fsck_passes() -> list[Report]:
    """What a check consists of, in order: `id`, `name`, and `what` in one sentence."""
    return [Report(fields) for fields in json.loads(_vexfs.fsck_passes())]
