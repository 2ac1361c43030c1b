"""`python -m benches`: measures, prints a table, and ends with 0 whatever the bars say."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from benches import allocator, commit, recovery, report, scale, sequential, small_files, space
from benches.common import GIB, ROOT, Bench, filesystem

AREAS = {
    "small_files": small_files.run,
    "commit": commit.run,
    "sequential": sequential.run,
    "recovery": recovery.run,
    "scale": scale.run,
    "space": space.run,
    "allocator": allocator.run,
}

NOT_A_DISK = {"tmpfs", "ramfs", "devtmpfs"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches", description="Measures VexFS.")
    parser.add_argument(
        "--compare", action="store_true", help="beside sqlite3, the file system, lmdb, rocksdb, redb, fjall"
    )
    parser.add_argument("--quick", action="store_true", help="a small version that shows whether everything runs")
    parser.add_argument("--area", action="append", choices=AREAS, help="only this; may be given several times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument(
        "--folder",
        type=Path,
        default=os.environ.get("TMPDIR", ROOT / "build" / "bench"),
        help="where to measure: a folder on the disk in question (TMPDIR, or build/bench)",
    )
    return parser.parse_args()


def main() -> int:
    given = arguments()
    home = Path(given.folder) / f"vexfs-bench-{os.getpid()}"
    home.mkdir(parents=True)
    kind = filesystem(home)
    if kind in NOT_A_DISK:
        home.rmdir()
        print(f"{given.folder} is on {kind}, not on a disk: choose another with --folder", file=sys.stderr)
        return 2
    if not given.quick and shutil.disk_usage(home).free < 24 * GIB:
        print(f"{given.folder} has less than 24 GiB free", file=sys.stderr)
    bench = Bench(home, given.compare, given.quick, show=report.show)
    begin = time.monotonic()
    try:
        for area in given.area or AREAS:
            bench.area = area
            AREAS[area](bench)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    minutes = (time.monotonic() - begin) / 60
    load = os.getloadavg()[1]
    title = f"VexFS on {kind}, {os.cpu_count()} processors, load {load:.1f}, {minutes:.1f} minutes"
    report.print_table(bench, title + (", quick: figures mean nothing" if given.quick else ""))
    if given.json:
        bench.write_json(given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
