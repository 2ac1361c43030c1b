"""What the command stats tells: figures that are on the volume, whoever has it open."""

from __future__ import annotations

import json
from typing import Any

import vexfs
from vexfs import _vexfs
from vexfs.report import Report

__all__ = ["figures"]

BLOCK = 4096


def figures(image: str) -> Report:
    """Space, inodes, tree, log, and the checkpoints that are kept."""
    with vexfs.open(image, "r") as volume:
        info = volume.info()
    log, kept = _shown(image, "journal"), [entry for entry in _shown(image, "retained") if "id" in entry]
    return Report(
        {
            "space": {
                "size_bytes": info.size_bytes,
                "used_bytes": (info.blocks - info.blocks_free) * BLOCK,
                "free_bytes": info.blocks_free * BLOCK,
                "available_bytes": info.blocks_available * BLOCK,
                **_of_groups([entry for entry in _shown(image, "group") if "group" in entry]),
            },
            "inodes": {"there_are": info.inodes, "used": info.inodes - info.inodes_free, "free": info.inodes_free},
            "tree": {"nodes": info.checkpoint.tree_nodes, "items": info.checkpoint.tree_items},
            "log": {
                "capacity_bytes": info.journal_bytes,
                "used_bytes": log["end_lsn"] - log["from_lsn"],
                "transactions": sum(frame["records"] for frame in log["frames"]),
            },
            "checkpoint": {"number": info.checkpoint.number, "time_ns": info.checkpoint.time_ns},
            "retained": {"checkpoints": len(kept), "oldest_time_ns": min((e["time_ns"] for e in kept), default=None)},
        }
    )


def _of_groups(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """The free space as the newest checkpoint has it: how it is spread."""
    free = sum(group["free_blocks"] for group in groups)
    in_longest = sum(group["longest_free_run"] for group in groups)
    return {
        "groups": len(groups),
        "groups_full": sum(not group["free_blocks"] for group in groups),
        "longest_free_run_bytes": max((group["longest_free_run"] for group in groups), default=0) * BLOCK,
        "fragmentation": (free - in_longest) / free if free else 0.0,
    }


def _shown(image: str, what: str) -> Any:
    return json.loads(_vexfs.debug_show(image, what))
