"""From a killed process to the first read: logs of 64 MiB, 256 MiB and 1 GiB.

Each side is filled by a process of its own with values of 200 bytes, 1,000 to a durable transaction, with nothing
moved out of its log (no checkpoint, one memtable), and killed. A round opens it in a new process, reads one value,
stops the watch and kills itself, so that the next round finds the same log; RocksDB, which rewrites it at open, gets a
copy made of hard links. What is compared is the time per MiB of the side's own log. Warm: the log is in the page cache.
Cold: see `common.drop_caches`.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from benches.common import MIB, Bench, Measures, child, drop_caches, rounds, warm

if TYPE_CHECKING:
    from pathlib import Path

VALUES = """
path, target = sys.argv[1], int(sys.argv[2])
def batches():
    number = 0
    while True:
        yield [(f"{number + each:09}", os.urandom(200)) for each in range(1000)]
        number += 1000
"""

FILL_VOLUME = (
    VALUES
    + """
import vexfs
vexfs.mkfs(path, size=target * 12, journal_size=(target * 5 // 2 >> 20 << 20)).close()
vol = vexfs.open(path, memtable_size=1 << 40, checkpoint_interval=1e6)
for number, batch in enumerate(batches()):
    vol.mkdir(f"/{number}")
    vol.write_many({f"/{number}/{key}": value for key, value in batch}, durable=True)
    used = vol.stats_fields()["journal"]["used_bytes"]
    if used >= target:
        break
tell(mib=used / (1 << 20))
die()
"""
)

OPEN_VOLUME = """
path, workers = sys.argv[1], int(sys.argv[2]) or None
import vexfs
begin = time.perf_counter()
vol = vexfs.open(path, workers=workers)
found = vol.read_bytes("/0/000000500")
elapsed = (time.perf_counter() - begin) * 1e3
report = vol.recovery_fields()
assert len(found) == 200 and not report["clean"]
tell(ms=elapsed, mib=report["bytes"] / (1 << 20), recovery_ms=report["seconds"] * 1e3)
die()
"""

FILL_SQLITE = (
    VALUES
    + """
import sqlite3
base = sqlite3.connect(path, isolation_level=None)
base.execute("pragma journal_mode = wal")
base.execute("pragma synchronous = full")
base.execute("pragma wal_autocheckpoint = 0")
base.execute("create table files (path text primary key, data blob) without rowid")
for batch in batches():
    base.execute("begin")
    base.executemany("insert into files values (?, ?)", batch)
    base.execute("commit")
    if os.path.getsize(path + "-wal") >= target:
        break
tell(mib=os.path.getsize(path + "-wal") / (1 << 20))
die()
"""
)

OPEN_SQLITE = """
import sqlite3
path = sys.argv[1]
begin = time.perf_counter()
base = sqlite3.connect(path, isolation_level=None)
found = base.execute("select data from files where path = '000000500'").fetchone()
elapsed = (time.perf_counter() - begin) * 1e3
assert len(found[0]) == 200
tell(ms=elapsed, mib=os.path.getsize(path + "-wal") / (1 << 20))
die()
"""

ROCKSDB = """
import rocksdict
options = rocksdict.Options(raw_mode=True)
options.set_write_buffer_size(8 << 30)
"""

FILL_ROCKSDB = (
    VALUES
    + ROCKSDB
    + """
base = rocksdict.Rdict(path, options)
durable = rocksdict.WriteOptions()
durable.sync = True
def log():
    return sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path) if name.endswith(".log"))
for batch in batches():
    writes = rocksdict.WriteBatch(raw_mode=True)
    for key, value in batch:
        writes.put(key.encode(), value)
    base.write(writes, durable)
    if log() >= target:
        break
tell(mib=log() / (1 << 20))
die()
"""
)

OPEN_ROCKSDB = (
    ROCKSDB
    + """
path = sys.argv[1]
begin = time.perf_counter()
base = rocksdict.Rdict(path, options)
found = base[b"000000500"]
elapsed = (time.perf_counter() - begin) * 1e3
assert len(found) == 200
tell(ms=elapsed)
die()
"""
)


class Volume:
    """Our side, with a number of workers (0: as many as it likes)."""

    def __init__(self, folder: Path, target: int) -> None:
        self.path = folder / "volume"
        self.mib = child(FILL_VOLUME, self.path, target)["mib"]

    def files(self) -> list[Path]:
        return [self.path]

    def open(self, workers: int = 0) -> Measures:
        found = child(OPEN_VOLUME, self.path, workers)
        if abs(found["mib"] - self.mib) > 1:
            raise RuntimeError(f"the log held {self.mib:.0f} MiB and now holds {found['mib']:.0f}")
        return found


class Sqlite:
    def __init__(self, folder: Path, target: int) -> None:
        self.path = folder / "sqlite"
        self.mib = child(FILL_SQLITE, self.path, target)["mib"]

    def files(self) -> list[Path]:
        return [self.path, self.path.with_name("sqlite-wal")]

    def open(self) -> Measures:
        return child(OPEN_SQLITE, self.path)


class Rocksdb:
    def __init__(self, folder: Path, target: int) -> None:
        self.path = folder / "rocksdb"
        self.mib = child(FILL_ROCKSDB, self.path, target)["mib"]

    def files(self) -> list[Path]:
        return list(self.path.glob("*.log"))

    def open(self) -> Measures:
        copy = self.path.with_name("copy")
        shutil.copytree(
            self.path, copy, copy_function=lambda a, b: (os.link if a.endswith(".log") else shutil.copy2)(a, b)
        )
        try:
            return child(OPEN_ROCKSDB, copy)
        finally:
            shutil.rmtree(copy)


Side = Volume | Sqlite | Rocksdb


def warmly(side: Side, *arguments: int) -> Measures:
    warm(*side.files())
    return side.open(*arguments)


def coldly(side: Volume | Sqlite) -> Measures:
    drop_caches(*side.files())
    return side.open()


def of_size(bench: Bench, mib: int, last: bool) -> None:
    """All lines for one size of the log."""
    with bench.folder("recovery") as folder:
        ours = Volume(folder, mib * MIB)
        sides: dict[str, Side] = {"vexfs": ours}
        if bench.compare:
            sides |= {"SQLite": Sqlite(folder, mib * MIB), "rocksdict": Rocksdb(folder, mib * MIB)}
        count = bench.size(3, 1)
        found = rounds(count, {name: lambda side=side: warmly(side) for name, side in sides.items()})
        title = f"{mib} MiB log" if mib < 1024 else f"{mib // 1024} GiB log"
        costs = {name: found[name]["ms"] / side.mib for name, side in sides.items()}
        bench.within(f"{title}, warm, to the first read", costs["vexfs"], "ms/MiB", 0.45)
        for name, bar in (("SQLite", 1.2), ("rocksdict", 10)) if bench.compare else ():
            speeds = 1 / costs["vexfs"], 1 / costs[name]
            bench.beside(f"{title}, warm", speeds[0], "MiB/ms", name, speeds[1], bar)
        if bench.compare:
            pair = {name: sides[name] for name in ("vexfs", "SQLite")}
            found = rounds(bench.size(3, 1), {name: lambda side=side: coldly(side) for name, side in pair.items()})
            speeds = [side.mib / found[name]["ms"] for name, side in pair.items()]
            bench.beside(f"{title}, cold", speeds[0], "MiB/ms", "SQLite", speeds[1], 1)
        if last:
            found = rounds(bench.size(3, 1), {str(each): lambda each=each: warmly(ours, each) for each in (1, 2)})
            two, one = ours.mib / found["2"]["ms"], ours.mib / found["1"]["ms"]
            bench.beside(f"{title}, two workers", two, "MiB/ms", "one", one, 1.6)


def run(bench: Bench) -> None:
    """All lines of this area."""
    sizes = [8, 16] if bench.quick else [64, 256, 1024]
    for mib in sizes:
        of_size(bench, mib, mib == sizes[-1])
