"""A volume of 1,000,000 files of 300 bytes, 1,000 to a directory, imported from a tree of the host.

Memory is the peak of a process that does nothing else, above a bare interpreter. Opening and closing are measured in
new processes, warm. The cost of a single operation is compared with a volume of 10,000 files made in the same way:
files are chosen at random among all, creates go to directories chosen at random, 1,000 to a durable transaction. Both
volumes are warm: every file was looked at once before.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import vexfs
from benches.common import GIB, Bench, Measures, Watch, child, rng, rounds, warm

FILE_BYTES = 300
IN_DIRECTORY = 1000
MEMORY = Path("/dev/shm")
"""Where the tree that is imported lies if there is room: making it is not what is measured."""

IMPORT = """
import vexfs
with vexfs.mkfs(sys.argv[1], size="8GiB") as vol:
    begin = time.perf_counter()
    vol.import_tree(sys.argv[2], "/files")
    vol.sync()
    elapsed = time.perf_counter() - begin
peak = memory("VmHWM") - bare
with vexfs.open(sys.argv[1], "r") as vol:
    found = vol.statvfs()
tell(peak=peak, seconds=elapsed, used=(found.f_blocks - found.f_bfree) * found.f_frsize)
"""

OPEN = """
import vexfs
path, name = sys.argv[1:]
begin = time.perf_counter()
vol = vexfs.open(path)
opened = time.perf_counter()
vol.stat(name)
read = time.perf_counter()
time.sleep(0.2)
found = dict(open=(opened - begin) * 1e3, stat=(read - opened) * 1e3, idle=memory("VmRSS") - bare)
vol.close()
tell(**found)
"""

CLOSE = """
import random, vexfs
path, count, turn = sys.argv[1], int(sys.argv[2]), sys.argv[3]
numbers = random.Random(turn).sample(range(count), 1000)
vol = vexfs.open(path)
for number in numbers:
    vol.write_bytes(f"/files/{number // 1000:03}/{number:07}", os.urandom(300))
begin = time.perf_counter()
vol.close()
tell(close=(time.perf_counter() - begin) * 1e3)
"""


def path_of(number: int) -> str:
    """The path of a file, below the top of the tree."""
    return f"{number // IN_DIRECTORY:03}/{number:07}"


def host_tree(folder: Path, count: int) -> None:
    """Makes the tree that is imported."""
    data = rng("scale").randbytes(FILE_BYTES * 7)
    for number in range(0, count, IN_DIRECTORY):
        directory = folder / f"{number // IN_DIRECTORY:03}"
        directory.mkdir(parents=True)
        for each in range(number, number + IN_DIRECTORY):
            with open(f"{directory}/{each:07}", "wb", buffering=0) as file:
                file.write(data[each % 1000 : each % 1000 + FILE_BYTES])


def imported(bench: Bench, count: int) -> tuple[Path, Measures]:
    """The image with so many files, and what the import took. Made once in a run."""
    image = bench.home / f"files-{count}"
    if image not in bench.made:
        room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 12 * GIB
        with bench.folder("vexfs-tree", MEMORY if room else None) as tree:
            host_tree(tree, count)
            bench.made[image] = child(IMPORT, image, tree)
    return image, bench.made[image]


def million(bench: Bench) -> tuple[Path, int, Measures]:
    """The large volume."""
    count = bench.size(1_000_000, 20_000)
    image, made = imported(bench, count)
    return image, count, made


def costs(image: Path, count: int, turn: list[int]) -> Measures:
    """Operations a second of a volume with `count` files, each on files chosen at random."""
    turn.append(len(turn))
    random, watch, times = rng(f"costs {len(turn)}"), Watch(), 10_000
    chosen = ["/files/" + path_of(random.randrange(count)) for _ in range(times)]
    fresh = [f"/files/{random.randrange(count // IN_DIRECTORY):03}/new{number}" for number in range(times // 2)]
    data = random.randbytes(FILE_BYTES)
    with vexfs.open(image) as vol:
        for first in range(0, count, IN_DIRECTORY):
            vol.stat_many(["/files/" + path_of(number) for number in range(first, first + IN_DIRECTORY)])
        with watch.rate("stat", times):
            for path in chosen:
                vol.stat(path)
        with watch.rate("read", times):
            for path in chosen:
                vol.read_bytes(path)
        with watch.rate("create", len(fresh)):
            for at in range(0, len(fresh), 1000):
                with vol.transaction(durable=True) as tx:
                    for path in fresh[at : at + 1000]:
                        tx.write_bytes(path, data)
        with vol.transaction() as tx:
            for path in fresh:
                tx.unlink(path)
    return watch.measures


def run(bench: Bench) -> None:
    """All lines of this area."""
    few = bench.size(10_000, 2000)
    image, many, made = million(bench)
    small, _ = imported(bench, few)
    what = f"{many:,} files".replace(",", " ")
    bench.within(f"peak memory while importing {what}", made["peak"], "MiB", 300)
    bench.note(f"import of {what}", many / made["seconds"], "/s")
    warm(image, small)
    stat = f"/files/{path_of(many // 2)}"
    found = rounds(bench.size(3, 2), {"open": lambda: child(OPEN, image, stat)})["open"]
    bench.within(f"opening {what}", found["open"], "ms", 10)
    bench.within("the first stat", found["stat"], "ms", 1)
    bench.within("memory of an idle open volume", found["idle"], "MiB", 30)
    turn: list[int] = []
    sides = {"many": lambda: costs(image, many, turn), "few": lambda: costs(small, few, turn)}
    found = rounds(bench.size(3, 1), sides)
    for verb in ("create", "stat", "read"):
        times = found["few"][verb] / found["many"][verb]
        bench.within(f"cost of {verb}, {what} against {few:,}".replace(",", " "), times, "times", 1.5)
        bench.note(f"{verb} among {what}", found["many"][verb], "/s", f"among {few}", found["few"][verb])
    turns = iter(range(100))
    found = rounds(bench.size(3, 1), {"close": lambda: child(CLOSE, image, many, next(turns))})
    bench.within(f"closing {what} after 1 000 changes", found["close"]["close"], "ms", 100)
