"""Durable commits: each client makes one change at a time and waits until it is on the device.

The floor is a raw append to a file whose blocks are written already: a write through the page cache, and fdatasync.
Beside it stands, without a bar, what the disk does at best: the same with O_DIRECT and O_DSYNC, in whole blocks. From
Rust the store below the files is measured, one
value under a new key, beside redb and fjall in the same program; from Python a new file by `write_bytes`, beside a new
row of SQLite (WAL, synchronous=FULL) and a new key of LMDB.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import vexfs
from benches.common import MIB, Bench, Measures, rounds, rust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Commit = Callable[[int, int, bytes], object]
    """Commits a value: the number of the thread, of its commit, and the value."""

SIZES = {200: "200 B", 4096: "4 KiB"}
FILE_BYTES = 64 * MIB


@contextlib.contextmanager
def volume(folder: Path, _: int) -> Iterator[Commit]:
    with vexfs.mkfs(folder / "volume", size="2GiB") as vol:
        yield lambda thread, number, data: vol.write_bytes(f"/{thread}-{number}", data, durable=True)


@contextlib.contextmanager
def sqlite(folder: Path, _: int) -> Iterator[Commit]:
    with contextlib.closing(sqlite3.connect(folder / "sqlite", isolation_level=None, check_same_thread=False)) as base:
        base.execute("pragma journal_mode = wal")
        base.execute("pragma synchronous = full")
        base.execute("create table files (path text primary key, data blob) without rowid")
        yield lambda thread, number, data: base.execute("insert into files values (?, ?)", (f"{thread}-{number}", data))


@contextlib.contextmanager
def lmdb(folder: Path, _: int) -> Iterator[Commit]:
    import lmdb

    with lmdb.open(str(folder / "lmdb"), map_size=4 << 30) as base:

        def commit(thread: int, number: int, data: bytes) -> None:
            with base.begin(write=True) as tx:
                tx.put(f"{thread}-{number}".encode(), data)

        yield commit


def zeroed(folder: Path, flags: int) -> int:
    """A file of written zeros, open with these flags."""
    with open(folder / "raw", "wb") as file:
        for _ in range(FILE_BYTES // MIB):
            file.write(bytes(MIB))
        file.flush()
        os.fsync(file.fileno())
    return os.open(folder / "raw", os.O_RDWR | flags)


@contextlib.contextmanager
def raw_dsync(folder: Path, size: int) -> Iterator[Commit]:
    descriptor = zeroed(folder, os.O_DIRECT | os.O_DSYNC)
    length = -(-size // 4096) * 4096
    buffer = mmap.mmap(-1, length)

    def commit(_: int, number: int, data: bytes) -> None:
        buffer[: len(data)] = data
        os.pwrite(descriptor, buffer, number * length % FILE_BYTES)

    yield commit
    os.close(descriptor)
    buffer.close()


@contextlib.contextmanager
def raw_fdatasync(folder: Path, _: int) -> Iterator[Commit]:
    descriptor = zeroed(folder, 0)

    def commit(_: int, number: int, data: bytes) -> None:
        os.pwrite(descriptor, data, number * len(data) % (FILE_BYTES - 4096))
        os.fdatasync(descriptor)

    yield commit
    os.close(descriptor)


def contest(commit: Commit, size: int, threads: int, seconds: float) -> float:
    """Commits a second by so many threads, after a tenth of the time to warm up."""
    counts, over = [0] * threads, threading.Event()

    def client(thread: int) -> None:
        data = bytes([thread + 1]) * size
        while not over.is_set():
            commit(thread, counts[thread], data)
            counts[thread] += 1

    clients = [threading.Thread(target=client, args=(thread,)) for thread in range(threads)]
    for each in clients:
        each.start()
    time.sleep(seconds / 10)
    before, begin = sum(counts), time.perf_counter()
    time.sleep(seconds)
    after, end = sum(counts), time.perf_counter()
    over.set()
    for each in clients:
        each.join()
    return (after - before) / (end - begin)


OURS = {"vexfs": (volume, (1, 16))}
RIVALS = {
    "raw-dsync": (raw_dsync, (1,)),
    "raw-fdatasync": (raw_fdatasync, (1,)),
    "SQLite": (sqlite, (1,)),
    "LMDB": (lmdb, (1,)),
}


def from_python(bench: Bench, side: str, seconds: float) -> Measures:
    """One round of one side: a rate by size and number of threads."""
    make, threads = (OURS | RIVALS)[side]
    found = {}
    for size in SIZES:
        for count in threads:
            with bench.folder(f"{side}-{size}-{count}") as folder, make(folder, size) as commit:
                found[f"{size} {count}"] = contest(commit, size, count, seconds)
    return found


def from_rust(bench: Bench, turn: Iterator[int], seconds: float) -> Measures:
    """One round of all that is measured from Rust."""
    with bench.folder("rust") as folder:
        lines = rust("commit", folder, int(seconds * 1000), next(turn))
    return {f"{store} {size} {threads}": float(rate) for store, size, threads, rate in lines}


def run(bench: Bench) -> None:
    """All lines of this area."""
    seconds = bench.size(7, 2) / 10
    turn = iter(range(1000))
    contestants = {"rust": lambda: from_rust(bench, turn, seconds)}
    for side in OURS | (RIVALS if bench.compare else {"raw-dsync": None, "raw-fdatasync": None}):
        contestants[side] = lambda side=side: from_python(bench, side, seconds)
    found = rounds(bench.size(5, 1), contestants)
    native = found.pop("rust")
    for size, text in SIZES.items():
        python = {side: measures[f"{size} 1"] for side, measures in found.items()}
        others = {name.split()[0]: rate for name, rate in native.items() if name.endswith(f" {size} 1")}
        stores = {name: rate for name, rate in (others | python).items() if name != "vexfs" and "raw" not in name}
        for language, rates in (("Rust", others), ("Python", python)):
            ours = rates["vexfs"]
            bench.beside(f"{text} from {language}, one client", ours, "/s", "raw fdatasync", rates["raw-fdatasync"], 1)
            bench.note(f"{text} from {language}, one client", ours, "/s", "raw O_DSYNC", rates["raw-dsync"])
            if bench.compare:
                best = max(stores, key=lambda name: stores[name])
                for name in sorted(stores, key=lambda name: -stores[name]):
                    bar = 1.2 if name == best else None
                    bench.beside(f"{text} from {language}, one client", ours, "/s", name, stores[name], bar)
        many = {"Rust": native[f"vexfs {size} 16"], "Python": found["vexfs"][f"{size} 16"]}
        one = {"Rust": others["vexfs"], "Python": python["vexfs"]}
        for language in many:
            bench.beside(f"{text} from {language}, 16 threads", many[language], "/s", "one", one[language], 4)
        for name in ("redb", "fjall"):
            if bench.compare:
                theirs = native[f"{name} {size} 16"]
                bench.beside(f"{text} from Rust, 16 threads", many["Rust"], "/s", name, theirs, None)
