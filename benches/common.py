"""What all measurements share: where they write, rounds and medians, lines of the table, caches, processes.

A contest is honest only if both sides stand in one run: the same disk, the same durability, one round of each in
turn, and the median of the rounds compared. Whatever is not like that says so in its line.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Measures = dict[str, float]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Line:
    """One row of the table: our figure, and what it is measured by."""

    area: str
    what: str
    ours: float
    unit: str
    rival: str | None = None
    theirs: float | None = None
    ratio: float | None = None
    """How many times better than the rival, or than the limit, we are; above 1 is better."""
    bar: str | None = None
    ok: bool | None = None


@dataclass
class Bench:
    """A run: its settings, and the lines it has found."""

    home: Path
    compare: bool
    quick: bool = False
    lines: list[Line] = field(default_factory=list)
    area: str = ""
    made: dict[Path, Measures] = field(default_factory=dict)
    """Images that several areas measure, and what their making took."""
    show: Callable[[Line], object] = print

    def size(self, full: int, quick: int) -> int:
        """How much to do."""
        return quick if self.quick else full

    def add(self, line: Line) -> None:
        """Takes a line and shows it at once."""
        self.lines.append(line)
        self.show(line)

    def beside(self, what: str, ours: float, unit: str, rival: str, theirs: float, bar: float | None) -> None:
        """A rate of ours beside a rate of a rival: at least `bar` times as high."""
        ratio = ours / theirs
        text = None if bar is None else f">= {bar:g}x {rival}"
        self.add(Line(self.area, what, ours, unit, rival, theirs, ratio, text, None if bar is None else ratio >= bar))

    def within(self, what: str, ours: float, unit: str, limit: float) -> None:
        """A cost of ours: at most `limit`."""
        ratio = limit / ours if ours > 0 else float("inf")
        self.add(Line(self.area, what, ours, unit, None, None, ratio, f"<= {limit:g} {unit}", ours <= limit))

    def reaches(self, what: str, ours: float, unit: str, least: float) -> None:
        """A gain of ours: at least `least`."""
        self.add(Line(self.area, what, ours, unit, None, None, ours / least, f">= {least:g} {unit}", ours >= least))

    def note(self, what: str, ours: float, unit: str, rival: str | None = None, theirs: float | None = None) -> None:
        """A figure without a bar."""
        self.add(Line(self.area, what, ours, unit, rival, theirs, None if theirs is None else ours / theirs))

    @contextmanager
    def folder(self, name: str, home: Path | None = None) -> Iterator[Path]:
        """A folder of its own on the disk that is measured, or in `home`, removed afterwards."""
        path = (home or self.home) / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def write_json(self, path: Path) -> None:
        """All lines, and the machine they were found on."""
        machine = {"processors": os.cpu_count(), "load": os.getloadavg(), "filesystem": filesystem(self.home)}
        found = {"machine": machine, "quick": self.quick, "lines": [asdict(line) for line in self.lines]}
        path.write_text(json.dumps(found, indent=1) + "\n")


def rounds(
    count: int, contestants: Mapping[str, Callable[[], Measures]], slow: frozenset[str] = frozenset()
) -> dict[str, Measures]:
    """Lets every contestant run once a round, each round beginning with another; the median of every measure.

    Those that are `slow` sit out the last of several rounds.
    """
    found: dict[str, list[Measures]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(count):
        first = turn % len(names)
        last = 0 < turn == count - 1
        for name in names[first:] + names[:first]:
            if not (last and name in slow):
                found[name].append(contestants[name]())
    return {
        name: {measure: statistics.median(each[measure] for each in all_rounds) for measure in all_rounds[0]}
        for name, all_rounds in found.items()
    }


class Watch:
    """Measures by name: `with watch.rate("create", count): ...`."""

    def __init__(self) -> None:
        self.measures: Measures = {}

    @contextmanager
    def rate(self, name: str, count: float) -> Iterator[None]:
        """`count` divided by the seconds of the block."""
        begin = time.perf_counter()
        yield
        self.measures[name] = count / (time.perf_counter() - begin)

    @contextmanager
    def time(self, name: str, scale: float = 1e3) -> Iterator[None]:
        """The time of the block, in milliseconds unless `scale` says otherwise."""
        begin = time.perf_counter()
        yield
        self.measures[name] = (time.perf_counter() - begin) * scale


def rng(name: str) -> random.Random:
    """Random numbers that are the same at every run."""
    return random.Random(f"vexfs {name}")


def filesystem(path: Path) -> str:
    """The type of the file system that holds `path`."""
    best, kind = "", "unknown"
    for entry in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = entry.split(" - ")
        mount = left.split()[4]
        if str(path.resolve()).startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, kind = mount, right.split()[0]
    return kind


_libc = ctypes.CDLL(None, use_errno=True)


def syncfs(path: Path) -> None:
    """What makes many new files of a directory durable at the least cost: one sync of their file system."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(descriptor)


def drop_caches(*paths: Path) -> None:
    """Makes the next read of these files one of the device: what is dirty is written, then every file's pages are
    dropped by posix_fadvise, and as root the machine's whole cache (pages, names, inodes) too."""
    for path in paths:
        files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
        for file in files:
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
    if os.geteuid() == 0:
        Path("/proc/sys/vm/drop_caches").write_text("3")


def warm(*paths: Path) -> None:
    """Reads files into the page cache, holes left out."""
    buffer = bytearray(MIB)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            end = os.fstat(file.fileno()).st_size
            at = 0
            while at < end:
                try:
                    at = os.lseek(file.fileno(), at, os.SEEK_DATA)
                except OSError:
                    break
                stop = os.lseek(file.fileno(), at, os.SEEK_HOLE)
                file.seek(at)
                while at < stop:
                    at += file.readinto(buffer)  # type: ignore[operator]


PRELUDE = """
import gc, json, os, signal, sys, time
def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field + ":"))
def tell(**found):
    print(json.dumps(found), flush=True)
def die():
    os.kill(os.getpid(), signal.SIGKILL)
bare = memory("VmRSS")
"""
"""What a child begins with. `bare` is the memory of the interpreter alone, in MiB."""


def child(code: str, *arguments: object) -> Measures:
    """Runs Python code in a process of its own; what it last told. It may end by killing itself."""
    command = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode not in (0, -9) or not ended.stdout:
        raise RuntimeError(f"a child of the measurement failed with {ended.returncode}")
    found: Measures = json.loads(ended.stdout.splitlines()[-1])
    return found


def rust(*arguments: object) -> list[list[str]]:
    """Runs the program of `benches/rivals`; the words of each line that it prints."""
    program = os.environ.get("VEXFS_RIVALS", str(ROOT / "build/rivals/release/vexfs-rivals"))
    done = subprocess.run([program, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]
