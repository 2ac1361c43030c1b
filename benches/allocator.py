"""Allocation alone: what a run of blocks costs, what two threads do together, how files lie on an aged volume.

The first two are `cargo bench -p vexfs-space`, in processor time; the last is `vexfs-rivals ageing` on a volume in
memory: filled to nine tenths with files of many sizes, half of them deleted at random, filled again, ten times.
"""

from __future__ import annotations

import re
import subprocess

from benches.common import ROOT, Bench, rust

UNITS = {"ns": 1, "µs": 1e3, "us": 1e3, "ms": 1e6}


def criterion(quick: bool) -> tuple[dict[str, float], str]:
    """Nanoseconds by name of the measurement, and all that was printed."""
    command = ["cargo", "bench", "--locked", "--quiet", "-p", "vexfs-space", "--bench", "alloc", "--"]
    options = ["--measurement-time=0.2", "--warm-up-time=0.1"] if quick else []
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the measurement of the allocator failed: {done.stderr}")
    found = re.findall(r"^(\S+)\s+time:\s+\[\S+ \S+ (\S+) (\S+)", done.stdout.replace("\n  ", " "), re.MULTILINE)
    return {name: float(time) * UNITS[unit] for name, time, unit in found}, done.stdout


def run(bench: Bench) -> None:
    """All lines of this area."""
    times, printed = criterion(bench.quick)
    for name, cost in times.items():
        if name.endswith(("_and_release",)):
            bench.note(name.split("/")[1], cost, "ns")
        else:
            bench.within(f"{name.split('/')[1]}, half-full group", cost, "ns", 200)
    for pattern, what in (
        ("two threads do", "two threads, one volume"),
        ("on a volume each", "two threads, two volumes"),
    ):
        times_one = float(re.search(pattern + r" ([\d.]+) times", printed)[1])  # type: ignore[index]
        if "each" in pattern:
            bench.note(what, times_one, "times one")
        else:
            bench.reaches(what, times_one, "times one", 1.6)
    aged = {name: float(value) for name, value in rust("ageing", bench.size(1024, 128), bench.size(10, 3))}
    bench.within("extents of a file of 1 MiB, aged volume", aged["extents-mean"], "mean", 2)
    bench.note("the most extents of one of them", aged["extents-most"], "")
