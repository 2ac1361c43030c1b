"""Commands about the machine: completion, install-helpers."""

from __future__ import annotations

import os
import shutil
import sys

import click
from click.shell_completion import get_completion_class

from vexfs.cli.verb import Verb, warn

__all__ = ["completion", "install_helpers"]

HELPERS = ("mkfs.vexfs", "fsck.vexfs")


@click.command(cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: eval "$(vexfs completion bash)"      in ~/.bashrc
    zsh:  eval "$(vexfs completion zsh)"       in ~/.zshrc
    fish: vexfs completion fish | source       in ~/.config/fish/config.fish
    """
    from vexfs.cli import completing, vexfs

    del completing  # it is there for what importing it does
    kind = get_completion_class(shell)
    assert kind is not None
    print(kind(vexfs, {}, "vexfs", "_VEXFS_COMPLETE").source())


@click.command(cls=Verb)
@click.option("--directory", default="/sbin", show_default=True, help="Where mkfs -t and fsck -t look.")
def install_helpers(directory: str) -> int:
    """Link mkfs.vexfs and fsck.vexfs where mkfs(8) and fsck(8) look for them."""
    for name in HELPERS:
        program = os.path.join(os.path.dirname(sys.executable), name)
        found = program if os.path.exists(program) else shutil.which(name)
        if found is None:
            warn(f"{name} is not installed beside {sys.executable}: install the package again")
            return 1
        link = os.path.join(directory, name)
        if os.path.realpath(link) == os.path.realpath(found):
            print(f"{link} is there")
            continue
        if os.path.lexists(link) and not os.path.islink(link):
            warn(f"{link} is there and is no link: remove it first")
            return 1
        if os.path.islink(link):
            os.unlink(link)
        os.symlink(os.path.abspath(found), link)
        print(f"{link} -> {os.path.abspath(found)}")
    return 0
