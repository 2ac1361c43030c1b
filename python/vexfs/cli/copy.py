"""The command cp: into a volume, out of it, within it, between two."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from vexfs.cli.change import into
from vexfs.cli.place import PLACE, Place, Volumes
from vexfs.cli.show import transfer_progress
from vexfs.cli.verb import Verb, fail, warn

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

    Modes, times, links and attributes are kept, as with cp -a.
    """
    if target.image is None and all(source.image is None for source in sources):
        fail("neither side is in a volume: write IMAGE:/path")
    if len(sources) > 1 and any(source.is_stream for source in sources):
        fail("standard input can only be copied alone")
    with Volumes("r") as volumes:
        if target.image is not None:
            volumes.of(target, "rw")
        if len(sources) > 1 and not _is_directory(volumes, target):
            fail(f"{target} is not a directory")
        failed = 0
        for source in sources:
            if _is_directory(volumes, source) and not recursive:
                warn(f"{source} is a directory: use -r")
                failed = 1
            else:
                _copy(volumes, source, target)
        return failed


def _is_directory(volumes: Volumes, place: Place) -> bool:
    if place.is_stream:
        return False
    return os.path.isdir(place.path) if place.image is None else volumes.of(place).is_dir(place.path)


def _copy(volumes: Volumes, source: Place, target: Place) -> None:
    if target.is_stream:
        with volumes.of(source).open(source.path, "rb", buffering=0) as file:
            shutil.copyfileobj(file, sys.stdout.buffer, PIECE)
        sys.stdout.buffer.flush()
    elif target.image is None:
        goal = target.path
        if os.path.isdir(goal):
            goal = os.path.join(goal, os.path.basename(source.path.rstrip("/")))
        with transfer_progress(source.path) as progress:
            volumes.of(source).export_tree(source.path, goal, progress=progress)
    elif source.is_stream:
        volume = volumes.of(target)
        if volume.is_dir(target.path):
            fail(f"{target} is a directory: name the file")
        with volume.open(target.path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, PIECE)
    elif source.image is None:
        volume = volumes.of(target)
        goal = into(volume, os.path.abspath(source.path), target.path)
        with transfer_progress(source.path) as progress:
            volume.import_tree(source.path, goal, progress=progress)
    else:
        _between(volumes.of(source), source.path, volumes.of(target), target.path)


def _between(source: Volume, path: str, target: Volume, goal: str) -> None:
    """Copies within a volume, or from one to another."""
    goal = into(target, path, goal)
    if not source.is_dir(path):
        _one(source, path, target, goal)
        return
    if source is target and f"{goal.rstrip('/')}/".startswith(f"{path.rstrip('/')}/"):
        fail(f"{path} cannot be copied into itself")
    for directory, directories, names in source.walk(path):
        there = goal + directory[len(path.rstrip("/")) :]
        target.mkdir(there, parents=True, exist_ok=True)
        for name in [*names, *(name for name in directories if source.is_symlink(f"{directory}/{name}"))]:
            _one(source, f"{directory.rstrip('/')}/{name}", target, f"{there.rstrip('/')}/{name}")
    for directory, _, _ in source.walk(path, topdown=False):
        _attributes(source, directory, target, goal + directory[len(path.rstrip("/")) :])


def _one(source: Volume, path: str, target: Volume, goal: str) -> None:
    if source.is_symlink(path):
        target.symlink(source.readlink(path), goal)
    elif not source.is_file(path):
        status = source.stat(path, follow_symlinks=False)
        target.mknod(goal, status.st_mode, status.st_rdev)
    elif source is target:
        target.copy(path, goal)
    else:
        with source.open(path, "rb", buffering=0) as here, target.open(goal, "wb", buffering=0) as there:
            shutil.copyfileobj(here, there, PIECE)
    _attributes(source, path, target, goal)


def _attributes(source: Volume, path: str, target: Volume, goal: str) -> None:
    status: Any = source.stat(path, follow_symlinks=False)
    for name in source.listxattr(path, follow_symlinks=False):
        target.setxattr(goal, name, source.getxattr(path, name, follow_symlinks=False), follow_symlinks=False)
    target.set_attributes(
        goal,
        mode=None if source.is_symlink(path) else status.st_mode & 0o7777,
        uid=status.st_uid,
        gid=status.st_gid,
        atime_ns=status.st_atime_ns,
        mtime_ns=status.st_mtime_ns,
        follow_symlinks=False,
    )
