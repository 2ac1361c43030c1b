"""Whole trees: into the volume, out of it, away."""

from vexfs.tree.exporting import export_tree
from vexfs.tree.importing import import_tree
from vexfs.tree.progress import Progress, Transferred
from vexfs.tree.removing import remove

__all__ = ["Progress", "Transferred", "export_tree", "import_tree", "remove"]
