"""Names that are no text, listings, walks and patterns."""

import os

import pytest

import vexfs

NOT_TEXT = b"\xff\xfe name \x80"


def test_names_that_are_not_utf8_survive(vol):
    vol.write_bytes(b"/" + NOT_TEXT, b"x")
    name = os.fsdecode(NOT_TEXT)
    assert vol.listdir("/") == [name]
    assert vol.listdir(b"/") == [NOT_TEXT]
    assert vol.read_bytes("/" + name) == b"x"
    with vol.scandir("/") as entries:
        (entry,) = entries
    assert (entry.name, entry.path, os.fspath(entry)) == (name, "/" + name, "/" + name)
    assert vol.read_bytes(entry) == b"x"
    vol.symlink(b"\xfftarget", "/l")
    assert vol.readlink("/l") == os.fsdecode(b"\xfftarget")
    assert vol.readlink(b"/l") == b"\xfftarget"
    assert list(vol.glob("/*name*")) == ["/" + name]
    with pytest.raises(FileNotFoundError) as caught:
        vol.read_bytes("/none/" + name)
    str(caught.value).encode("utf-8", "backslashreplace")


@pytest.mark.parametrize("name", ["a", "ü", "日本", "x" * 255, "with space", "-", "~", "\n", "\x1b[0m", "..."])
def test_any_name_without_slash_and_zero_works(vol, name):
    if len(os.fsencode(name)) > 255:
        pytest.skip("too long")
    vol.write_bytes(f"/{name}", name.encode())
    assert vol.listdir("/") == [name]
    assert vol.read_bytes(f"/{name}") == name.encode()
    vol.unlink(f"/{name}")


def test_paths_are_resolved_as_posix_does(vol):
    vol.mkdir("/a/b", parents=True)
    vol.write_bytes("/a/b/c", b"x")
    vol.symlink("/a", "/l")
    for path in ("//a///b//c", "/a/./b/../b/c", "/../a/b/c", "/l/b/c", "/a/b/../../l/b/c"):
        assert vol.read_bytes(path) == b"x"
    with pytest.raises(NotADirectoryError):
        vol.read_bytes("/a/b/c/")
    with pytest.raises(FileNotFoundError):
        vol.stat("")
    with pytest.raises(NotADirectoryError):
        vol.stat("/a/b/c/d")
    assert not vol.exists("/a/b/c/d")


def test_scandir_entries_tell_what_os_scandir_tells(vol):
    vol.mkdir("/d")
    vol.write_bytes("/f", b"12")
    vol.symlink("d", "/ld")
    vol.symlink("none", "/broken")
    with vol.scandir("/") as entries:
        found = {entry.name: entry for entry in entries}
    kinds = {
        name: (entry.is_dir(), entry.is_dir(follow_symlinks=False), entry.is_file(), entry.is_symlink())
        for name, entry in found.items()
    }
    assert kinds == {
        "d": (True, True, False, False),
        "f": (False, False, True, False),
        "ld": (True, False, False, True),
        "broken": (False, False, False, True),
    }
    assert found["f"].stat().st_size == 2
    assert found["f"].inode() == vol.stat("/f").st_ino
    assert found["ld"].stat().st_ino == vol.stat("/d").st_ino
    assert found["ld"].stat(follow_symlinks=False).st_ino == found["ld"].inode()
    assert repr(found["f"]) == "<vexfs.DirEntry 'f'>"


def test_a_listing_meets_what_is_there_all_the_time_exactly_once(vol):
    for first in range(0, 5000, 500):
        vol.write_many({f"/d/{number}": b"" for number in range(first, first + 500)}, parents=True)
    seen = []
    with vol.scandir("/d") as entries:
        for count, entry in enumerate(entries):
            seen.append(entry.name)
            if count % 10 == 0:
                vol.write_bytes(f"/d/new{count}", b"")
                doomed = f"/d/{5000 - 1 - count}"
                if vol.exists(doomed) and int(doomed[3:]) % 2:
                    vol.unlink(doomed)
    stayed = {str(number) for number in range(0, 5000, 2)}
    assert stayed <= set(seen)
    assert len(seen) == len(set(seen))
    closed = vol.scandir("/d")
    closed.close()
    assert list(closed) == []


def test_walk_is_that_of_os(vol, tmp_path):
    for path in ("a/b/c", "a/d", "e"):
        (tmp_path / "t" / path).mkdir(parents=True)
    for path in ("a/f", "a/b/g", "h"):
        (tmp_path / "t" / path).write_bytes(b"")
    (tmp_path / "t" / "link").symlink_to("a")
    vol.import_tree(tmp_path / "t", "/t")

    def plain(triples, top):
        return [(path[len(top) :], sorted(names), sorted(files)) for path, names, files in triples]

    for options in ({}, {"topdown": False}, {"followlinks": True}):
        ours = plain(vol.walk("/t", **options), "/t")
        theirs = plain(os.walk(tmp_path / "t", **options), str(tmp_path / "t"))
        assert sorted(ours) == sorted(theirs)
    pruned = []
    for path, names, _ in vol.walk("/t"):
        pruned.append(path)
        names[:] = [name for name in names if name != "b"]
    assert sorted(pruned) == ["/t", "/t/a", "/t/a/d", "/t/e"]
    errors = []
    assert list(vol.walk("/none", onerror=errors.append)) == []
    assert isinstance(errors[0], vexfs.NotFound)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/*", ["/a", "/top.py", "/.hidden"]),
        ("/*.py", ["/top.py"]),
        ("/**/*.py", ["/top.py", "/a/one.py", "/a/b/two.py"]),
        ("/a/**", ["/a", "/a/b", "/a/b/c"]),
        ("/a/*/", ["/a/b"]),
        ("/a/?/t*", ["/a/b/two.py"]),
        ("/[at]*", ["/a", "/top.py"]),
        ("/a/one.py", ["/a/one.py"]),
        ("/a/none", []),
        ("/none/*", []),
        ("/", ["/"]),
        ("/**/b/**/*.py", ["/a/b/two.py"]),
        ("/top.py/*", []),
    ],
)
def test_patterns(vol, pattern, expected):
    vol.mkdir("/a/b/c", parents=True)
    for path in ("/top.py", "/.hidden", "/a/one.py", "/a/b/two.py"):
        vol.write_bytes(path, b"")
    assert sorted(vol.glob(pattern)) == sorted(expected)
    if "*" not in pattern:
        return
    with pytest.raises(ValueError, match="absolute"):
        list(vol.glob(pattern[1:]))


def test_a_pattern_does_not_go_round_in_circles(vol):
    vol.mkdir("/a")
    vol.symlink("..", "/a/up")
    assert sorted(vol.glob("/**/up")) == ["/a/up"]


def test_deep_paths(vol):
    path = ""
    for number in range(200):
        path += f"/directory-with-a-long-name-{number:03}"
    vol.write_bytes(f"{path}/file", b"deep", parents=True)
    assert vol.read_bytes(f"{path}/file") == b"deep"
    assert len(path) > 4096
    assert sum(1 for _ in vol.walk("/")) == 201
    vol.rmtree("/directory-with-a-long-name-000")
