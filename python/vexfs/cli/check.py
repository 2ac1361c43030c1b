"""Commands that check and recover: fsck, recover."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

import vexfs
from vexfs.cli.place import IMAGE
from vexfs.cli.show import Rate, bar, escaped, print_json, print_report, print_rows
from vexfs.cli.verb import Check, fail
from vexfs.cli.volume import JSON
from vexfs.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fsck", "recover"]

CLEAN, CORRECTED, UNCORRECTED = 0, 1, 4


@click.command(cls=Check)
@click.argument("image", type=IMAGE, required=False)
@click.option("-n", "no_change", is_flag=True, help="Change nothing; this is what it does anyway.")
@click.option("-p", "-a", "preen", is_flag=True, help="Repair what is safe to repair (not in this version).")
@click.option("-y", "yes", is_flag=True, help="Repair everything (not in this version).")
@click.option("-f", "--force", is_flag=True, help="Check even if the volume was closed cleanly; it always does.")
@click.option("--data", is_flag=True, help="Also read every data block and compare its checksum.")
@click.option("--list-passes", is_flag=True, help="Show what is checked, in order, and end.")
@JSON
def fsck(
    image: str | None,
    no_change: bool,
    preen: bool,
    yes: bool,
    force: bool,
    data: bool,
    list_passes: bool,
    as_json: bool,
) -> int:
    """Check a volume and say what is wrong; nothing is changed.

    Exit codes: 0 clean, 4 errors left, 8 could not check, 16 usage, 32 cancelled.
    """
    if preen or yes:
        fail("this version checks and does not repair: run without -p, -a and -y")
    if list_passes:
        _print_passes(as_json)
        return CLEAN
    if image is None:
        fail("missing argument IMAGE")
    with bar("checking") as update:
        progress = None
        if update is not None:
            progress = lambda name, done, total: update(done, total, name)  # noqa: E731
        report = vexfs.fsck(image, data=data, progress=progress)
    if as_json:
        print_json(report.to_dict())
    else:
        for line in _lines(report):
            print(escaped(line))
        print(f"{image}: {_state(report)}, {report.files} files, {report.blocks_used} of {report.blocks} blocks used")
    return CLEAN if report.clean else UNCORRECTED


def _lines(report: vexfs.FsckReport) -> Iterator[str]:
    """Every finding with where it is and what a repair does; then what the findings do not tell."""
    for finding in report.findings:
        place = f"{finding.path}: " if hasattr(finding, "path") else ""
        yield f"{finding.severity} {finding.number} {finding.name}: {place}{finding.message}"
        yield f"    repair: {finding.repair}"
    listed = Counter(finding.number for finding in report.findings)
    for kind in report.counts:
        if kind.count > listed[kind.number]:
            yield f"{kind.number} {kind.name}: {kind.count - listed[kind.number]} more, {kind.count} in all"
    for step in report.passes:
        if step.state == "partial" or (step.state == "skipped" and not report.clean):
            yield f"pass {step.id} {step.name} was {step.state}: {getattr(step, 'note', 'no reason given')}"


def _state(report: vexfs.FsckReport) -> str:
    found = sum(kind.count for kind in report.counts)
    return "clean" if report.clean else "1 finding" if found == 1 else f"{found} findings"


def _print_passes(as_json: bool) -> None:
    passes = vexfs.fsck_passes()
    if as_json:
        print_json([entry.to_dict() for entry in passes])
    else:
        print_rows([(str(entry.id), entry.name, entry.what) for entry in passes], "r")


@click.command(cls=Check)
@click.argument("image", type=IMAGE)
@click.option("--dry-run", is_flag=True, help="Recover in memory only and write nothing.")
@click.option("--workers", type=click.IntRange(1, 256), help="Threads; one a processor, at most 16, if not given.")
@JSON
def recover(image: str, dry_run: bool, workers: int | None, as_json: bool) -> int:
    """Bring a volume that was not closed to its last committed state, as opening it does.

    Exit codes: 0 there was nothing to do, 1 recovered, 4 (with --dry-run) there is something to recover or it is
    damaged, 8 failed, 32 cancelled.
    """
    with bar("recovering") as update:
        rate = Rate()

        def progress(phase: str, operations: int, read: int) -> None:
            if update is not None:
                update(0, None, f"{phase}, {operations:,} operations, {format_size(read)}, {rate.of(read)}")

        # Also without a bar: whoever watches can stop it.
        report = vexfs.recover(image, workers, dry_run=dry_run, progress=progress)
    print_report(report, as_json)
    if report.clean:
        return CLEAN
    return UNCORRECTED if dry_run else CORRECTED
