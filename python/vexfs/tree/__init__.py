"""Whole trees: into the volume and out of it."""

from vexfs.tree.exporting import copy_out
from vexfs.tree.importing import copy_into
from vexfs.tree.progress import Progress, Transferred
from vexfs.tree.sources import Host, Inside

__all__ = ["Host", "Inside", "Progress", "Transferred", "copy_into", "copy_out"]
