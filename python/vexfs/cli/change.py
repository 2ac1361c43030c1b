"""Commands that change the tree: mv, rm, mkdir, ln, touch, truncate."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

import click

from vexfs.cli.place import INSIDE, PLACE, SIZE, Place, Volumes, opened
from vexfs.cli.verb import Verb, fail, refused

if TYPE_CHECKING:
    from vexfs import Volume

__all__ = ["ln", "mkdir", "mv", "rm", "touch", "truncate"]


def into(volume: Volume, source: str, target: str) -> str:
    """Where a thing goes: into `target` if that is a directory, else to `target` itself."""
    if not volume.is_dir(target):
        return target
    name = source.rstrip("/").rpartition("/")[2]
    return f"{target.rstrip('/')}/{name}"


@click.command(cls=Verb)
@click.argument("sources", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/SRC...")
@click.argument("target", type=INSIDE, metavar="IMAGE:/DST")
@click.option("-n", "--no-clobber", is_flag=True, help="An existing target is an error.")
def mv(sources: tuple[Place, ...], target: Place, no_clobber: bool) -> None:
    """Rename, or move into a directory; all or nothing."""
    if any(source.image != target.image for source in sources):
        fail("a move stays in one volume; use cp and rm between volumes")
    with opened(target, "rw") as volume, volume.transaction() as transaction:
        if len(sources) > 1 and not transaction.is_dir(target.path):
            fail(f"{target} is not a directory")
        for source in sources:
            goal = into(transaction, source.path, target.path)  # type: ignore[arg-type]
            transaction.rename(source.path, goal, noreplace=no_clobber)


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories and what is in them.")
@click.option("-f", "--force", is_flag=True, help="What is missing is no error.")
def rm(places: tuple[Place, ...], recursive: bool, force: bool) -> int:
    """Remove files."""
    with Volumes("rw") as volumes:
        for place in places:
            with volumes.trying(place):
                _remove(volumes.of(place), place, recursive, force)
        return volumes.failed


def _remove(volume: Volume, place: Place, recursive: bool, force: bool) -> None:
    if not volume.is_dir(place.path, follow_symlinks=False):
        volume.unlink(place.path, missing_ok=force)
    elif recursive:
        volume.rmtree(place.path)
    else:
        raise refused(f"{place} is a directory: use -r")


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-p", "--parents", is_flag=True, help="With what is missing above; existing is no error.")
@click.option("-m", "--mode", default="777", metavar="OCTAL", help="Permissions, before the umask.")
def mkdir(places: tuple[Place, ...], parents: bool, mode: str) -> int:
    """Make directories."""
    if not re.fullmatch("[0-7]{1,4}", mode):
        fail(f"{mode!r} is not an octal mode, such as 755")
    with Volumes("rw") as volumes:
        for place in places:
            with volumes.trying(place):
                volumes.of(place).mkdir(place.path, int(mode, 8), parents=parents, exist_ok=parents)
        return volumes.failed


@click.command(cls=Verb)
@click.argument("target", type=PLACE, metavar="TARGET")
@click.argument("place", type=INSIDE, metavar="IMAGE:/PATH")
@click.option("-s", "--symbolic", is_flag=True, help="A symbolic link: TARGET is any text.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing file.")
def ln(target: Place, place: Place, symbolic: bool, force: bool) -> None:
    """Make a link; TARGET is IMAGE:/path, or any text with -s."""
    if not symbolic and target.image != place.image:
        fail("both names of a link are in one volume: write IMAGE:/target")
    with opened(place, "rw") as volume, volume.transaction() as transaction:
        path = into(transaction, target.path, place.path)  # type: ignore[arg-type]
        if force and transaction.exists(path, follow_symlinks=False):
            transaction.unlink(path)
        if symbolic:
            transaction.symlink(str(target) if target.image else target.path, path)
        else:
            transaction.link(target.path, path)


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-c", "--no-create", is_flag=True, help="What is missing stays missing.")
def touch(places: tuple[Place, ...], no_create: bool) -> int:
    """Set times to now; create empty files."""
    with Volumes("rw") as volumes:
        for place in places:
            with volumes.trying(place):
                volume = volumes.of(place)
                if not no_create or volume.exists(place.path):
                    volume.touch(place.path)
        return volumes.failed


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-s", "--size", type=SIZE, required=True, help="The new length.")
@click.option("-c", "--no-create", is_flag=True, help="What is missing stays missing.")
def truncate(places: tuple[Place, ...], size: int, no_create: bool) -> int:
    """Cut or grow files; what is added is a hole."""
    with Volumes("rw") as volumes:
        for place in places:
            with volumes.trying(place):
                _truncate(volumes.of(place), place, size, no_create)
        return volumes.failed


def _truncate(volume: Volume, place: Place, size: int, no_create: bool) -> None:
    found = volume.stat_or_none(place.path)
    if found is None and no_create:
        return
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise refused(f"{place} is a directory, which has no length to set")
    with volume.transaction() as transaction:
        if found is None:
            transaction.touch(place.path)
        transaction.truncate(place.path, size)
