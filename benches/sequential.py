"""One file of 1 GiB through `open`, in pieces of 1 MiB: written and synced, read cold, read warm; then pieces of 4 KiB
at random places, unbuffered: read warm, read cold, overwritten with one sync at the end.

Both sides run the same code on an open file object: one of the volume, one of the host's file system. Cold means that
the pages of the image, or of the file, were dropped before (see `common.drop_caches`).
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

import vexfs
from benches.common import KIB, MIB, Bench, Measures, Watch, drop_caches, filesystem, rng, rounds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIECE = 4 * KIB
CONTENT = rng("sequential").randbytes(16 * MIB)


def phases(
    file: Callable[[str, int], IO[Any]], sync: Callable[[IO[Any]], object], image: Path, size: int, pieces: int
) -> Measures:
    """What both sides do; `file` opens the file with a mode and a size of the buffer."""
    watch = Watch()
    parts = [memoryview(CONTENT)[at : at + MIB] for at in range(0, len(CONTENT), MIB)]
    with watch.rate("write", size / MIB), file("wb", -1) as out:
        for number in range(size // MIB):
            out.write(parts[number % len(parts)])
        sync(out)
    drop_caches(image)
    for phase in ("cold read", "warm read"):
        read_through(file, watch, phase, size)
    places = [place * PIECE for place in rng("places").choices(range(size // PIECE), k=pieces)]
    with file("rb", 0) as source, watch.rate("random read", pieces):
        for place in places:
            source.seek(place)
            source.read(PIECE)
    few = places[: pieces // 10]
    with file("r+b", 0) as target, watch.rate("random overwrite", pieces):
        data = CONTENT[:PIECE]
        for place in places:
            target.seek(place)
            target.write(data)
        sync(target)
    drop_caches(image)
    with file("rb", 0) as source, watch.rate("random cold read", len(few)):
        for place in few:
            source.seek(place)
            source.read(PIECE)
    return watch.measures


def read_through(file: Callable[[str, int], IO[Any]], watch: Watch, phase: str, size: int) -> None:
    """Reads the whole file into one buffer."""
    buffer = bytearray(MIB)
    total = 0
    with file("rb", -1) as source, watch.rate(phase, size / MIB):
        while count := source.readinto(buffer):
            total += count
    assert total == size


def volume(folder: Path, size: int, pieces: int) -> Measures:
    image = folder / "volume"
    with vexfs.mkfs(image, size=4 * size) as vol:
        return phases(lambda mode, buffer: vol.open("/file", mode, buffer), vexfs.fsync, image, size, pieces)


def host(folder: Path, size: int, pieces: int) -> Measures:
    def sync(file: IO[Any]) -> None:
        file.flush()
        os.fsync(file.fileno())

    path = folder / "file"
    return phases(lambda mode, buffer: open(path, mode, buffer), sync, path, size, pieces)


BARS = {
    "write": ("write with sync, 1 MiB pieces", "MiB/s", 0.9),
    "cold read": ("cold read, 1 MiB pieces", "MiB/s", 0.9),
    "warm read": ("warm read, 1 MiB pieces", "MiB/s", 1),
    "random overwrite": ("random overwrite of 4 KiB, one sync", "/s", 0.7),
    "random read": ("random read of 4 KiB, warm", "/s", 0.9),
    "random cold read": ("random read of 4 KiB, cold", "/s", 0.9),
}


def run(bench: Bench) -> None:
    """All lines of this area."""
    size, pieces = bench.size(1024, 64) * MIB, bench.size(40_000, 1000)

    def once(side: str) -> Measures:
        with bench.folder(side) as folder:
            return SIDES[side](folder, size, pieces)

    wanted = SIDES if bench.compare else {"vexfs": volume}
    found = rounds(bench.size(3, 1), {side: lambda side=side: once(side) for side in wanted})
    for phase, (what, unit, bar) in BARS.items():
        ours = found["vexfs"][phase]
        if bench.compare:
            bench.beside(what, ours, unit, filesystem(bench.home), found["host"][phase], bar)
        else:
            bench.note(what, ours, unit)


SIDES = {"vexfs": volume, "host": host}
