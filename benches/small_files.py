"""100,000 files of 4 KiB in one directory, from one Python thread.

Every side does the same phases in the same order: create in batches of 1,000, each batch durable before the next;
read and stat all in a shuffled order, warm; list; delete in batches of 1,000. The file system's batches are made
durable by one `syncfs` each, its cheapest way, and its files are read as Python reads them: `open(path, "rb").read()`.
SQLite has a table with an index of the paths, sizes in front of the blobs, WAL, synchronous=FULL, 64 MiB of cache and
its file mapped, which was the best of the forms that were tried. LMDB syncs each commit. Then the same creates without
batches: each visible at once, all durable after a sync at the end.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import vexfs
from benches.common import Bench, Measures, Watch, filesystem, rng, rounds, syncfs

if TYPE_CHECKING:
    from pathlib import Path

BATCH = 1000
DATA = rng("small").randbytes(4096)


class Names:
    """The names in the order of creation and in a shuffled one, in batches."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.ordered = [f"{number:06}" for number in range(count)]
        self.shuffled = rng("order").sample(self.ordered, count)

    def batches(self, shuffled: bool = False) -> list[list[str]]:
        names = self.shuffled if shuffled else self.ordered
        return [names[at : at + BATCH] for at in range(0, self.count, BATCH)]


def volume(folder: Path, names: Names) -> Measures:
    """Our side, and the bulk verbs."""
    watch, count = Watch(), names.count
    with vexfs.mkfs(folder / "volume", size="4GiB") as vol:
        for directory in ("/files", "/single", "/many"):
            vol.mkdir(directory)
        batches = [[f"/files/{name}" for name in batch] for batch in names.batches()]
        paths = [f"/files/{name}" for name in names.shuffled]
        with watch.rate("create", count):
            for batch in batches:
                with vol.transaction(durable=True) as tx:
                    for path in batch:
                        tx.write_bytes(path, DATA)
        with watch.rate("read", count):
            for path in paths:
                vol.read_bytes(path)
        with watch.rate("stat", count):
            for path in paths:
                vol.stat(path)
        with watch.rate("list", count), vol.scandir("/files") as entries:
            listed = sum(1 for _ in entries)
        assert listed == count
        with watch.rate("delete", count):
            for batch in batches:
                with vol.transaction(durable=True) as tx:
                    for path in batch:
                        tx.unlink(path)
        single = [f"/single/{name}" for name in names.ordered]
        with watch.rate("create alone", count):
            for path in single:
                vol.write_bytes(path, DATA)
            vol.sync()
        many = [{f"/many/{name}": DATA for name in batch} for batch in names.batches()]
        with watch.rate("write_many", count):
            for files in many:
                vol.write_many(files, durable=True)
        shuffled = [[f"/many/{name}" for name in batch] for batch in names.batches(shuffled=True)]
        with watch.rate("read_many", count):
            for batch in shuffled:
                assert len(vol.read_many(batch)[0]) == len(DATA)
        with watch.rate("stat_many", count):
            for batch in shuffled:
                assert vol.stat_many(batch)[0].st_size == len(DATA)
    return watch.measures


def sqlite(folder: Path, names: Names) -> Measures:
    watch, count = Watch(), names.count
    base = sqlite3.connect(folder / "sqlite", isolation_level=None)
    base.execute("pragma journal_mode = wal")
    base.execute("pragma synchronous = full")
    base.execute("pragma cache_size = -65536")
    base.execute("pragma mmap_size = 4294967296")
    base.execute("create table files (path text primary key, size integer, data blob)")
    with watch.rate("create", count):
        for batch in names.batches():
            base.execute("begin")
            for name in batch:
                base.execute("insert into files values (?, ?, ?)", (name, len(DATA), DATA))
            base.execute("commit")
    with watch.rate("read", count):
        for name in names.shuffled:
            base.execute("select data from files where path = ?", (name,)).fetchone()
    with watch.rate("stat", count):
        for name in names.shuffled:
            base.execute("select size from files where path = ?", (name,)).fetchone()
    with watch.rate("list", count):
        listed = sum(1 for _ in base.execute("select path from files"))
    assert listed == count
    with watch.rate("delete", count):
        for batch in names.batches():
            base.execute("begin")
            for name in batch:
                base.execute("delete from files where path = ?", (name,))
            base.execute("commit")
    base.close()
    return watch.measures


def directory(folder: Path, names: Names) -> Measures:
    watch, count = Watch(), names.count
    files, single = folder / "files", folder / "single"
    files.mkdir()
    single.mkdir()
    base = f"{files}/"
    with watch.rate("create", count):
        for batch in names.batches():
            for name in batch:
                with open(base + name, "wb", buffering=0) as file:
                    file.write(DATA)
            syncfs(files)
    with watch.rate("read", count):
        for name in names.shuffled:
            with open(base + name, "rb") as file:
                file.read()
    with watch.rate("stat", count):
        for name in names.shuffled:
            os.stat(base + name)
    with watch.rate("list", count), os.scandir(files) as entries:
        listed = sum(1 for _ in entries)
    assert listed == count
    with watch.rate("delete", count):
        for batch in names.batches():
            for name in batch:
                os.unlink(base + name)
            syncfs(files)
    base = f"{single}/"
    with watch.rate("create alone", count):
        for name in names.ordered:
            with open(base + name, "wb", buffering=0) as file:
                file.write(DATA)
        syncfs(single)
    return watch.measures


def lmdb(folder: Path, names: Names) -> Measures:
    import lmdb

    watch, count = Watch(), names.count
    keys = [[name.encode() for name in batch] for batch in names.batches()]
    shuffled = [[name.encode() for name in batch] for batch in names.batches(shuffled=True)]
    with lmdb.open(str(folder / "lmdb"), map_size=4 << 30) as base:
        with watch.rate("create", count):
            for batch in keys:
                with base.begin(write=True) as tx:
                    for key in batch:
                        tx.put(key, DATA)
        with watch.rate("read", count):
            for batch in shuffled:
                with base.begin() as tx:
                    for key in batch:
                        tx.get(key)
        with watch.rate("stat", count):
            for batch in shuffled:
                with base.begin(buffers=True) as tx:
                    for key in batch:
                        len(tx.get(key))
        with watch.rate("list", count), base.begin() as tx:
            listed = sum(1 for _ in tx.cursor().iternext(keys=True, values=False))
        assert listed == count
        with watch.rate("delete", count):
            for batch in keys:
                with base.begin(write=True) as tx:
                    for key in batch:
                        tx.delete(key)
    return watch.measures


BARS = {
    "create": {"SQLite": 2, "ext4": 4},
    "read": {"SQLite": 2.5, "ext4": 6},
    "stat": {"SQLite": 3, "ext4": 1},
    "list": {"ext4": 1, "SQLite": None},
    "delete": {"SQLite": 2, "ext4": None},
    "create alone": {"ext4": 3},
}
BULK = {"write_many": "create", "read_many": "read", "stat_many": "stat"}


def run(bench: Bench) -> None:
    """All lines of this area."""
    names = Names(bench.size(100_000, 4000))

    def once(side: str) -> Measures:
        with bench.folder(side) as folder:
            return SIDES[side](folder, names)

    wanted = SIDES if bench.compare else {"vexfs": volume}
    sides = {side: lambda side=side: once(side) for side in wanted}
    # The file system takes as long as all others together.
    found = rounds(bench.size(3, 1), sides, slow=frozenset({"ext4"}))
    ours = found["vexfs"]
    for what, rivals in BARS.items():
        title = f"{what}, {names.count:,} x 4 KiB".replace(",", " ").replace("  ", ", ")
        if not bench.compare:
            bench.note(title, ours[what], "/s")
        for rival, bar in rivals.items() if bench.compare else ():
            name = filesystem(bench.home) if rival == "ext4" else rival
            bench.beside(title, ours[what], "/s", name, found[rival][what], bar)
    for verb, game in BULK.items():
        if bench.compare:
            bench.beside(verb, ours[verb], "/s", "LMDB", found["LMDB"][game], 1)
        else:
            bench.note(verb, ours[verb], "/s")


SIDES = {"vexfs": volume, "SQLite": sqlite, "ext4": directory, "LMDB": lmdb}
