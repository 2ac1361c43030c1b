"""`IMAGE` and `IMAGE:/path` on the command line, and the volumes behind them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

import vexfs
from vexfs.cli.verb import fail, sentence, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.shell_completion import CompletionItem

__all__ = ["IMAGE", "INSIDE", "PLACE", "SIZE", "Place", "Volumes", "opened", "parse_place"]


@dataclass(frozen=True)
class Place:
    """A path in a volume, or (without image) of the machine; "-" is standard input or output."""

    image: str | None
    path: str

    def __str__(self) -> str:
        return self.path if self.image is None else f"{self.image}:{self.path}"

    @property
    def is_stream(self) -> bool:
        """Whether it is "-"."""
        return self.image is None and self.path == "-"


def parse_place(text: str) -> Place:
    """Splits at the first `:/`, unless what is before it is a directory of the machine with a colon in its name."""
    image, colon, path = text.partition(":/")
    if not colon or not image or os.path.isdir(image + ":"):
        return Place(None, text)
    return Place(image, "/" + path)


class _Inside(click.ParamType[Place]):
    """A place in a volume: `IMAGE:/path`, or `IMAGE` for its root."""

    name = "image:/path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        place = parse_place(value)
        return place if place.image is not None else Place(place.path.removesuffix(":"), "/")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _complete(incomplete)


class _Place(_Inside):
    """A place in a volume or of the machine."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        return parse_place(value)


class _Size(click.ParamType[int]):
    """A size such as 512MiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from vexfs.sizes import parse_size

        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


IMAGE = click.Path(dir_okay=True)
INSIDE = _Inside()
PLACE = _Place()
SIZE = _Size()


def _complete(incomplete: str) -> list[CompletionItem]:
    """Completes a path in a volume; before the colon, the shell completes files."""
    from click.shell_completion import CompletionItem

    place = parse_place(incomplete)
    if place.image is None:
        return [CompletionItem(incomplete, type="file")]
    directory, _, prefix = place.path.rpartition("/")
    try:
        with vexfs.open(place.image, "r") as volume, volume.scandir(directory or "/") as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries if entry.name.startswith(prefix)]
    except OSError:
        return []
    found = [(name, is_directory) for name, is_directory in found if name.isprintable()]  # a line for each
    names = (name + "/" if is_directory else name for name, is_directory in sorted(found))
    return [CompletionItem(f"{place.image}:{directory}/{name}") for name in names]


class Volumes:
    """The volumes that one command uses, each opened once.

    Attributes:
        failed: 1 if one of the command's arguments failed, else 0: its exit code.
    """

    def __init__(self, mode: Literal["r", "rw"]) -> None:
        self.failed = 0
        self._mode: Literal["r", "rw"] = mode
        self._open: dict[str, vexfs.Volume] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Volumes:
        self._stack.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def of(self, place: Place, mode: Literal["r", "rw"] | None = None) -> vexfs.Volume:
        """The volume of a place."""
        if place.image is None:
            fail(f"{place.path} is not in a volume: write IMAGE:/path")
        key = os.path.realpath(place.image)
        if key not in self._open:
            self._open[key] = self._stack.enter_context(vexfs.open(place.image, mode or self._mode))
        return self._open[key]

    @contextlib.contextmanager
    def trying(self, place: Place) -> Iterator[None]:
        """What fails in the block is said and remembered, and the command goes on with its next argument."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            self.teller(place)(error)

    def teller(self, place: Place) -> Callable[[OSError], None]:
        """Says and remembers what failed at a place."""

        def tell(error: OSError) -> None:
            warn(sentence(error, place.image))
            self.failed = 1

        return tell


@contextlib.contextmanager
def opened(place: Place, mode: Literal["r", "rw"] = "r") -> Iterator[vexfs.Volume]:
    """The volume of one place."""
    with Volumes(mode) as volumes:
        yield volumes.of(place)
