"""Commands that look into a volume: ls, tree, stat, cat, find, du."""

from __future__ import annotations

import fnmatch
import grp
import pwd
import stat as modes
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import click

from vexfs.cli.place import INSIDE, Place, Volumes, opened, parse_place
from vexfs.cli.show import name_of, print_json, print_rows, printable, time_of
from vexfs.cli.verb import Verb, fail
from vexfs.cli.volume import JSON
from vexfs.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vexfs import DirEntry, Stat, Volume

__all__ = ["cat", "du", "find", "ls", "stat", "tree"]

KINDS = {
    modes.S_IFREG: "file",
    modes.S_IFDIR: "directory",
    modes.S_IFLNK: "link",
    modes.S_IFIFO: "fifo",
    modes.S_IFSOCK: "socket",
    modes.S_IFCHR: "character device",
    modes.S_IFBLK: "block device",
}


def kind_of(status: Stat) -> str:
    """The kind of a file as a word."""
    return KINDS.get(modes.S_IFMT(status.st_mode), "unknown")


@lru_cache
def user_name(uid: int) -> str:
    """The machine's name of a user, or the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache
def group_name(gid: int) -> str:
    """The machine's name of a group, or the number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def described(volume: Volume, path: str, status: Stat) -> dict[str, Any]:
    """Everything `stat` tells, as JSON has it."""
    found: dict[str, Any] = {
        "path": path,
        "type": kind_of(status),
        "mode": f"{modes.S_IMODE(status.st_mode):04o}",
        "inode": status.st_ino,
        "links": status.st_nlink,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "size": status.st_size,
        "blocks": status.st_blocks,
        "accessed_ns": status.st_atime_ns,
        "modified_ns": status.st_mtime_ns,
        "changed_ns": status.st_ctime_ns,
        "born_ns": status.st_birthtime_ns,
    }
    if modes.S_ISLNK(status.st_mode):
        found["target"] = volume.readlink(path)
    if modes.S_ISCHR(status.st_mode) or modes.S_ISBLK(status.st_mode):
        found["device"] = status.st_rdev
    return found


def listing(volume: Volume, path: str) -> list[DirEntry]:
    """The entries of a directory in the order of their names."""
    with volume.scandir(path) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def below(volume: Volume, top: str) -> Iterator[tuple[str, Stat]]:
    """A path and everything below it, each directory before its content."""
    stack = [top]
    while stack:
        path = stack.pop()
        status = volume.stat(path, follow_symlinks=False)
        yield path, status
        if modes.S_ISDIR(status.st_mode):
            stack.extend(entry.path for entry in reversed(listing(volume, path)))


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-l", "--long", is_flag=True, help="With mode, links, owner, group, size and time.")
@click.option("-R", "--recursive", is_flag=True, help="With everything below.")
@JSON
def ls(places: tuple[Place, ...], long: bool, recursive: bool, as_json: bool) -> int:
    """List directories."""
    with Volumes("r") as volumes:
        sections = _sections(volumes, places, recursive)
        if as_json:
            print_json([row for place, volume, _, entries in sections for row in _rows(place, volume, entries)])
            return volumes.failed
        for number, (_, volume, title, entries) in enumerate(sections):
            if title is not None and (recursive or len(places) > 1):
                print(("\n" if number else "") + f"{name_of(title)}:")
            _print_entries(volume, entries, long)
        return volumes.failed


Entries = list[tuple[str, str, "Stat"]]
"""`(name, path, status)` of what is listed."""


def _rows(place: Place, volume: Volume, entries: Entries) -> list[dict[str, Any]]:
    return [{"image": place.image, **described(volume, path, status)} for _, path, status in entries]


def _sections(
    volumes: Volumes, places: tuple[Place, ...], recursive: bool
) -> Iterator[tuple[Place, Volume, str | None, Entries]]:
    """What to list for each argument that can be listed."""
    for place in places:
        with volumes.trying(place):
            volume = volumes.of(place)
            for title, entries in _listings(volume, place.path, recursive):
                yield place, volume, title, entries


def _listings(volume: Volume, top: str, recursive: bool) -> Iterator[tuple[str | None, Entries]]:
    """For each directory its title and what is in it; a file is a listing of itself."""
    status = volume.stat(top)
    if not modes.S_ISDIR(status.st_mode):
        yield None, [(top, top, volume.stat(top, follow_symlinks=False))]
        return
    stack = [top]
    while stack:
        path = stack.pop()
        entries = listing(volume, path)
        yield path, [(entry.name, entry.path, entry.stat(follow_symlinks=False)) for entry in entries]
        if recursive:
            stack.extend(entry.path for entry in reversed(entries) if entry.is_dir(follow_symlinks=False))


def _print_entries(volume: Volume, entries: Entries, long: bool) -> None:
    if not long:
        for name, _, _ in entries:
            print(name_of(name))
        return
    rows = []
    for name, path, status in entries:
        shown = name_of(name)
        if modes.S_ISLNK(status.st_mode):
            shown += f" -> {name_of(volume.readlink(path))}"
        owner = user_name(status.st_uid), group_name(status.st_gid)
        links, size = str(status.st_nlink), str(status.st_size)
        rows.append((modes.filemode(status.st_mode), links, *owner, size, time_of(status.st_mtime_ns), shown))
    print_rows(rows, " r  r")


BRANCHES = ("├── ", "└── ", "│   ")
ASCII_BRANCHES = ("|-- ", "`-- ", "|   ")


@click.command(cls=Verb)
@click.argument("place", type=INSIDE, metavar="IMAGE:/PATH")
@JSON
def tree(place: Place, as_json: bool) -> None:
    """Draw a tree."""
    with opened(place) as volume:
        if as_json:
            print_json(_tree_of(volume, place.path))
            return
        print(name_of(str(place)))
        branch, last_branch, line = BRANCHES if printable("".join(BRANCHES)) else ASCII_BRANCHES
        counts = {True: 0, False: 0}
        stack = [("", entry, last) for entry, last in _branches(volume, place.path)]
        while stack:
            prefix, entry, last = stack.pop()
            directory = entry.is_dir(follow_symlinks=False)
            counts[directory] += 1
            target = f" -> {name_of(volume.readlink(entry.path))}" if entry.is_symlink() else ""
            print(f"{prefix}{last_branch if last else branch}{name_of(entry.name)}{target}")
            if directory:
                inner = prefix + ("    " if last else line)
                stack.extend((inner, below, end) for below, end in _branches(volume, entry.path))
        print(f"\n{counts[True]} directories, {counts[False]} files")


def _branches(volume: Volume, path: str) -> list[tuple[DirEntry, bool]]:
    """The entries, last first, each with whether it is the last."""
    entries = listing(volume, path)
    return [(entry, number == len(entries) - 1) for number, entry in reversed(list(enumerate(entries)))]


def _tree_of(volume: Volume, path: str) -> dict[str, Any]:
    nodes: dict[str, dict[str, Any]] = {}
    for below_path, status in below(volume, path):
        node = {"name": below_path.rpartition("/")[2] or "/", "type": kind_of(status), "size": status.st_size}
        if modes.S_ISDIR(status.st_mode):
            node["entries"] = []
        nodes[below_path] = node
        if below_path != path:
            nodes[below_path.rpartition("/")[0] or "/"]["entries"].append(node)
    return nodes[path]


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@JSON
def stat(places: tuple[Place, ...], as_json: bool) -> int:
    """Show the attributes of files; links are not followed."""
    found = []
    with Volumes("r") as volumes:
        for place in places:
            with volumes.trying(place):
                volume = volumes.of(place)
                found.append(described(volume, place.path, volume.stat(place.path, follow_symlinks=False)))
        if as_json:
            print_json(found if len(places) > 1 else next(iter(found), None))
            return volumes.failed
        for fields in found:
            _print_fields(fields)
        return volumes.failed


def _print_fields(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name.endswith("_ns"):
            name, value = name.removesuffix("_ns"), f"{time_of(value)}.{value % 1_000_000_000:09d}"
        print(f"{name:>9}  {name_of(str(value))}")


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
def cat(places: tuple[Place, ...]) -> int:
    """Write files to standard output."""
    with Volumes("r") as volumes:
        for place in places:
            with volumes.trying(place), volumes.of(place).open(place.path, "rb", buffering=0) as file:
                while piece := file.read(1 << 20):
                    sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return volumes.failed


@click.command(cls=Verb)
@click.argument("place", type=INSIDE, metavar="IMAGE:/PATH")
@click.option("-name", "--name", metavar="PATTERN", help="Whose name matches, as in the shell.")
@click.option("-type", "--type", "kind", type=click.Choice(list("fdlpscb")), help="File, directory, link, ...")
@click.option("-size", "--size", metavar="[+-]SIZE", help="Larger (+), smaller (-) or exactly so many bytes.")
@click.option("-newer", "--newer", metavar="PATH", help="Changed after this path of the volume.")
@JSON
def find(place: Place, name: str | None, kind: str | None, size: str | None, newer: str | None, as_json: bool) -> None:
    """Find files below a path."""
    letters = dict(zip("fdlpscb", KINDS_IN_ORDER, strict=True))
    wanted_size = _size_test(size)
    found = []
    with opened(place) as volume:
        after = None
        if newer is not None:
            after = volume.stat(parse_place(newer).path).st_mtime_ns
        for path, status in below(volume, place.path):
            if name is not None and not fnmatch.fnmatchcase(path.rpartition("/")[2] or "/", name):
                continue
            if kind is not None and modes.S_IFMT(status.st_mode) != letters[kind]:
                continue
            if not wanted_size(status.st_size) or (after is not None and status.st_mtime_ns <= after):
                continue
            if as_json:
                found.append(described(volume, path, status))
            else:
                print(name_of(path))
    if as_json:
        print_json(found)


KINDS_IN_ORDER = [
    modes.S_IFREG,
    modes.S_IFDIR,
    modes.S_IFLNK,
    modes.S_IFIFO,
    modes.S_IFSOCK,
    modes.S_IFCHR,
    modes.S_IFBLK,
]


def _size_test(text: str | None) -> Any:
    if text is None:
        return lambda size: True
    from vexfs.sizes import parse_size

    try:
        limit = parse_size(text.lstrip("+-"))
    except ValueError as error:
        fail(str(error))
    if text.startswith("+"):
        return lambda size: size > limit
    if text.startswith("-"):
        return lambda size: size < limit
    return lambda size: size == limit


@click.command(cls=Verb)
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-s", "--summarize", is_flag=True, help="Only the sum of each argument.")
@click.option("-b", "--bytes", "apparent", is_flag=True, help="Lengths of files instead of the space they occupy.")
@JSON
def du(places: tuple[Place, ...], summarize: bool, apparent: bool, as_json: bool) -> int:
    """Show how much space directories occupy; a file with several names counts once."""
    found: list[dict[str, Any]] = []
    with Volumes("r") as volumes:
        for place in places:
            with volumes.trying(place):
                sums = _sums(volumes.of(place), place.path, apparent)
                found.extend({"path": path, "bytes": sums[path]} for path in ([place.path] if summarize else sums))
        if as_json:
            print_json(found)
        else:
            shown = str if apparent else format_size
            print_rows([(shown(row["bytes"]), name_of(row["path"])) for row in found], "r")
        return volumes.failed


def _sums(volume: Volume, top: str, apparent: bool) -> dict[str, int]:
    """Bytes of each directory below `top`, deepest first, and of `top`."""
    seen: set[int] = set()
    sizes: dict[str, int] = {}
    directories: list[str] = []
    for path, status in below(volume, top):
        directory = modes.S_ISDIR(status.st_mode)
        if directory or path == top:
            directories.append(path)
            sizes[path] = 0
        if status.st_ino in seen and not directory:
            continue
        seen.add(status.st_ino)
        own = status.st_size if apparent else status.st_blocks * 512
        sizes[path if directory or path == top else path.rpartition("/")[0] or "/"] += own
    for path in reversed(directories):
        if path != top:
            sizes[path.rpartition("/")[0] or "/"] += sizes[path]
    return {path: sizes[path] for path in reversed(directories)}
