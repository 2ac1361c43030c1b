"""The verbs that Python is the right place for, on a volume and in a transaction alike."""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import IO, TYPE_CHECKING, Any

from vexfs import pattern as _pattern
from vexfs import tree as _tree
from vexfs.errors import InvalidArgument, build
from vexfs.file import open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vexfs._vexfs import DirEntry
    from vexfs.tree import Progress, Transferred

__all__ = ["Files", "Path"]

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""An absolute path in a volume, `/` between names. Names that are not UTF-8 come and go as `os.fsdecode` does it."""


class Files:
    """Mixed into [`Volume`][vexfs.Volume] and [`Transaction`][vexfs.Transaction] over the engine's own verbs."""

    __slots__ = ()

    def open(
        self,
        path: Path,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        permissions: int = 0o666,
    ) -> IO[Any]:
        """Opens a file as Python's `open` does: modes r, w, x, a with + and b; text unless b is given.

        Args:
            path: the file.
            mode: as in `open`.
            buffering: bytes of the buffer; 0 for none (binary only), 1 for lines (text only), -1 to choose.
            encoding: of text; the one of the locale if None.
            errors: what to do with bytes that do not decode, as in `open`.
            newline: translation of line ends, as in `open`.
            permissions: of a file that is created, before the umask.

        Returns:
            `io.TextIOWrapper`, `io.BufferedReader`, `io.BufferedWriter`, `io.BufferedRandom`, or
            [`RawFile`][vexfs.RawFile] without a buffer.

        Raises:
            NotFound: no such file, and the mode does not create one.
            Exists: mode "x" and it exists.
            IsADirectory: it is a directory.
        """
        return open_file(self, path, mode, buffering, encoding, errors, newline, permissions)

    def read_text(self, path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        """The content of a file as text, line ends translated to `\\n`; as `pathlib.Path.read_text`."""
        data: bytes = self.read_bytes(path)  # type: ignore[attr-defined]
        return io.TextIOWrapper(io.BytesIO(data), io.text_encoding(encoding), errors).read()

    def write_text(
        self,
        path: Path,
        text: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        durable: bool = False,
        parents: bool = False,
    ) -> int:
        """Replaces the content of a file by text; as `pathlib.Path.write_text`, and as `write_bytes` otherwise.

        Returns:
            The number of characters.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be str, not {type(text).__name__}")
        buffer = io.BytesIO()
        wrapper = io.TextIOWrapper(buffer, io.text_encoding(encoding), errors, newline, write_through=True)
        wrapper.write(text)
        wrapper.flush()
        self.write_bytes(path, buffer.getvalue(), durable=durable, parents=parents)  # type: ignore[attr-defined]
        return len(text)

    def walk(
        self,
        top: Path = "/",
        topdown: bool = True,
        onerror: Callable[[OSError], object] | None = None,
        followlinks: bool = False,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yields `(directory, names of directories, names of other things)` for a tree; as `os.walk`.

        With `topdown` the list of directories may be changed in place to steer the walk. Errors of listing are
        given to `onerror`; without it, what is missing, no directory or forbidden is left out.

        Raises:
            Corrupt: a directory is damaged, and there is no `onerror` to be told.
            InvalidArgument: the volume was closed, or belongs to the parent of this process.
        """
        stack: list[Any] = [os.fsdecode(os.fspath(top))]
        while stack:
            here = stack.pop()
            if isinstance(here, tuple):
                yield here
                continue
            try:
                with self.scandir(here) as listing:  # type: ignore[attr-defined]
                    entries: list[DirEntry] = list(listing)
            except OSError as error:
                if not _is_usual(error) and (onerror is None or isinstance(error, InvalidArgument)):
                    raise
                if onerror is not None:
                    onerror(error)
                continue
            kinds: dict[bool, list[str]] = {True: [], False: []}
            for entry in entries:
                kinds[_leads_to_directory(entry)].append(entry.name)
            links = {entry.name for entry in entries if entry.is_symlink()} if not followlinks else set()
            triple = (here, kinds[True], kinds[False])
            if topdown:
                yield triple
            else:
                stack.append(triple)
            base = here.rstrip("/") + "/"
            stack.extend(base + name for name in reversed(kinds[True]) if name not in links)

    def glob(self, pattern: str) -> Iterator[str]:
        """The paths that match a pattern such as `/docs/**/*.md`; see [`vexfs.pattern`][].

        Names that begin with a dot are matched like others, as in `pathlib`. The order is that of the names.
        """
        return _pattern.find(self, pattern)

    def rmtree(self, path: Path, ignore_errors: bool = False) -> None:
        """Removes a tree; links in it are removed, not followed. As `shutil.rmtree`.

        In a transaction this is one change. On a volume it goes in bounded transactions, so a crash may leave part
        of a large tree.

        Raises:
            NotADirectory: `path` is not a directory, or a link to one.
            InvalidArgument: `path` is the root.
        """
        try:
            if not stat.S_ISDIR(self.lstat(path).st_mode):  # type: ignore[attr-defined]
                raise build("not_a_directory", errno.ENOTDIR, "not a directory; use unlink for files and links", path)
            self.remove_tree(path)  # type: ignore[attr-defined]
        except OSError:
            if not ignore_errors:
                raise

    def import_tree(
        self,
        source: Path,
        target: Path,
        *,
        progress: Progress | None = None,
        on_error: Callable[[OSError], object] | None = None,
    ) -> Transferred:
        """Copies a directory of the machine into the volume: files, links, special files, modes, times, attributes.

        `target` is created if it is missing; what exists is replaced file by file, never removed. In a transaction
        the import is one change; on a volume each batch of files is. Of the extended attributes those of users
        (`user.`) and access control lists travel: the others mean something on one machine only.

        Args:
            source: a directory (or file) of the machine. Links in it are copied as links.
            target: where it goes in the volume: `source/x` becomes `target/x`.
            progress: called with a [`Transferred`][vexfs.Transferred] now and then.
            on_error: called with the error of something that could not be read, which is then left out; if None
                the error is raised.

        Returns:
            What was copied: counts, bytes, seconds.
        """
        return _tree.copy_into(self, _tree.Host(), os.fsencode(source), os.fsencode(target), progress, on_error)

    def export_tree(
        self,
        source: Path,
        target: Path,
        *,
        progress: Progress | None = None,
        on_error: Callable[[OSError], object] | None = None,
    ) -> Transferred:
        """Copies a directory of the volume to one of the machine; the inverse of `import_tree`.

        Never writes outside of `target`: links that are there already are not followed, and names that no directory
        can hold are errors. A file takes its name when it is whole. Owners are kept if the process may do that.
        """
        return _tree.copy_out(self, os.fsencode(source), os.fsencode(target), progress, on_error)


def _is_usual(error: OSError) -> bool:
    """Whether a healthy volume in use may have it: a name vanished, changed its kind, or is forbidden."""
    kinds = FileNotFoundError, NotADirectoryError, PermissionError
    return isinstance(error, kinds) or error.errno == errno.ELOOP


def _leads_to_directory(entry: DirEntry) -> bool:
    """Whether an entry is a directory or a link to one; what cannot be reached is none."""
    try:
        return entry.is_dir()
    except OSError as error:
        if not _is_usual(error):
            raise
        return False
