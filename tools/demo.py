"""What VexFS is for, on real files, in under a minute.

Formats a volume, imports the Python standard library into it while a second process commits durable records into
another volume and is killed in the middle of it; recovers, proves what must be there and that nothing half-done is,
compares every byte, fills the volume to the brim, empties it, and has it checked. Every step checks what it claims:
the first check that fails ends the demonstration with its reason and exit status 1.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import vexfs

MIB = 1 << 20
VOLUME_BYTES = 512 * MIB
RECORD_FILES = 3
IGNORED = {"__pycache__", "site-packages", "node_modules"}


class Failed(Exception):
    """A check of the demonstration did not hold."""


def check(holds: bool, reason: str) -> None:
    """Ends the demonstration unless `holds`."""
    if not holds:
        raise Failed(reason)


class Timeline:
    """Prints each step with the time since the beginning and its own figures."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.last = self.begin

    def step(self, what: str, figures: str = "") -> None:
        """A step is done."""
        now = time.perf_counter()
        print(f"{now - self.begin:7.2f} s  {what:<52} {now - self.last:6.2f} s  {figures}", flush=True)
        self.last = now


def record(number: int) -> dict[str, bytes]:
    """The files of one record: they say which record they are, so that a mixture shows."""
    body = hashlib.sha256(str(number).encode()).digest() * 40
    return {f"/records/{number:08}/{part}": number.to_bytes(8, "little") + body for part in range(RECORD_FILES)}


def write_records(image: str) -> None:
    """The second process: commits records and says so, until it is killed."""
    with vexfs.open(image) as volume:
        number = 0
        while True:
            with volume.transaction(durable=True) as tx:
                files = record(number)
                tx.mkdir(f"/records/{number:08}")
                for path, data in files.items():
                    tx.write_bytes(path, data)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            number += 1


def start_writer(image: Path, said: Path) -> subprocess.Popen[bytes]:
    """Starts the second process on a new volume. What it says goes into a file: a pipe that nobody reads would stop
    it."""
    with vexfs.mkfs(image, size=64 * MIB, label="records") as volume:
        volume.mkdir("/records")
    command = [sys.executable, __file__, "--write-records", str(image)]
    with said.open("wb") as output:
        return subprocess.Popen(command, stdout=output)


def kill_writer(writer: subprocess.Popen[bytes], said: Path) -> int:
    """Kills the second process in mid-commit; returns how many records it had said to be durable."""
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    check(writer.returncode == -signal.SIGKILL, f"the writer ended by itself with {writer.returncode}")
    return said.read_bytes().count(b"\n")


def check_records(image: Path, acknowledged: int) -> str:
    """Recovers the killed volume and proves the promise."""
    with vexfs.open(image) as volume:
        recovery = volume.recovery
        names = sorted(entry.name for entry in volume.scandir("/records"))
        numbers = [int(name) for name in names]
        check(numbers == list(range(len(numbers))), "the records that are there are not a prefix")
        check(len(numbers) >= acknowledged, f"{acknowledged} records were durable, {len(numbers)} are there")
        check(len(numbers) <= acknowledged + 1, f"{len(numbers)} records are there, {acknowledged} were committed")
        for number in numbers:
            for path, data in record(number).items():
                check(volume.read_bytes(path) == data, f"{path} is half-done")
    report = vexfs.fsck(image)
    check(report.clean, f"fsck of the recovered volume: {report}")
    print(f"           recovery: {recovery}")
    return f"{acknowledged} acknowledged, {len(numbers)} there, all whole"


def standard_library() -> Path:
    """The tree that is imported."""
    return Path(sysconfig.get_path("stdlib"))


def source_tree(into: Path) -> Path:
    """A copy of the standard library's sources, without what other packages put there."""
    import shutil

    target = into / "stdlib"
    shutil.copytree(standard_library(), target, symlinks=True, ignore=shutil.ignore_patterns(*IGNORED))
    return target


def files_below(root: Path) -> list[Path]:
    """All regular files of a host tree."""
    return sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def compare(volume: vexfs.Volume, source: Path, files: list[Path]) -> str:
    """Compares the imported tree with its source, byte for byte."""
    paths = [f"/stdlib/{path.relative_to(source).as_posix()}" for path in files]
    total = 0
    for begin in range(0, len(files), 500):
        stored = volume.read_many(paths[begin : begin + 500])
        for path, name, data in zip(files[begin:], paths[begin:], stored, strict=False):
            original = path.read_bytes()
            check(data == original, f"{name} differs from {path}")
            total += len(original)
    listed = sum(len(names) for _, _, names in volume.walk("/stdlib"))
    check(listed >= len(files), f"{listed} files are listed, {len(files)} were imported")
    return f"{len(files)} files, {total / MIB:.0f} MiB, all equal"


def delete_half(volume: vexfs.Volume, source: Path, files: list[Path]) -> str:
    """Deletes every other file in transactions of 500."""
    doomed = [f"/stdlib/{path.relative_to(source).as_posix()}" for path in files[::2]]
    for begin in range(0, len(doomed), 500):
        with volume.transaction() as tx:
            for path in doomed[begin : begin + 500]:
                tx.unlink(path)
    check(not any(volume.exists(path) for path in doomed), "a deleted file is still there")
    kept = f"/stdlib/{files[1].relative_to(source).as_posix()}"
    check(volume.read_bytes(kept) == files[1].read_bytes(), f"{kept} changed when others were deleted")
    return f"{len(doomed)} files"


def fill(volume: vexfs.Volume) -> str:
    """Writes files until the volume is full, and proves that those written are whole."""
    block = os.urandom(MIB)
    volume.mkdir("/fill")
    written = 0
    size = MIB
    while True:
        try:
            volume.write_bytes(f"/fill/{written:06}", block[:size])
            written += 1
        except vexfs.NoSpace:
            if size <= 4096:
                break
            size //= 4
    volume.sync()
    check(written > 0, "nothing fitted into the volume")
    check(volume.read_bytes("/fill/000000") == block, "the first file changed while the volume was filled")
    usage = volume.statvfs()
    return f"{written} files until NoSpace, {usage.f_bavail * usage.f_frsize / MIB:.1f} MiB left"


def empty(volume: vexfs.Volume) -> str:
    """Removes everything from the full volume."""
    volume.rmtree("/fill")
    volume.rmtree("/stdlib")
    volume.sync()
    check(volume.listdir("/") == [], "something is left in the emptied volume")
    usage = volume.statvfs()
    free = usage.f_bfree / usage.f_blocks
    check(free > 0.95, f"only {free:.0%} of the emptied volume is free")
    return f"{free:.1%} free"


def demonstrate(folder: Path) -> None:
    """All steps."""
    timeline = Timeline()
    source = source_tree(folder)
    files = files_below(source)
    image, records, said = folder / "demo.vexfs", folder / "records.vexfs", folder / "said"
    timeline.step("copied the standard library", f"{len(files)} files")
    volume = vexfs.mkfs(image, size=VOLUME_BYTES, label="demo")
    timeline.step("formatted a volume", f"{VOLUME_BYTES // MIB} MiB")
    writer = start_writer(records, said)
    volume.import_tree(source, "/stdlib")
    volume.sync()
    timeline.step("imported it, while another process commits records")
    time.sleep(0.5)
    acknowledged = kill_writer(writer, said)
    check(acknowledged > 0, "the writer was killed before it committed anything")
    timeline.step("killed the other process in mid-commit", f"{acknowledged} durable commits")
    timeline.step("recovered its volume and proved every record", check_records(records, acknowledged))
    volume.close()
    volume = vexfs.open(image)
    timeline.step("closed and opened the first volume")
    timeline.step("compared every byte", compare(volume, source, files))
    timeline.step("deleted half", delete_half(volume, source, files))
    timeline.step("filled the volume", fill(volume))
    timeline.step("emptied it", empty(volume))
    volume.close()
    report = vexfs.fsck(image, data=True)
    check(report.clean, f"fsck: {report}")
    timeline.step("checked it", "clean")


def main() -> int:
    """Runs the demonstration; 0 if every check held."""
    if sys.argv[1:2] == ["--write-records"]:
        write_records(sys.argv[2])
        return 0
    with tempfile.TemporaryDirectory(prefix="vexfs-demo-") as folder:
        try:
            demonstrate(Path(folder))
        except Failed as failed:
            print(f"demo failed: {failed}", file=sys.stderr)
            return 1
    print("every check held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
