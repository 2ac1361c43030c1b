"""Commands about a volume as a whole: mkfs, tune, info, df, stats, checkpoint."""

from __future__ import annotations

from typing import Any

import click

import vexfs
from vexfs.cli.place import IMAGE, SIZE, Place, Volumes
from vexfs.cli.show import print_json, print_report, print_rows
from vexfs.cli.verb import Format, Judged, Verb, fail
from vexfs.sizes import format_size

__all__ = ["checkpoint", "df", "info", "make", "mkfs", "stats", "tune"]

PREALLOCATE = click.option("--preallocate", is_flag=True, help="Take all the room on the host now.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")


@click.command(cls=Format)
@click.argument("image", type=IMAGE)
@click.option("--size", type=SIZE, help="Of the volume: 2MiB to 16TiB. May be left out for what has a size already.")
@click.option("-L", "--label", default="", help="A name for people.")
@click.option("--journal-size", type=SIZE, help="Of the log; 1/32 of the volume if not given.")
@click.option("-f", "--force", is_flag=True, help="Format although there is something already.")
@PREALLOCATE
@JSON
def mkfs(image: str, size: int | None, as_json: bool, **options: Any) -> None:
    """Format a file or block device."""
    make(image, size, as_json, **options)


def make(image: str, size: int | None, as_json: bool, **options: Any) -> None:
    """What mkfs does; the options are those of `vexfs.mkfs`."""
    with vexfs.mkfs(image, size, **options) as volume:
        made = volume.info()
    if as_json:
        print_json(made.to_dict())
    else:
        name = f" {made.label!r}" if made.label else ""
        print(f"{image}: volume{name} of {format_size(made.size_bytes)}, UUID {made.uuid}")


@click.command(cls=Judged)
@click.argument("image", type=IMAGE)
@click.option("-L", "--label", help="A name for people, at most 64 bytes.")
@JSON
def tune(image: str, label: str | None, as_json: bool) -> None:
    """Change what mkfs decided. Nobody may have the volume open."""
    if label is None:
        fail("nothing to change: give -L")
    vexfs.tune(image, label=label)
    with vexfs.open(image, "r") as volume:
        print_report(volume.info(), as_json)


@click.command(cls=Verb)
@click.argument("image", type=IMAGE)
@JSON
def info(image: str, as_json: bool) -> None:
    """Show geometry and features."""
    with vexfs.open(image, "r") as volume:
        print_report(volume.info(), as_json)


@click.command(cls=Verb)
@click.argument("images", type=IMAGE, nargs=-1, required=True, metavar="IMAGE...")
@JSON
def df(images: tuple[str, ...], as_json: bool) -> int:
    """Show how much space and how many inodes are used and free."""
    found = []
    with Volumes("r") as volumes:
        for image in images:
            place = Place(image, "/")
            with volumes.trying(place):
                found.append((image, volumes.of(place).statvfs()))
    if found or as_json:
        _print_space(found, as_json)
    return volumes.failed


def _print_space(found: list[tuple[str, vexfs.StatVfs]], as_json: bool) -> None:
    rows = [("Size", "Used", "Avail", "Use%", "Inodes", "IUsed", "Image")]
    report = []
    for image, status in found:
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        size, available = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
        inodes_used = status.f_files - status.f_ffree
        report.append(
            {
                "image": image,
                "size_bytes": size,
                "used_bytes": used,
                "available_bytes": available,
                "inodes": status.f_files,
                "inodes_used": inodes_used,
                "inodes_free": status.f_ffree,
            }
        )
        share = f"{-(-100 * used // max(used + available, 1))}%"
        sizes = format_size(size), format_size(used), format_size(available)
        rows.append((*sizes, share, str(status.f_files), str(inodes_used), image))
    if as_json:
        print_json(report)
    else:
        print_rows(rows, "rrrrrr")


@click.command(cls=Verb)
@click.argument("image", type=IMAGE)
@JSON
def stats(image: str, as_json: bool) -> None:
    """Show how space, inodes, the tree and the log are used, and which checkpoints are kept."""
    from vexfs.cli.figures import figures

    print_report(figures(image), as_json)


@click.command(cls=Verb)
@click.argument("image", type=IMAGE)
@JSON
def checkpoint(image: str, as_json: bool) -> None:
    """Write a checkpoint: the log is empty afterwards, and the next opening has nothing to recover."""
    with vexfs.open(image) as volume:
        number = volume.checkpoint()
    if as_json:
        print_json({"checkpoint": number})
    else:
        print(f"{image}: checkpoint {number}")
