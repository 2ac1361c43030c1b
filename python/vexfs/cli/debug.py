"""Commands for whoever works on the format: debug show."""

from __future__ import annotations

import json

import click

from vexfs import _vexfs
from vexfs.cli.place import IMAGE
from vexfs.cli.show import print_json, print_report
from vexfs.cli.verb import Judged, Verb
from vexfs.cli.volume import JSON
from vexfs.report import Report

__all__ = ["debug"]


WHAT = ["superblock", "checkpoint", "retained", "group", "journal", "inode", "node", "block"]


@click.group(context_settings=Verb.SETTINGS)
def debug() -> None:
    """Look at the structures of a volume."""


@debug.command(cls=Judged)
@click.argument("image", type=IMAGE)
@click.argument("what", type=click.Choice(WHAT))
@click.argument("number", type=int, required=False)
@JSON
def show(image: str, what: str, number: int | None, as_json: bool) -> None:
    """Show one structure: the superblock, checkpoints in the ring and those retained, the free space of groups, the
    frames of the journal, an inode, a tree node, a block."""
    found = json.loads(_vexfs.debug_show(image, what, number))
    if isinstance(found, list):
        if as_json:
            print_json(found)
        else:
            for entry in found:
                print_report(Report(entry), False)
                print()
    else:
        print_report(Report(found), as_json)
