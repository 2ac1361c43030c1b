"""A volume against a plain dictionary, with reopening, crashing and a full volume as steps."""

import filecmp
import os
import pathlib
import shutil
import tempfile

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import vexfs

NAMES = st.sampled_from(["a", "b", "c", "ü", "x" * 255])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
SIZES = st.sampled_from([0, 1, 100, 2000, 2100, 4096, 5000, 8192, 40_000])
OFFSETS = st.sampled_from([0, 1, 1000, 4096, 10_000, 100_000])

DIRECTORY = None


def parent(path):
    return path.rpartition("/")[0] or "/"


class VolumeModel(RuleBasedStateMachine):
    """What every verb should do, as it would be done to a dictionary of paths."""

    def __init__(self):
        super().__init__()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vexfs-model-"))
        self.image = self.folder / "model.vexfs"
        self.volume = None
        self.tree = {"/": DIRECTORY}
        self.durable = [dict(self.tree)]

    def teardown(self):
        if self.volume is not None:
            self.volume.close()
            assert vexfs.fsck(self.image, data=True).clean
        shutil.rmtree(self.folder)

    @initialize()
    def format(self):
        self.volume = vexfs.mkfs(self.image, "8MiB")

    def expect(self, error, call):
        """Calls, and compares the error with the expected one (None for success)."""
        if error is None:
            call()
            self.durable.append(dict(self.tree))
            return True
        with pytest.raises(error):
            call()
        return False

    def missing_parent(self, path):
        """The error for a path whose directory is not there."""
        above = parent(path)
        while above not in self.tree:
            above = parent(above)
            if above in self.tree:
                return NotADirectoryError if self.tree[above] is not DIRECTORY else FileNotFoundError
        return NotADirectoryError if self.tree[above] is not DIRECTORY else None

    def below(self, path):
        return [name for name in self.tree if name.startswith(path + "/")]

    def changed(self, call):
        """Applies a change that is expected to work to the volume; the model was changed before."""
        call()
        self.durable.append(dict(self.tree))

    @rule(path=PATHS, size=SIZES, seed=st.integers(0, 255))
    def write(self, path, size, seed):
        data = bytes([seed]) * size
        error = self.missing_parent(path) or (
            IsADirectoryError if path in self.tree and self.tree[path] is DIRECTORY else None
        )
        if error:
            self.expect(error, lambda: self.volume.write_bytes(path, data))
            return
        self.tree[path] = data
        self.changed(lambda: self.volume.write_bytes(path, data))

    @rule(path=PATHS, offset=OFFSETS, size=SIZES, seed=st.integers(0, 255))
    def write_at(self, path, offset, size, seed):
        if self.tree.get(path, DIRECTORY) is DIRECTORY:
            return
        data = bytes([seed]) * size
        old = self.tree[path]
        if size:
            old = old.ljust(offset, b"\0")
            self.tree[path] = old[:offset] + data + old[offset + size :]

        def change():
            with self.volume.open(path, "r+b", buffering=0) as file:
                assert file.pwrite(data, offset) == size

        self.changed(change)

    @rule(path=PATHS, size=OFFSETS)
    def truncate(self, path, size):
        if self.tree.get(path, DIRECTORY) is DIRECTORY:
            return
        self.tree[path] = self.tree[path][:size].ljust(size, b"\0")
        self.changed(lambda: self.volume.truncate(path, size))

    @rule(path=PATHS)
    def mkdir(self, path):
        error = FileExistsError if path in self.tree else self.missing_parent(path)
        if error:
            self.expect(error, lambda: self.volume.mkdir(path))
            return
        self.tree[path] = DIRECTORY
        self.changed(lambda: self.volume.mkdir(path))

    @rule(path=PATHS)
    def unlink(self, path):
        error = self.missing_parent(path)
        if error is None and path not in self.tree:
            error = FileNotFoundError
        if error is None and self.tree[path] is DIRECTORY:
            error = IsADirectoryError
        if error:
            self.expect(error, lambda: self.volume.unlink(path))
            return
        del self.tree[path]
        self.changed(lambda: self.volume.unlink(path))

    @rule(path=PATHS)
    def rmdir(self, path):
        if path not in self.tree or self.tree[path] is not DIRECTORY:
            return
        if self.below(path):
            self.expect(OSError, lambda: self.volume.rmdir(path))
            return
        del self.tree[path]
        self.changed(lambda: self.volume.rmdir(path))

    @rule(path=PATHS)
    def rmtree(self, path):
        if path not in self.tree or self.tree[path] is not DIRECTORY:
            return
        for name in [path, *self.below(path)]:
            del self.tree[name]
        # Several transactions: after a crash it may have been done in part, so it is made durable.
        self.volume.rmtree(path)
        self.volume.sync()
        self.durable = [dict(self.tree)]

    @rule(source=PATHS, goal=PATHS)
    def rename(self, source, goal):
        if source not in self.tree or self.missing_parent(goal) or source == goal:
            return
        moved = self.tree[source]
        there = self.tree.get(goal, b"")
        if goal.startswith(source + "/") or source.startswith(goal + "/"):
            self.expect(OSError, lambda: self.volume.rename(source, goal))
            return
        if goal in self.tree and ((moved is DIRECTORY) != (there is DIRECTORY) or self.below(goal)):
            self.expect(OSError, lambda: self.volume.rename(source, goal))
            return
        names = {name: goal + name[len(source) :] for name in [source, *self.below(source)]}
        kept = {new: self.tree.pop(old) for old, new in names.items()}
        self.tree.update(kept)
        self.changed(lambda: self.volume.rename(source, goal))

    @rule(source=PATHS, goal=PATHS)
    def copy(self, source, goal):
        if self.tree.get(source, DIRECTORY) is DIRECTORY or self.missing_parent(goal) or source == goal:
            return
        if goal in self.tree and self.tree[goal] is DIRECTORY:
            return
        self.tree[goal] = self.tree[source]
        self.changed(lambda: self.volume.copy(source, goal))

    @rule(changes=st.dictionaries(NAMES, SIZES, max_size=4), keep=st.booleans())
    def transaction(self, changes, keep):
        data = {f"/{name}": b"t" * size for name, size in changes.items()}
        if any(path in self.tree and self.tree[path] is DIRECTORY for path in data):
            return
        transaction = self.volume.transaction()
        transaction.write_many(data)
        assert transaction.read_many(data) == list(data.values())
        for path in data:
            assert self.volume.exists(path) == (path in self.tree)
        if keep:
            self.tree.update(data)
            self.changed(transaction.commit)
            self.durable = [dict(self.tree)]
        else:
            transaction.abort()

    @rule()
    def sync(self):
        self.volume.sync()
        self.durable = [dict(self.tree)]

    @rule()
    def checkpoint(self):
        self.volume.checkpoint()
        self.durable = [dict(self.tree)]

    @rule()
    def reopen(self):
        self.volume.close()
        self.volume = vexfs.open(self.image)
        assert self.volume.recovery.clean
        self.durable = [dict(self.tree)]

    @rule()
    def crash(self):
        """What is on the device now is opened as if the machine had stopped: one of the states since the last
        durable one must come back."""
        copy, again = self.folder / "crashed.vexfs", self.folder / "again.vexfs"
        shutil.copyfile(self.image, copy)
        while not filecmp.cmp(shutil.copyfile(self.image, again), copy, shallow=False):
            # Something was written meanwhile: a mixture of two moments is no crash.
            os.replace(again, copy)
        self.volume.close()
        os.replace(copy, self.image)
        self.volume = vexfs.open(self.image)
        found = self.contents()
        assert found in self.durable
        self.tree = found
        self.durable = [dict(self.tree)]

    @rule()
    def fill(self):
        """Fills the volume; what was there stays, and what fills it can be removed again."""
        if "/full" in self.tree:
            return
        written = []
        with pytest.raises(vexfs.NoSpace):
            for number in range(10_000):
                self.volume.write_bytes(f"/full{number}", b"f" * 200_000)
                written.append(f"/full{number}")
        for path in written:
            self.volume.unlink(path)
        self.volume.sync()
        self.durable = [dict(self.tree)]

    def contents(self):
        found = {"/": DIRECTORY}
        for directory, directories, files in self.volume.walk("/"):
            base = directory.rstrip("/") + "/"
            found.update({base + name: DIRECTORY for name in directories})
            found.update({base + name: self.volume.read_bytes(base + name) for name in files})
        return found

    @precondition(lambda self: self.volume is not None)
    @invariant()
    def holds_what_the_dictionary_holds(self):
        assert self.contents() == self.tree


VolumeModel.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestVolumeModel = pytest.mark.timeout(240)(VolumeModel.TestCase)
