"""Makes the frozen images of `tests/python/frozen`: what every later version must be able to read.

    python tools/freeze.py 1

writes `v1-closed.img.gz`, of a volume that was closed, `v1-crashed.img.gz`, of one whose process was killed with
changes in its log, and `v1.json`, which says what they hold. An image is made once for each version of the format,
when it is final, and never again; the test of the frozen images compares.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import vexfs

FROZEN = Path(__file__).resolve().parent.parent / "tests" / "python" / "frozen"
SIZE = "2MiB"


def fill(vol: vexfs.Volume) -> None:
    """Files of every kind and shape that the format has."""
    data = random.Random(1).randbytes(20_000)
    vol.mkdir("/docs/deep/deeper", parents=True)
    vol.write_bytes("/empty", b"")
    vol.write_bytes("/inline", data[:300])
    vol.write_bytes("/block", data[:4096])
    vol.write_bytes("/block and tail", data[:5000])
    vol.write_bytes("/blocks", data)
    vol.write_bytes("/docs/deep/deeper/file", data[:100])
    vol.write_bytes(b"/\xff not UTF-8", b"bytes")
    vol.write_bytes("/" + "n" * 255, b"long")
    with vol.open("/sparse", "wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
    vol.symlink("docs/deep", "/link")
    vol.link("/blocks", "/docs/hard link")
    vol.mknod("/fifo", stat.S_IFIFO | 0o600)
    vol.chmod("/inline", 0o4755)
    vol.chown("/block", 1234, 5678)
    vol.utime("/empty", ns=(1_000_000_001, 2_000_000_002))
    vol.setxattr("/inline", "user.small", b"value")
    vol.setxattr("/inline", "user.large", data[:3000])
    vol.write_many({f"/many/{number:03}": bytes([number]) * number for number in range(40)}, parents=True)
    vol.checkpoint()
    vol.rename("/docs/deep/deeper/file", "/moved")
    vol.unlink("/many/007")
    vol.write_bytes("/block", data[4096:8192])


def fill_log(vol: vexfs.Volume) -> None:
    """Changes that stay in the log: small and large, carried with it and beside it."""
    data = random.Random(2).randbytes(70_000)
    vol.write_bytes("/carried", data[:8192], durable=True)
    vol.write_bytes("/beside", data, durable=True)
    with vol.transaction(durable=True) as tx:
        tx.rename("/moved", "/docs/moved again")
        tx.unlink("/blocks")
        tx.write_bytes("/inline", b"changed")


def contents(vol: vexfs.Volume) -> dict[str, dict[str, Any]]:
    """All that a volume holds, by path."""
    found = {}
    for top, directories, files in vol.walk("/"):
        for name in [*directories, *files]:
            path = top.rstrip("/") + "/" + name
            found[repr(path)] = describe(vol, path)
    return found


def describe(vol: vexfs.Volume, path: str) -> dict[str, Any]:
    """A file's attributes and what it holds."""
    found = vol.lstat(path)
    entry: dict[str, Any] = {
        "mode": found.st_mode,
        "nlink": found.st_nlink,
        "owner": [found.st_uid, found.st_gid],
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "xattr": {
            name: digest(vol.getxattr(path, name, follow_symlinks=False))
            for name in vol.listxattr(path, follow_symlinks=False)
        },
    }
    if stat.S_ISREG(found.st_mode):
        entry["data"] = digest(vol.read_bytes(path))
    if stat.S_ISLNK(found.st_mode):
        entry["target"] = vol.readlink(path)
    return entry


def digest(data: bytes) -> str:
    """Stands for bytes."""
    return hashlib.sha256(data).hexdigest()[:32]


def main(version: str) -> None:
    if any(FROZEN.glob(f"v{version}*")):
        sys.exit(f"version {version} is frozen already")
    FROZEN.mkdir(exist_ok=True)
    manifest = {}
    with tempfile.TemporaryDirectory() as folder:
        for state in ("closed", "crashed"):
            image = Path(folder) / state
            subprocess.run([sys.executable, __file__, "--make", str(image), state], check=False)
            with gzip.GzipFile(FROZEN / f"v{version}-{state}.img.gz", "wb", mtime=0) as packed:
                packed.write(image.read_bytes())
            with vexfs.open(image) as vol:
                manifest[state] = contents(vol)
    (FROZEN / f"v{version}.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def make(image: str, state: str) -> None:
    """Makes one image, in a process that may have to die."""
    vol = vexfs.mkfs(image, SIZE, label="frozen")
    fill(vol)
    if state == "closed":
        vol.close()
        return
    fill_log(vol)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "--make":
        make(*sys.argv[2:])
    else:
        main(sys.argv[1])
