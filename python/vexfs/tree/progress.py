"""What a copy of a tree tells while it runs and at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

__all__ = ["Meter", "OnError", "Progress", "Transferred"]

INTERVAL = 0.1
"""Seconds between two reports."""


@dataclass
class Transferred:
    """What an import or export has copied so far.

    Attributes:
        files: regular files.
        directories: directories, the top one included.
        links: symbolic links.
        others: fifos, sockets, devices.
        skipped: things that could not be read and were left out.
        bytes: content of files.
        seconds: since the beginning.
        files_total: regular files there are; None if nobody asked for progress.
        bytes_total: their content; None likewise.
        path: the file that was copied last, as it is called in the source.
    """

    files: int = 0
    directories: int = 0
    links: int = 0
    others: int = 0
    skipped: int = 0
    bytes: int = 0
    seconds: float = 0.0
    files_total: int | None = None
    bytes_total: int | None = None
    path: str = field(default="", repr=False)


Progress = Callable[[Transferred], object]
OnError = Callable[[OSError], object] | None


class Meter:
    """Keeps the figures and passes them on, not more often than `INTERVAL`."""

    def __init__(self, progress: Progress | None) -> None:
        self.done = Transferred()
        self._progress = progress
        self._began = time.monotonic()
        self._told = 0.0

    def tell(self, path: bytes = b"", *, last: bool = False) -> None:
        """Passes the figures on if it is time."""
        now = time.monotonic()
        if self._progress is None or (now - self._told < INTERVAL and not last):
            return
        self._told = now
        self.done.path = path.decode("utf-8", "surrogateescape") or self.done.path
        self.done.seconds = now - self._began
        self._progress(replace(self.done))

    def finish(self) -> Transferred:
        """The figures of the whole."""
        self.tell(last=True)
        self.done.seconds = time.monotonic() - self._began
        return self.done
