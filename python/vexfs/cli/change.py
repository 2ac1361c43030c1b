"""Commands that change the tree: mv, rm, mkdir, ln, touch, truncate."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import click

import vexfs
from vexfs.cli.place import INSIDE, PLACE, SIZE, Place, Volumes, opened
from vexfs.cli.verb import Verb, fail

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
def rm(places: tuple[Place, ...], recursive: bool, force: bool) -> None:
    """Remove files."""
    with Volumes("rw") as volumes:
        for place in places:
            volume = volumes.of(place)
            try:
                if recursive and volume.is_dir(place.path, follow_symlinks=False):
                    volume.rmtree(place.path)
                else:
                    volume.unlink(place.path)
            except FileNotFoundError:
                if not force:
                    raise


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-p", "--parents", is_flag=True, help="With what is missing above; existing is no error.")
@click.option("-m", "--mode", default="777", metavar="OCTAL", help="Permissions, before the umask.")
def mkdir(places: tuple[Place, ...], parents: bool, mode: str) -> None:
    """Make directories."""
    try:
        bits = int(mode, 8)
    except ValueError:
        fail(f"{mode!r} is not an octal mode")
    with Volumes("rw") as volumes:
        for place in places:
            volumes.of(place).mkdir(place.path, bits, parents=parents, exist_ok=parents)


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
def touch(places: tuple[Place, ...], no_create: bool) -> None:
    """Set times to now; create empty files."""
    with Volumes("rw") as volumes:
        for place in places:
            volume = volumes.of(place)
            if not no_create or volume.exists(place.path):
                volume.touch(place.path)


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-s", "--size", type=SIZE, required=True, help="The new length.")
@click.option("-c", "--no-create", is_flag=True, help="What is missing stays missing.")
def truncate(places: tuple[Place, ...], size: int, no_create: bool) -> None:
    """Cut or grow files; what is added is a hole."""
    with Volumes("rw") as volumes:
        for place in places:
            volume = volumes.of(place)
            found = volume.exists(place.path)
            if not found and no_create:
                continue
            if found and stat.S_ISDIR(volume.stat(place.path).st_mode):
                raise vexfs.IsADirectory(21, "a directory has no length to set", place.path)
            with volume.transaction() as transaction:
                if not found:
                    transaction.touch(place.path)
                transaction.truncate(place.path, size)
