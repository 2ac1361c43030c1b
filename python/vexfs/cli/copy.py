"""The command cp: into a volume, out of it, within it, between two."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from vexfs.cli.change import into
from vexfs.cli.place import PLACE, Place, Volumes
from vexfs.cli.show import transfer_progress
from vexfs.cli.verb import Verb, fail, refused
from vexfs.tree import Host, Inside, copy_into, copy_out

if TYPE_CHECKING:
    from vexfs import Volume

__all__ = ["cp"]

PIECE = 8 << 20


@click.command(cls=Verb)
@click.argument("sources", type=PLACE, nargs=-1, required=True, metavar="SRC...")
@click.argument("target", type=PLACE, metavar="DST")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories with everything in them.")
def cp(sources: tuple[Place, ...], target: Place, recursive: bool) -> int:
    """Copy files. Either side may be IMAGE:/path; - is standard input or output.

    Modes, times, owners, links, holes and attributes are kept, as with cp -a; a symbolic link is copied itself, unless
    a / follows its name. Between the machine and a volume, user attributes and access control lists travel. What
    cannot be read is said and left out, and the exit code is 1.
    """
    if target.image is None and all(source.image is None for source in sources):
        fail("neither side is in a volume: write IMAGE:/path")
    if len(sources) > 1 and any(source.is_stream for source in sources):
        fail("standard input can only be copied alone")
    with Volumes("r") as volumes:
        if target.image is not None:
            volumes.of(target, "rw")
        if len(sources) > 1 and not _is_directory(volumes, target, follow=True):
            fail(f"{target} is not a directory")
        for source in sources:
            with volumes.trying(source):
                _copy(volumes, source, target, recursive)
        return volumes.failed


def _is_directory(volumes: Volumes, place: Place, follow: bool) -> bool:
    if place.is_stream:
        return False
    if place.image is not None:
        return volumes.of(place).is_dir(place.path, follow_symlinks=follow)
    return os.path.isdir(place.path) and (follow or not os.path.islink(place.path))


def _copy(volumes: Volumes, source: Place, target: Place, recursive: bool) -> None:
    follow = source.path.endswith("/")
    if source.is_stream:
        _from_stream(volumes.of(target), target)
    elif _is_directory(volumes, source, follow) and not recursive:
        raise refused(f"{source} is a directory: use -r")
    elif target.is_stream:
        _to_stream(volumes.of(source), source.path)
    else:
        _copy_tree(volumes, source, target, follow)


def _from_stream(volume: Volume, target: Place) -> None:
    if volume.is_dir(target.path):
        fail(f"{target} is a directory: name the file")
    with volume.open(target.path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, PIECE)


def _to_stream(volume: Volume, path: str) -> None:
    with volume.open(path, "rb", buffering=0) as file:
        shutil.copyfileobj(file, sys.stdout.buffer, PIECE)
    sys.stdout.buffer.flush()


def _copy_tree(volumes: Volumes, source: Place, target: Place, follow: bool) -> None:
    with transfer_progress(source.path) as progress:
        tell = volumes.teller(source)
        if target.image is None:
            goal = _into_host(source.path, target.path)
            copy_out(volumes.of(source), os.fsencode(source.path), os.fsencode(goal), progress, tell, follow)
            return
        volume = volumes.of(target)
        if source.image is None:
            goal = into(volume, os.path.abspath(source.path), target.path)
            copy_into(volume, Host(), os.fsencode(source.path), os.fsencode(goal), progress, tell, follow)
            return
        goal = into(volume, source.path, target.path)
        if volumes.of(source) is volume and _within(volume, source.path, goal, follow):
            fail(f"{source} cannot be copied to itself, or into itself")
        origin = Inside(volumes.of(source))
        copy_into(volume, origin, os.fsencode(source.path), os.fsencode(goal), progress, tell, follow)


def _into_host(source: str, target: str) -> str:
    """Where a thing goes on the machine: into `target` if that is a directory, else to `target` itself."""
    name = os.path.basename(source.rstrip("/"))
    return os.path.join(target, name) if os.path.isdir(target) and name not in ("", ".", "..") else target


def _within(volume: Volume, source: str, goal: str, follow: bool) -> bool:
    """Whether `goal` is the source, or lies somewhere in it."""
    inode, root = volume.stat(source, follow_symlinks=follow).st_ino, volume.stat("/").st_ino
    found = volume.stat_or_none(goal, follow_symlinks=False)
    if found is not None and found.st_ino == inode:
        return True
    while not volume.is_dir(goal):
        goal = goal.rstrip("/").rpartition("/")[0] or "/"
    while (here := volume.stat(goal).st_ino) not in (inode, root):
        goal += "/.."
    return here == inode
