"""Importing and exporting trees."""

import os
import stat

import pytest

import vexfs


@pytest.fixture
def source(tmp_path):
    """A tree with something of every kind."""
    top = tmp_path / "source"
    (top / "sub" / "deeper").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "small").write_bytes(b"small")
    (top / "sub" / "large").write_bytes(os.urandom(3_000_000))
    (top / "sub" / "deeper" / "none").write_bytes(b"")
    os.link(top / "small", top / "sub" / "hard")
    (top / "to nowhere").symlink_to("../../outside")
    os.mkfifo(top / "fifo", 0o640)
    (top / os.fsdecode(b"\xff\xfe")).write_bytes(b"not text")
    (top / "small").chmod(0o4711)
    os.utime(top / "sub", ns=(1, 1_600_000_000_000_000_007))
    os.utime(top / "to nowhere", ns=(5, 6), follow_symlinks=False)
    return top


def described(top):
    """Every path below a directory of the machine with what should survive a journey."""
    found = {}
    for directory, directories, files in os.walk(os.fsencode(top)):
        for name in [b".", *directories, *files]:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            content = None
            if kind == stat.S_IFREG:
                with open(path, "rb") as file:
                    content = file.read()
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            links = status.st_nlink if kind != stat.S_IFDIR else 0
            key = os.path.relpath(path, os.fsencode(top))
            found[key] = (status.st_mode, links, status.st_uid, status.st_gid, status.st_mtime_ns, content)
    return found


@pytest.mark.parametrize("within", ["volume", "transaction"])
def test_a_tree_survives_the_journey(vol, source, tmp_path, within):
    if within == "volume":
        done = vol.import_tree(source, "/t")
    else:
        with vol.transaction() as tx:
            done = tx.import_tree(source, "/t")
    assert (done.files, done.directories, done.links, done.others) == (5, 4, 1, 1)
    assert done.bytes == 3_000_000 + 5 + 8
    back = vol.export_tree("/t", tmp_path / "back")
    assert (back.files, back.directories, back.links, back.others) == (5, 4, 1, 1)
    assert described(tmp_path / "back") == described(source)


def test_importing_again_replaces_files_and_removes_nothing(vol, source):
    vol.import_tree(source, "/t")
    vol.write_bytes("/t/mine", b"")
    (source / "small").write_bytes(b"changed")
    (source / "fifo").unlink()
    (source / "fifo").write_bytes(b"now a file")
    vol.import_tree(source, "/t")
    assert vol.read_bytes("/t/small") == b"changed"
    assert vol.read_bytes("/t/fifo") == b"now a file"
    assert vol.exists("/t/mine")


def test_a_single_file_can_be_imported_and_exported(vol, source, tmp_path):
    vol.import_tree(source / "small", "/one")
    assert vol.read_bytes("/one") == b"small"
    vol.export_tree("/one", tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == b"small"
    assert vol.stat("/one").st_mode == os.stat(source / "small").st_mode


def test_more_files_than_a_transaction_of_a_small_volume_takes(image, tmp_path):
    top = tmp_path / "many"
    top.mkdir()
    for number in range(1500):
        (top / f"{number}").write_bytes(str(number).encode() * 20)
    with vexfs.mkfs(image, "16MiB", journal_size="256KiB") as vol:
        vol.import_tree(top, "/many")
        assert len(vol.listdir("/many")) == 1500
        assert vol.read_bytes("/many/1234") == b"1234" * 20
        vol.rmtree("/many")
        assert vol.listdir("/") == []
    assert vexfs.fsck(image, data=True).clean


def test_holes_survive_the_journey(vol, tmp_path):
    sparse = tmp_path / "sparse"
    with open(sparse, "wb") as file:
        file.truncate(1 << 30)
        file.seek(100 << 20)
        file.write(b"middle")
    vol.import_tree(sparse, "/sparse")
    assert vol.stat("/sparse").st_size == 1 << 30
    assert vol.stat("/sparse").st_blocks * 512 <= 1 << 20
    vol.export_tree("/sparse", tmp_path / "back")
    assert os.stat(tmp_path / "back").st_blocks * 512 <= 1 << 20
    with open(tmp_path / "back", "rb") as file:
        file.seek(100 << 20)
        assert file.read(6) == b"middle"


def test_export_never_follows_a_link_out_of_its_target(vol, tmp_path):
    vol.write_bytes("/t/dir/file", b"attack", parents=True)
    vol.write_bytes("/t/name", b"attack")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"precious")
    target = tmp_path / "target"
    target.mkdir()
    (target / "dir").symlink_to(outside)
    (target / "name").symlink_to(outside / "file")
    with pytest.raises(OSError):
        vol.export_tree("/t", target)
    assert (outside / "file").read_bytes() == b"precious"
    (target / "dir").unlink()
    vol.export_tree("/t", target)
    assert (target / "name").read_bytes() == b"attack"
    assert not (target / "name").is_symlink()
    assert (outside / "file").read_bytes() == b"precious"
    assert os.listdir(outside) == ["file"]


def test_export_does_not_write_through_hard_links_or_wait_for_fifos(vol, tmp_path):
    vol.write_bytes("/t/a", b"new", parents=True)
    vol.write_bytes("/t/b", b"new")
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "shared").write_bytes(b"precious")
    os.link(tmp_path / "shared", target / "a")
    os.mkfifo(target / "b")
    vol.export_tree("/t", target)
    assert (tmp_path / "shared").read_bytes() == b"precious"
    assert (target / "b").read_bytes() == b"new"


def test_impossible_names_are_refused():
    from vexfs.tree.exporting import _checked

    for name in (b"", b".", b"..", b"a/b", b"a\0b"):
        with pytest.raises(vexfs.Error):
            _checked(name, b"/")


LARGE = 17 << 20
"""Of a size that is copied piece by piece."""


def once(real, change):
    """The function `real`, before whose first call something happens."""
    changes = [change]

    def function(*args):
        while changes:
            changes.pop()()
        return real(*args)

    return function


@pytest.mark.parametrize("during", ["lseek", "pread"])
@pytest.mark.parametrize("size", [LARGE + 5000, LARGE - 5000, 9 << 20, 1 << 20, 0])
def test_what_changes_its_size_during_an_import_gets_no_zeros(vol, tmp_path, monkeypatch, during, size):
    content = os.urandom(LARGE + 5000)
    path = tmp_path / "changing"
    path.write_bytes(content[:LARGE])

    def change():
        with open(path, "r+b") as file:
            file.seek(LARGE)
            file.write(content[LARGE:])
            file.truncate(size)

    monkeypatch.setattr(os, during, once(getattr(os, during), change))
    vol.import_tree(path, "/f")
    assert vol.read_bytes("/f") == content[: min(size, LARGE)]


@pytest.mark.parametrize("size", [LARGE + 5000, LARGE - 5000, 9 << 20, 1 << 20, 0])
def test_what_changes_its_size_during_an_export_gets_no_zeros(image, tmp_path, monkeypatch, size):
    content = os.urandom(LARGE + 5000)

    def change():
        with vol.open("/f", "ab") as file:
            file.write(content[LARGE:])
        vol.truncate("/f", size)

    with vexfs.mkfs(image, "64MiB") as vol:
        vol.write_bytes("/f", content[:LARGE])
        monkeypatch.setattr(os, "pwrite", once(os.pwrite, change))
        vol.export_tree("/f", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == content[: min(size, LARGE)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_given_to_on_error(vol, source):
    (source / "secret").write_bytes(b"x")
    (source / "secret").chmod(0)
    with pytest.raises(PermissionError):
        vol.import_tree(source, "/t")
    errors = []
    done = vol.import_tree(source, "/t", on_error=errors.append)
    assert done.skipped == len(errors) == 1
    assert vol.exists("/t/small")


def test_what_vanishes_during_an_import_is_given_to_on_error(vol, source, monkeypatch):
    real = os.open

    def vanishing(path, *args, **kwargs):
        if os.fsencode(path).endswith(b"small"):
            raise FileNotFoundError(2, "gone", path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", vanishing)
    errors = []
    done = vol.import_tree(source, "/t", on_error=errors.append)
    assert done.skipped == len(errors) >= 1
    assert vol.exists("/t/sub/large")


def test_progress_ends_with_everything(vol, source, tmp_path):
    seen = []
    vol.import_tree(source, "/t", progress=seen.append)
    assert seen[-1].bytes == seen[-1].bytes_total == 3_000_013 + 0 or seen[-1].bytes_total >= seen[-1].bytes
    assert seen[-1].files == 5
    seen.clear()
    vol.export_tree("/t", tmp_path / "back", progress=seen.append)
    assert seen[-1].files == 5


def test_rmtree_takes_directories_only(vol):
    vol.write_bytes("/f", b"")
    vol.symlink("d", "/l")
    vol.mkdir("/d")
    for path in ("/f", "/l"):
        with pytest.raises(NotADirectoryError):
            vol.rmtree(path)
    with pytest.raises(FileNotFoundError):
        vol.rmtree("/none")
    vol.rmtree("/none", ignore_errors=True)
    vol.rmtree("/d")
    assert sorted(vol.listdir("/")) == ["f", "l"]


def test_rmtree_in_a_transaction_is_one_change(vol):
    vol.write_many({f"/d/{number // 10}/{number}": b"x" for number in range(100)}, parents=True)
    with pytest.raises(KeyError), vol.transaction() as tx:
        tx.rmtree("/d")
        assert not tx.exists("/d")
        raise KeyError
    assert len(list(vol.glob("/d/*/*"))) == 100
