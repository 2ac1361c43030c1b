"""VexFS: a crash-safe storage volume in one file or block device.

```python
import vexfs

with vexfs.mkfs("work.vexfs", size="1GiB") as vol:
    vol.write_text("/hello.txt", "hello", durable=True)
    with vol.transaction() as tx:
        tx.mkdir("/docs")
        tx.rename("/hello.txt", "/docs/hello.txt")
```

After any crash a volume is exactly the result of a prefix of its committed transactions, and every transaction whose
durable commit, `fsync` or `sync` had returned is in it.
"""

from __future__ import annotations

from vexfs._open import fsck, fsck_passes, mkfs, open, recover, tune
from vexfs._vexfs import DEBUG as _DEBUG
from vexfs._vexfs import DirEntry, Stat, StatVfs, __version__
from vexfs.errors import (
    Busy,
    Conflict,
    Corrupt,
    DirectoryNotEmpty,
    Error,
    Exists,
    ForkedHandle,
    InvalidArgument,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotAVolume,
    NotFound,
    PermissionDenied,
    ReadOnly,
    Stale,
    TooLarge,
    Unsupported,
)
from vexfs.file import RawFile, fsync
from vexfs.report import FsckReport, Info, RecoveryReport, Report, Stats
from vexfs.transaction import Savepoint, Transaction
from vexfs.tree import Transferred
from vexfs.volume import Volume

__all__ = [
    "Busy",
    "Conflict",
    "Corrupt",
    "DirEntry",
    "DirectoryNotEmpty",
    "Error",
    "Exists",
    "ForkedHandle",
    "FsckReport",
    "Info",
    "InvalidArgument",
    "IsADirectory",
    "NoSpace",
    "NotADirectory",
    "NotAVolume",
    "NotFound",
    "PermissionDenied",
    "RawFile",
    "ReadOnly",
    "RecoveryReport",
    "Report",
    "Savepoint",
    "Stale",
    "Stat",
    "StatVfs",
    "Stats",
    "TooLarge",
    "Transaction",
    "Transferred",
    "Unsupported",
    "Volume",
    "__version__",
    "fsck",
    "fsck_passes",
    "fsync",
    "mkfs",
    "open",
    "recover",
    "tune",
]

if _DEBUG:
    import warnings as _warnings

    _warnings.warn(
        "vexfs is a debug build: correct, but many times slower; measure with `maturin build --release`",
        RuntimeWarning,
        stacklevel=2,
    )
