"""Commands about modes, owners and extended attributes: chmod, chown, xattr."""

from __future__ import annotations

import base64
import grp
import pwd
import re
import stat
import sys
from typing import TYPE_CHECKING

import click

from vexfs.cli.look import below
from vexfs.cli.place import INSIDE, Place, Volumes, opened
from vexfs.cli.show import escaped, name_of, print_json
from vexfs.cli.verb import Verb, fail
from vexfs.cli.volume import JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vexfs import Stat, Volume

__all__ = ["chmod", "chown", "xattr"]

CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*)+)")
BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}


def changed_mode(text: str) -> Callable[[int, bool], int]:
    """What a mode argument of chmod(1), octal or symbolic, makes of a mode (and whether it is a directory)."""
    if re.fullmatch(r"[0-7]{1,4}", text):
        return lambda mode, directory: int(text, 8)
    clauses = [CLAUSE.fullmatch(part) for part in text.split(",")]
    if not all(clauses):
        fail(f"{text!r} is not a mode: write 644 or u+x,go-w")

    def change(mode: int, directory: bool) -> int:
        for clause in clauses:
            assert clause is not None
            people = "ugo" if not clause[1] or "a" in clause[1] else clause[1]
            mask = sum(WHO[who] for who in set(people))
            for sign, letters in re.findall(r"([-+=])([rwxXst]*)", clause[2]):
                bits = _bits(letters, mask, mode, directory)
                if sign == "=":
                    mode = mode & ~(mask & (0o777 if directory else 0o7777)) | bits
                else:
                    mode = mode | bits if sign == "+" else mode & ~bits
        return mode

    return change


def _bits(letters: str, mask: int, mode: int, directory: bool) -> int:
    bits = 0
    for letter in letters:
        if letter == "X":
            bits |= 0o111 & mask if directory or mode & 0o111 else 0
        elif letter == "s":
            bits |= 0o6000 & mask
        elif letter == "t":
            bits |= 0o1000
        else:
            bits |= BITS[letter] & mask
    return bits


def _each(volume: Volume, path: str, recursive: bool) -> Iterator[tuple[str, Stat]]:
    if recursive:
        yield from below(volume, path)
    else:
        yield path, volume.stat(path)


@click.command(cls=Verb, context_settings={**Verb.SETTINGS, "ignore_unknown_options": True})
@click.argument("mode")
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-R", "--recursive", is_flag=True, help="With everything below; links are left alone.")
def chmod(mode: str, places: tuple[Place, ...], recursive: bool) -> int:
    """Change permissions: MODE is octal or like u+x,go-w."""
    change = changed_mode(mode)
    with Volumes("rw") as volumes:
        for place in places:
            with volumes.trying(place):
                volume = volumes.of(place)
                for path, status in _each(volume, place.path, recursive):
                    if not stat.S_ISLNK(status.st_mode):
                        directory = stat.S_ISDIR(status.st_mode)
                        volume.chmod(path, change(stat.S_IMODE(status.st_mode), directory))
        return volumes.failed


@click.command(cls=Verb)
@click.argument("owner", metavar="[USER][:GROUP]")
@click.argument("places", type=INSIDE, nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.option("-R", "--recursive", is_flag=True, help="With everything below, links themselves included.")
def chown(owner: str, places: tuple[Place, ...], recursive: bool) -> int:
    """Change owner and group: names of this machine, or numbers."""
    user, _, group = owner.partition(":")
    uid = _number(user, lambda name: pwd.getpwnam(name).pw_uid, "user")
    gid = _number(group, lambda name: grp.getgrnam(name).gr_gid, "group")
    with Volumes("rw") as volumes:
        for place in places:
            with volumes.trying(place):
                volume = volumes.of(place)
                for path, _ in _each(volume, place.path, recursive):
                    volume.chown(path, uid, gid, follow_symlinks=not recursive)
        return volumes.failed


def _number(name: str, look_up: Callable[[str], int], what: str) -> int:
    if not name:
        return -1
    if name.isdecimal():
        return int(name)
    try:
        return look_up(name)
    except KeyError:
        fail(f"there is no {what} {name!r} on this machine; write the number")


@click.group(context_settings=Verb.SETTINGS)
def xattr() -> None:
    """Work with extended attributes."""


@xattr.command("list", cls=Verb)
@click.argument("place", type=INSIDE, metavar="IMAGE:/PATH")
@JSON
def list_(place: Place, as_json: bool) -> None:
    """List the names; with --json also the values, in base64."""
    with opened(place) as volume:
        names = sorted(volume.listxattr(place.path))
        if as_json:
            print_json({name: base64.b64encode(volume.getxattr(place.path, name)).decode() for name in names})
        else:
            for name in names:
                print(name_of(name))


@xattr.command(cls=Verb)
@click.argument("place", type=INSIDE, metavar="IMAGE:/PATH")
@click.argument("name")
def get(place: Place, name: str) -> None:
    """Write the value to standard output."""
    with opened(place) as volume:
        value = volume.getxattr(place.path, name)
    if sys.stdout.isatty():
        print(escaped(value.decode("utf-8", "surrogateescape")))
    else:
        sys.stdout.buffer.write(value)


@xattr.command("set", cls=Verb)
@click.argument("place", type=INSIDE, metavar="IMAGE:/PATH")
@click.argument("name")
@click.argument("value")
def set_(place: Place, name: str, value: str) -> None:
    """Set an attribute; VALUE - reads standard input."""
    data = sys.stdin.buffer.read() if value == "-" else value.encode("utf-8", "surrogateescape")
    with opened(place, "rw") as volume:
        volume.setxattr(place.path, name, data)


@xattr.command(cls=Verb)
@click.argument("place", type=INSIDE, metavar="IMAGE:/PATH")
@click.argument("name")
def rm(place: Place, name: str) -> None:
    """Remove an attribute."""
    with opened(place, "rw") as volume:
        volume.removexattr(place.path, name)
