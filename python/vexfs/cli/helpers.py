"""The programs that mkfs(8) and fsck(8) look for."""

from __future__ import annotations

from typing import Any

import click

from vexfs import __version__
from vexfs.cli import check
from vexfs.cli.place import IMAGE, SIZE
from vexfs.cli.verb import Check, Format, run
from vexfs.cli.volume import JSON, PREALLOCATE, make

__all__ = ["fsck", "mkfs"]


@click.command(cls=Format)
@click.argument("device", type=IMAGE)
@click.argument("size", type=SIZE, required=False)
@click.option("--size", "size_option", type=SIZE, help="As the second argument.")
@click.option("-L", "--label", default="", help="A name for people.")
@click.option("--journal-size", type=SIZE, help="Of the log; 1/32 of the volume if not given.")
@click.option("-f", "-F", "--force", is_flag=True, help="Format although there is something already.")
@click.option("-v", "--verbose", is_flag=True, hidden=True, help="Accepted for mkfs(8); changes nothing.")
@click.version_option(__version__, "-V", "--version", prog_name="mkfs.vexfs")
@PREALLOCATE
@JSON
def mkfs_command(
    device: str, size: int | None, size_option: int | None, verbose: bool, as_json: bool, **options: Any
) -> None:
    """Format a file or block device as a VexFS volume."""
    make(device, size if size is not None else size_option, as_json, **options)


fsck_command = click.version_option(__version__, "-V", "--version", prog_name="fsck.vexfs")(
    Check("fsck.vexfs", params=list(check.fsck.params), callback=check.fsck.callback, help=check.fsck.help)
)


def mkfs() -> None:
    """The program `mkfs.vexfs`."""
    run(mkfs_command, "mkfs.vexfs")


def fsck() -> None:
    """The program `fsck.vexfs`."""
    run(fsck_command, "fsck.vexfs")
