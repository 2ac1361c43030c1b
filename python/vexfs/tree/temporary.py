"""The name of a file while it is copied: it takes its own when it is whole, and what was there stays until then."""

from __future__ import annotations

import secrets

__all__ = ["temporary"]


def temporary() -> bytes:
    """A name that nobody else chooses, of whatever process, thread or volume."""
    return b".vexfs-" + secrets.token_hex(8).encode()
