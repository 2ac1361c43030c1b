"""Whole trees: into the volume and out of it."""

from vexfs.tree.exporting import export_tree
from vexfs.tree.importing import import_tree
from vexfs.tree.progress import Progress, Transferred

__all__ = ["Progress", "Transferred", "export_tree", "import_tree"]
