"""Commands for whoever works on the format: debug show."""

from __future__ import annotations

import json

import click

from vexfs import _vexfs
from vexfs.cli.place import IMAGE
from vexfs.cli.show import print_json, print_report
from vexfs.cli.verb import USAGE, Verb
from vexfs.cli.volume import JSON
from vexfs.report import Report

__all__ = ["debug"]


class Show(Verb):
    """A structure that needs a number and got none, or the other way round, is a matter of usage."""

    def code_of(self, error: Exception) -> int:
        """16 for bad arguments."""
        return USAGE if getattr(error, "code", "") == "invalid_argument" else self.failure


@click.group(context_settings=Verb.SETTINGS)
def debug() -> None:
    """Look at the structures of a volume."""


@debug.command(cls=Show)
@click.argument("image", type=IMAGE)
@click.argument("what", type=click.Choice(["superblock", "checkpoint", "journal", "inode", "node", "block"]))
@click.argument("number", type=int, required=False)
@JSON
def show(image: str, what: str, number: int | None, as_json: bool) -> None:
    """Show one structure: the superblock, a checkpoint, the frames of the journal, an inode, a tree node, a block."""
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
