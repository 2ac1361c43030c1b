"""How many bytes of the volume its files take: blocks in use after closing and opening again, whatever they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import vexfs
from benches import scale
from benches.common import MIB, Bench, rng

if TYPE_CHECKING:
    from pathlib import Path


def used(image: Path) -> int:
    """Bytes of blocks that are not free: data, tree, and what past checkpoints hold."""
    with vexfs.open(image, "r") as vol:
        found = vol.statvfs()
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def of_pages(bench: Bench) -> None:
    """Files of 4 KiB, in batches of 1,000."""
    count, data = bench.size(100_000, 5000), rng("space").randbytes(4096)
    with bench.folder("space") as folder:
        image = folder / "volume"
        with vexfs.mkfs(image, size="2GiB") as vol:
            vol.mkdir("/files")
            for at in range(0, count, 1000):
                vol.write_many({f"/files/{number:06}": data for number in range(at, at + 1000)}, durable=True)
        taken = used(image)
    bench.within(f"{count} files of 4 KiB", taken / (count * len(data)), "of their bytes", 1.1)


def run(bench: Bench) -> None:
    """All lines of this area."""
    of_pages(bench)
    _, count, made = scale.million(bench)
    taken = made["used"]
    bench.within(f"{count} files of 300 B", taken / (count * scale.FILE_BYTES), "of their bytes", 2)
    bench.note("the same", taken / MIB, "MiB")
