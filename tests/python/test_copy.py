"""Walking and copying trees of sound and damaged volumes: nothing is left out in silence."""

import contextlib
import errno
import os
import stat

import pytest

import vexfs

from .children import in_a_child
from .damage import flip_text

NAMES = 400


@pytest.fixture
def torn(image):
    """A closed volume of which the leaf with the names of /b, and the content of /c/bad, are damaged."""
    with vexfs.mkfs(image, "64MiB") as vol:
        for top in ("a", "between", "b", "c"):  # what lies between may be in the damaged leaf, too
            vol.write_many({f"/{top}/{top}-name-{n:04}": b"x" for n in range(NAMES)}, parents=True)
        vol.write_bytes("/c/bad", b"precious" * 1024)
    flip_text(image, b"b-name-0300")
    flip_text(image, b"precious" * 512)
    return image


@pytest.fixture
def other(tmp_path):
    """A second volume, closed."""
    path = str(tmp_path / "other.vexfs")
    vexfs.mkfs(path, "64MiB").close()
    return path


def raises(kind, call):
    try:
        call()
    except kind:
        return True
    return False


# walk


def test_walk_does_not_pass_over_damage(torn):
    with vexfs.open(torn, "r") as vol:
        with pytest.raises(vexfs.Corrupt):
            list(vol.walk("/"))
        errors = []
        found = {path: len(names) for path, _, names in vol.walk("/", onerror=errors.append)}
        assert found == {"/": 0, "/a": NAMES, "/between": NAMES, "/c": NAMES + 1}
        assert [type(error) for error in errors] == [vexfs.Corrupt]


def test_walk_of_what_cannot_be_used_is_an_error(vol):
    assert in_a_child(lambda: raises(vexfs.ForkedHandle, lambda: list(vol.walk("/", onerror=print))))
    vol.close()
    for onerror in (None, print):
        with pytest.raises(vexfs.InvalidArgument):
            list(vol.walk("/", onerror=onerror))


def test_walk_leaves_out_what_os_walk_leaves_out(vol, image):
    vol.mkdir("/open")
    vol.mkdir("/secret/inner", 0o755, parents=True)
    vol.chmod("/secret", 0)
    vol.symlink("/secret/inner", "/open/into")
    vol.symlink("loop", "/loop")
    vol.close()
    assert not list(os.walk("/no/such"))
    with vexfs.open(image, user=(1000, 1000, [])) as vol:
        assert not list(vol.walk("/no/such"))
        assert not list(vol.walk("/loop"))
        found = {path: (sorted(names), files) for path, names, files in vol.walk("/")}
        assert found == {"/": (["open", "secret"], ["loop"]), "/open": ([], ["into"])}
        errors = []
        list(vol.walk("/", onerror=errors.append))
        assert [type(error) for error in errors] == [vexfs.PermissionDenied]


# export_tree


def test_a_file_that_cannot_be_read_leaves_no_trace_and_no_loss(torn, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "bad").write_bytes(b"an older copy")
    with vexfs.open(torn, "r") as vol:
        with pytest.raises(vexfs.Corrupt):
            vol.export_tree("/c", target)
        errors = []
        done = vol.export_tree("/c", target, on_error=errors.append)
        with pytest.raises(vexfs.Corrupt):
            vol.export_tree("/c/bad", tmp_path / "bad")
    assert [error.filename for error in errors] == [b"/c/bad"]
    assert (done.files, done.skipped) == (NAMES, 1)
    assert (target / "bad").read_bytes() == b"an older copy"
    assert len(os.listdir(target)) == NAMES + 1
    assert not (tmp_path / "bad").exists()


def test_a_closed_volume_is_not_given_to_on_error(vol, tmp_path):
    vol.mkdir("/d")
    vol.close()
    with pytest.raises(vexfs.InvalidArgument):
        vol.export_tree("/", tmp_path / "out", on_error=print)


def test_exports_into_one_directory_do_not_take_each_others_files(vol, other, tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    real = os.rename

    def meanwhile(*args, **kwargs):
        """The second export happens while the first has written its file, but not named it."""
        monkeypatch.setattr(os, "rename", real)
        second.export_tree("/f", target / "second")
        real(*args, **kwargs)

    with vexfs.open(other) as second:
        vol.write_bytes("/f", b"first")
        second.write_bytes("/f", b"second")
        assert vol.stat("/f").st_ino == second.stat("/f").st_ino
        monkeypatch.setattr(os, "rename", meanwhile)
        vol.export_tree("/f", target / "first")
    assert sorted(os.listdir(target)) == ["first", "second"]
    assert (target / "first").read_bytes() == b"first"
    assert (target / "second").read_bytes() == b"second"


# cp


@pytest.mark.parametrize("to", ["host", "other", "same"])
def test_cp_says_what_it_leaves_out_and_copies_the_rest(cli, torn, other, tmp_path, to):
    target = {"host": str(tmp_path / "out"), "other": f"{other}:/out", "same": f"{torn}:/out"}[to]
    if to == "host":
        os.mkdir(target)
    else:
        assert cli("mkdir", target).code == 0
    for top in "abc":
        done = cli("cp", "-r", f"{torn}:/{top}", target)
        assert done.code == (0 if top == "a" else 1), done
        for line in done.err.splitlines():
            assert torn in line
            assert "/b" in line or "/c/bad" in line
    names = {
        top: len(os.listdir(f"{target}/{top}")) if to == "host" else cli("ls", f"{target}/{top}").out.count("\n")
        for top in "ac"
    }
    assert names == {"a": NAMES, "c": NAMES}


def test_cp_between_volumes_keeps_everything(cli, image, other):
    with vexfs.mkfs(image, "64MiB") as vol:
        vol.mkdir("/t")
        with vol.open("/t/sparse", "wb") as file:
            file.truncate(1 << 30)
            file.seek(100 << 20)
            file.write(b"middle")
        vol.write_bytes("/t/one", b"1" * 5000)
        vol.link("/t/one", "/t/two")
        vol.symlink("one", "/t/link")
        vol.mknod("/t/fifo", stat.S_IFIFO | 0o640)
        vol.setxattr("/t/one", "trusted.k", b"v")
        vol.chmod("/t", 0o1750)
        vol.chown("/t/one", 12, 34)
        vol.utime("/t", ns=(1, 2))
        wanted = {path: described(vol, path) for path in below(vol)}
    for _ in range(2):  # also over what is there
        assert cli("cp", "-r", f"{image}:/t", f"{other}:/").code == 0
        with vexfs.open(other, "r") as vol:
            assert {path: described(vol, path) for path in below(vol)} == wanted
            assert vol.statvfs().f_blocks - vol.statvfs().f_bfree < 2000
    assert vexfs.fsck(other, data=True).clean


def test_cp_between_volumes_is_few_transactions(image, other):
    from vexfs.tree import Inside, copy_into

    with vexfs.mkfs(image, "64MiB") as source, vexfs.open(other) as target:
        source.write_many({f"/t/{number}": b"x" for number in range(500)}, parents=True)
        seen = []
        done = copy_into(target, Inside(source), b"/t", b"/t", seen.append)
        assert (done.files, seen[-1].files_total) == (500, 500)
        assert len(target.listdir("/t")) == 500
        assert target.stats().visible_commits.count < 10


def below(vol):
    return sorted(["/t", *(f"/t/{name}" for name in vol.listdir("/t"))])


def described(vol, path):
    found = vol.stat(path, follow_symlinks=False)
    names = vol.listxattr(path, follow_symlinks=False)
    attributes = {name: vol.getxattr(path, name, follow_symlinks=False) for name in names}
    content = None
    if path.endswith("sparse"):
        with vol.open(path, "rb") as file:
            file.seek((100 << 20) - 1)
            content = file.read(7)
    elif vol.is_symlink(path):
        content = vol.readlink(path)
    elif vol.is_file(path):
        content = vol.read_bytes(path)
    links = found.st_nlink if not vol.is_dir(path) else 0
    return found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime_ns, links, attributes, content


def test_a_copy_into_itself_is_refused_by_whatever_name(cli, image):
    with vexfs.mkfs(image, "32MiB") as vol:
        vol.mkdir("/a/b", parents=True)
        vol.write_bytes("/a/f", b"precious")
        vol.link("/a/f", "/g")
        vol.symlink("/a/b", "/l")
    for source, target in (("/a", "/a/b/x"), ("/a", "/l"), ("/a", "/"), ("/", "/a"), ("/a/f", "/a"), ("/a/f", "/g")):
        done = cli("cp", "-r", f"{image}:{source}", f"{image}:{target}")
        assert done.code == 16, done
        assert "itself" in done.err
    with vexfs.open(image) as vol:
        assert vol.read_bytes("/g") == b"precious"
        assert vol.listdir("/a/b") == []


LARGE = 17 << 20
"""Of a size that is copied piece by piece."""


@pytest.mark.parametrize("sparse", [False, True])
def test_cp_over_another_name_of_the_source_loses_nothing(cli, image, sparse):
    content = b"precious" if sparse else os.urandom(LARGE)
    with vexfs.mkfs(image, "64MiB") as vol:
        vol.mkdir("/a")
        vol.mkdir("/b/a", parents=True)
        vol.write_bytes("/a/big", content)
        vol.truncate("/a/big", LARGE)
        for name in ("/a/twin", "/b/a/big", "/b/a/twin"):
            vol.link("/a/big", name)
    assert cli("cp", "-r", f"{image}:/a", f"{image}:/b").code == 0
    with vexfs.open(image, "r") as vol:
        for path in ("/a/big", "/a/twin", "/b/a/big", "/b/a/twin"):
            assert vol.read_bytes(path) == content.ljust(LARGE, b"\0")
            assert vol.stat(path).st_nlink == 2
        assert vol.stat("/b/a/big").st_ino == vol.stat("/b/a/twin").st_ino != vol.stat("/a/big").st_ino
        assert sorted(vol.listdir("/b/a")) == ["big", "twin"]
    assert vexfs.fsck(image, data=True).clean


@pytest.mark.parametrize("within", ["volume", "transaction"])
def test_a_large_file_that_cannot_be_read_leaves_the_older_copy(vol, tmp_path, monkeypatch, within):
    vol.write_bytes("/t/big", b"an older copy", parents=True)
    top = tmp_path / "source"
    top.mkdir()
    (top / "big").write_bytes(os.urandom(LARGE))
    real = os.pread

    def broken(fd, size, offset):
        if offset:
            raise OSError(errno.EIO, "broken", str(top / "big"))
        return real(fd, size, offset)

    monkeypatch.setattr(os, "pread", broken)
    errors = []
    with vol.transaction() if within == "transaction" else contextlib.nullcontext(vol) as to:
        assert to.import_tree(top, "/t", on_error=errors.append).skipped == 1
        with pytest.raises(OSError, match="broken"):
            to.import_tree(top / "big", "/t/big")
    assert [error.errno for error in errors] == [errno.EIO]
    assert vol.read_bytes("/t/big") == b"an older copy"
    assert vol.listdir("/t") == ["big"]


def test_a_large_file_does_not_replace_a_directory(vol, tmp_path, monkeypatch):
    vol.mkdir("/t/big", parents=True)
    (tmp_path / "big").write_bytes(os.urandom(LARGE))
    monkeypatch.setattr(os, "pread", None)  # said before anything is copied
    with pytest.raises(IsADirectoryError):
        vol.import_tree(tmp_path / "big", "/t/big")
    assert vol.listdir("/t") == ["big"]


def test_cp_copies_links_themselves(cli, image, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x")
    (tmp_path / "to-file").symlink_to("d/f")
    (tmp_path / "to-dir").symlink_to("d")
    (tmp_path / "to-nothing").symlink_to("none")
    vexfs.mkfs(image, "32MiB").close()
    links = {"to-file": "d/f", "to-dir": "d", "to-nothing": "none"}
    assert cli("cp", *(tmp_path / name for name in links), f"{image}:/").code == 0
    assert cli("cp", f"{tmp_path}/to-dir/", f"{image}:/followed").code == 1
    assert cli("cp", "-r", f"{tmp_path}/to-dir/", f"{image}:/followed").code == 0
    assert cli("cp", f"{image}:/to-dir", f"{image}:/again").code == 0
    (tmp_path / "out").mkdir()
    assert cli("cp", *(f"{image}:/{name}" for name in links), tmp_path / "out").code == 0
    assert {name: os.readlink(tmp_path / "out" / name) for name in links} == links
    with vexfs.open(image) as vol:
        assert {name: vol.readlink(f"/{name}") for name in links} == links
        assert vol.readlink("/again") == "d"
        assert vol.listdir("/followed") == ["f"]
        vol.import_tree(tmp_path / "to-file", "/content")  # in Python, the top is what it leads to
        assert vol.read_bytes("/content") == b"x"


def test_attributes_that_cannot_be_read_are_said(vol, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise OSError(errno.EIO, "broken", str(tmp_path))

    monkeypatch.setattr(os, "listxattr", broken)
    (tmp_path / "f").write_bytes(b"x")
    with pytest.raises(OSError, match="broken"):
        vol.import_tree(tmp_path, "/t")


def test_a_copy_of_two_checkpoints_is_said_to_be_one(tmp_path):
    image = tmp_path / "v"
    with vexfs.mkfs(image, "16MiB") as writer:
        writer.write_many({"/d/1": b"x", "/d/2": b"y"}, parents=True)
        writer.checkpoint()
        with vexfs.open(image, "r") as reader:
            assert reader.export_tree("/d", tmp_path / "whole").files == 2

            def go_on(done):
                writer.write_bytes("/elsewhere", b"z")
                writer.checkpoint()
                reader.refresh()

            with pytest.raises(vexfs.Stale, match="copy it again"):
                reader.export_tree("/d", tmp_path / "mixed", progress=go_on)
