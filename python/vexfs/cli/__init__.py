"""The command line: `vexfs`, `mkfs.vexfs`, `fsck.vexfs`."""

from __future__ import annotations

import importlib
import os
from typing import Any

import click

from vexfs import __version__
from vexfs.cli.verb import Verb, run

__all__ = ["main", "vexfs"]

COMMANDS = {
    "mkfs": "volume",
    "tune": "volume",
    "info": "volume",
    "df": "volume",
    "stats": "volume",
    "checkpoint": "volume",
    "ls": "look",
    "tree": "look",
    "stat": "look",
    "cat": "look",
    "find": "look",
    "du": "look",
    "cp": "copy",
    "mv": "change",
    "rm": "change",
    "mkdir": "change",
    "ln": "change",
    "touch": "change",
    "truncate": "change",
    "chmod": "attributes",
    "chown": "attributes",
    "xattr": "attributes",
    "fsck": "check",
    "recover": "check",
    "debug": "debug",
    "completion": "shell",
    "install-helpers": "shell",
}
"""Which file a command is in: it is loaded when the command is used."""


class Commands(click.Group):
    """Finds commands in the files of this folder."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loads the file that has the command."""
        if cmd_name not in COMMANDS:
            return None
        module: Any = importlib.import_module(f"vexfs.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=Commands, context_settings=Verb.SETTINGS)
@click.version_option(__version__, prog_name="vexfs")
def vexfs() -> None:
    """Work with a VexFS volume.

    IMAGE is a file or a block device; IMAGE:/path is a place inside. Results go to standard output, everything else to
    standard error.
    """


def main() -> None:
    """The command `vexfs`."""
    if "_VEXFS_COMPLETE" in os.environ:
        importlib.import_module("vexfs.cli.completing")
    run(vexfs, "vexfs")
