"""Every line of the interface's Python examples, as it is written there."""

import io
import os
import pathlib
import stat

import pytest

import vexfs


def test_mkfs_returns_an_open_volume_and_the_context_manager_closes_it(image):
    with vexfs.mkfs(image, size="64MiB", label="work") as vol:
        vol.mkdir("/docs")
        assert vol.info().label == "work"
    assert vol.closed
    vol = vexfs.open(image)
    assert vol.listdir("/") == ["docs"]
    assert vol.recovery.clean
    vol.close()


def test_mkfs_takes_force_and_journal_size(image):
    vexfs.mkfs(image, size="64MiB").close()
    with pytest.raises(vexfs.Exists):
        vexfs.mkfs(image, size="64MiB")
    with vexfs.mkfs(image, size="64MiB", force=True, journal_size="4MiB") as vol:
        assert vol.info().journal_bytes == 4 << 20


def test_open_takes_mode_and_user(image):
    vexfs.mkfs(image, size="64MiB").close()
    with vexfs.open(image, mode="r") as vol:
        assert vol.mode == "r"
        with pytest.raises(vexfs.ReadOnly):
            vol.mkdir("/x")
    with vexfs.open(image, user=(1000, 1000, [4, 24])) as vol, pytest.raises(PermissionError):
        vol.mkdir("/x")


def test_write_bytes_is_visible_at_once(vol):
    vol.mkdir("/docs")
    vol.write_bytes("/docs/a.txt", b"hello")
    assert vol.read_bytes("/docs/a.txt") == b"hello"


def test_write_bytes_takes_parents(vol):
    with pytest.raises(FileNotFoundError):
        vol.write_bytes("/a/b/c.txt", b"x")
    vol.write_bytes("/a/b/c.txt", b"x", parents=True)
    assert vol.read_bytes("/a/b/c.txt") == b"x"


def test_write_bytes_durable_survives_a_copy_of_the_image(vol, image, tmp_path):
    vol.write_bytes("/a.txt", b"hello", durable=True)
    copy = tmp_path / "copy.vexfs"
    copy.write_bytes(pathlib.Path(image).read_bytes())
    with vexfs.open(copy) as crashed:
        assert crashed.read_bytes("/a.txt") == b"hello"
        assert not crashed.recovery.clean
        assert crashed.recovery.transactions >= 1


def test_read_text_and_write_text(vol):
    assert vol.write_text("/t.txt", "grün\n", encoding="utf-8") == 5
    assert vol.read_text("/t.txt", encoding="utf-8") == "grün\n"
    assert vol.read_bytes("/t.txt") == "grün\n".encode()
    vol.write_text("/t.txt", "a\nb\n", newline="\r\n", encoding="utf-8")
    assert vol.read_bytes("/t.txt") == b"a\r\nb\r\n"
    assert vol.read_text("/t.txt", encoding="utf-8") == "a\nb\n"


def test_open_gives_a_buffered_random_over_a_raw_file(vol):
    vol.write_bytes("/big.bin", bytes(10_000))
    with vol.open("/big.bin", "r+b") as f:
        assert isinstance(f, io.BufferedRandom)
        assert isinstance(f.raw, io.RawIOBase)
        f.seek(5000)
        f.write(b"here")
        f.seek(4999)
        assert f.read(6) == b"\0here\0"
    with vol.open("/big.bin", "w", encoding="utf-8") as f:
        assert isinstance(f, io.TextIOWrapper)
        f.write("text")
    assert vol.read_bytes("/big.bin") == b"text"


def test_mkdir_and_listings(vol):
    vol.mkdir("/a/b/c", parents=True, exist_ok=True)
    vol.mkdir("/a/b/c", parents=True, exist_ok=True)
    with pytest.raises(FileExistsError):
        vol.mkdir("/a")
    vol.write_bytes("/a/b/one.py", b"1")
    vol.write_bytes("/a/two.py", b"2")
    assert sorted(vol.listdir("/a")) == ["b", "two.py"]
    with vol.scandir("/a") as entries:
        assert sorted((entry.name, entry.path, entry.is_dir()) for entry in entries) == [
            ("b", "/a/b", True),
            ("two.py", "/a/two.py", False),
        ]
    assert list(vol.walk("/")) == [
        ("/", ["a"], []),
        ("/a", ["b"], ["two.py"]),
        ("/a/b", ["c"], ["one.py"]),
        ("/a/b/c", [], []),
    ]
    assert sorted(vol.glob("/**/*.py")) == ["/a/b/one.py", "/a/two.py"]


def test_stat_and_kinds(vol):
    vol.mkdir("/a")
    vol.write_bytes("/f", b"12345")
    vol.symlink("f", "/l")
    found = vol.stat("/f", follow_symlinks=True)
    assert stat.S_ISREG(found.st_mode)
    assert found.st_size == 5
    assert found.st_nlink == 1
    assert stat.S_ISLNK(vol.stat("/l", follow_symlinks=False).st_mode)
    assert vol.stat("/l").st_ino == found.st_ino
    assert [vol.exists(p) for p in ("/a", "/f", "/l", "/none")] == [True, True, True, False]
    assert [vol.is_dir(p) for p in ("/a", "/f", "/l", "/none")] == [True, False, False, False]
    assert [vol.is_file(p) for p in ("/a", "/f", "/l", "/none")] == [False, True, True, False]
    assert [vol.is_symlink(p) for p in ("/a", "/f", "/l", "/none")] == [False, False, True, False]


def test_rename_replace_exchange(vol):
    vol.write_bytes("/a", b"a")
    vol.write_bytes("/b", b"b")
    with pytest.raises(FileExistsError):
        vol.rename("/a", "/b", noreplace=True)
    vol.exchange("/a", "/b")
    assert (vol.read_bytes("/a"), vol.read_bytes("/b")) == (b"b", b"a")
    vol.rename("/a", "/b")
    assert vol.read_bytes("/b") == b"b"
    vol.write_bytes("/c", b"c")
    vol.replace("/c", "/b")
    assert vol.listdir("/") == ["b"]
    assert vol.read_bytes("/b") == b"c"


def test_removals(vol):
    vol.write_bytes("/d/e/f", b"", parents=True)
    vol.write_bytes("/g", b"")
    vol.unlink("/g")
    with pytest.raises(OSError, match="not empty"):
        vol.rmdir("/d/e")
    vol.unlink("/d/e/f")
    vol.rmdir("/d/e")
    vol.write_bytes("/d/x/y/z", b"", parents=True)
    vol.rmtree("/d")
    assert vol.listdir("/") == []


def test_links_and_special_files(vol):
    vol.write_bytes("/a", b"a")
    vol.link("/a", "/b")
    assert vol.stat("/b").st_nlink == 2
    vol.symlink("../x", "/s")
    assert vol.readlink("/s") == "../x"
    vol.mknod("/fifo", stat.S_IFIFO | 0o600)
    assert stat.S_ISFIFO(vol.stat("/fifo").st_mode)
    vol.mknod("/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert vol.stat("/null").st_rdev == os.makedev(1, 3)
    vol.touch("/t")
    assert vol.stat("/t").st_size == 0
    vol.copy("/a", "/copy")
    assert vol.read_bytes("/copy") == b"a"
    assert vol.stat("/copy").st_ino != vol.stat("/a").st_ino


def test_attributes(vol):
    vol.write_bytes("/f", b"12345")
    vol.chmod("/f", 0o640)
    vol.chown("/f", 12, 34)
    vol.utime("/f", ns=(1_000_000_001, 2_000_000_002))
    vol.truncate("/f", 2)
    vol.utime("/f", ns=(1_000_000_001, 2_000_000_002))
    found = vol.stat("/f")
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert (found.st_uid, found.st_gid, found.st_size) == (12, 34, 2)
    assert (found.st_atime_ns, found.st_mtime_ns) == (1_000_000_001, 2_000_000_002)
    assert found.st_mtime == pytest.approx(2.000000002)


def test_extended_attributes(vol):
    vol.write_bytes("/f", b"")
    vol.setxattr("/f", "user.k", b"v")
    assert vol.getxattr("/f", "user.k") == b"v"
    assert vol.listxattr("/f") == ["user.k"]
    vol.removexattr("/f", "user.k")
    assert vol.listxattr("/f") == []
    with pytest.raises(OSError, match="no extended attribute"):
        vol.getxattr("/f", "user.k")


def test_bulk_verbs(vol):
    data = {f"/bulk/{number}": bytes([number]) * number for number in range(100)}
    vol.mkdir("/bulk")
    vol.write_many(data)
    assert vol.read_many(list(data)) == list(data.values())
    assert [found.st_size for found in vol.stat_many(data)] == list(range(100))


def test_import_and_export(vol, tmp_path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_bytes(b"x" * 5000)
    (source / "link").symlink_to("deep/file")
    seen = []
    done = vol.import_tree(source, "/dst", progress=seen.append)
    assert (done.files, done.directories, done.links, done.bytes) == (1, 2, 1, 5000)
    assert seen[-1].files == seen[-1].files_total == 1
    assert vol.read_bytes("/dst/deep/file") == b"x" * 5000
    target = tmp_path / "target"
    vol.export_tree("/dst", target)
    assert (target / "link").read_bytes() == b"x" * 5000
    assert (target / "link").readlink() == pathlib.Path("deep/file")


def test_sync_statvfs_info_stats_close(vol):
    before = vol.statvfs()
    vol.write_bytes("/f", os.urandom(1 << 20))
    vol.sync()
    after = vol.statvfs()
    assert after.f_bsize == 4096
    assert before.f_bfree - after.f_bfree >= 256
    info = vol.info()
    assert info.block_size == 4096
    assert info.size_bytes == 32 << 20
    assert info["uuid"] == info.uuid
    assert vol.stats().visible_commits.count >= 1
    vol.close()
    vol.close()


def test_transactions_commit_on_exit_and_abort_on_exception(vol):
    with vol.transaction(isolation="snapshot", durable=True) as tx:
        tx.mkdir("/inbox")
        tx.write_bytes("/inbox/1", b"...")
        assert tx.read_bytes("/inbox/1") == b"..."
        assert not vol.exists("/inbox")
    assert vol.read_bytes("/inbox/1") == b"..."
    with pytest.raises(ZeroDivisionError), vol.transaction() as tx:
        tx.write_bytes("/inbox/2", b"...")
        _ = 1 / 0
    assert vol.listdir("/inbox") == ["1"]


def test_savepoints(vol):
    with vol.transaction() as tx:
        tx.write_bytes("/kept", b"")
        with tx.savepoint() as s:
            tx.write_bytes("/undone", b"")
            s.abort()
            assert tx.listdir("/") == ["kept"]
        with pytest.raises(KeyError), tx.savepoint():
            tx.write_bytes("/undone", b"")
            raise KeyError
        with tx.savepoint():
            tx.write_bytes("/kept too", b"")
    assert sorted(vol.listdir("/")) == ["kept", "kept too"]


def test_commit_and_abort_by_hand(vol):
    tx = vol.transaction()
    tx.write_bytes("/a", b"")
    tx.commit()
    assert vol.exists("/a")
    tx = vol.transaction()
    tx.unlink("/a")
    tx.abort()
    assert vol.exists("/a")
    with pytest.raises(vexfs.InvalidArgument):
        tx.unlink("/a")


def test_a_conflict_raises(vol):
    vol.write_bytes("/counter", b"0")
    one, two = vol.transaction(), vol.transaction()
    one.write_bytes("/counter", b"1")
    two.write_bytes("/counter", b"2")
    one.commit()
    with pytest.raises(vexfs.Conflict):
        two.commit()
    assert vol.read_bytes("/counter") == b"1"


def test_serializable_conflicts_with_what_was_only_read(vol):
    vol.write_bytes("/a", b"0")
    vol.write_bytes("/b", b"0")
    one = vol.transaction(isolation="serializable")
    two = vol.transaction(isolation="serializable")
    one.write_bytes("/b", one.read_bytes("/a") + b"1")
    two.write_bytes("/a", two.read_bytes("/b") + b"1")
    one.commit()
    with pytest.raises(vexfs.Conflict):
        two.commit()


def test_run_retries_conflicts_and_returns_the_result(vol):
    vol.write_bytes("/counter", b"0")
    attempts = []

    def increment(tx):
        attempts.append(1)
        count = int(tx.read_bytes("/counter")) + 1
        if len(attempts) == 1:
            vol.write_bytes("/counter", b"10")
        tx.write_bytes("/counter", str(count).encode())
        return count

    assert vol.run(increment, retries=10) == 11
    assert len(attempts) == 2
    with pytest.raises(vexfs.Conflict):
        vol.run(lambda tx: (vol.write_bytes("/counter", b"0"), tx.write_bytes("/counter", b"1")), retries=2)


def test_fsck_reports_clean(vol, image):
    vol.write_bytes("/f", b"x" * 100_000)
    vol.close()
    report = vexfs.fsck(image, repair="none", data=False)
    assert report.clean
    assert report.findings == []
    assert '"clean": true' in report.to_json(indent=1)
    assert vexfs.fsck(image, data=True).clean


def test_recover_reports_phases(vol, image, tmp_path):
    vol.write_bytes("/a.txt", b"hello", durable=True)
    copy = tmp_path / "copy.vexfs"
    copy.write_bytes(pathlib.Path(image).read_bytes())
    dry = vexfs.recover(copy, workers=None, dry_run=True)
    report = vexfs.recover(copy, workers=None)
    assert report.transactions == dry.transactions >= 1
    assert report.bytes > 0
    assert report.seconds > 0
    assert report.phases
    assert vexfs.recover(copy).clean


def test_a_second_writer_is_busy_and_a_reader_sees_the_last_checkpoint(vol, image):
    vol.write_bytes("/a", b"1")
    with pytest.raises(vexfs.Busy):
        vexfs.open(image)
    vol.checkpoint()
    with vexfs.open(image, mode="r") as beside:
        assert beside.listdir("/") == ["a"]
        first = beside.as_of
        vol.write_bytes("/b", b"2")
        assert beside.listdir("/") == ["a"]
        vol.checkpoint()
        beside.refresh()
        assert sorted(beside.listdir("/")) == ["a", "b"]
        assert beside.as_of > first


def test_paths_may_be_str_bytes_or_pathlike(vol):
    vol.write_bytes("/ü", b"1")
    assert vol.read_bytes("/ü".encode()) == b"1"
    assert vol.read_bytes(pathlib.PurePosixPath("/ü")) == b"1"
    assert vol.listdir(b"/") == ["ü".encode()]
    with pytest.raises(TypeError):
        vol.read_bytes(3)


def test_errors_are_what_python_has_and_carry_code_errno_and_filename(vol):
    with pytest.raises(FileNotFoundError) as caught:
        vol.read_bytes("/none")
    error = caught.value
    assert isinstance(error, vexfs.Error)
    assert isinstance(error, vexfs.NotFound)
    assert (error.code, error.errno, error.filename) == ("not_found", 2, "/none")
    assert "/none" in str(error)
    vol.mkdir("/d")
    vol.write_bytes("/f", b"")
    for kind, call in {
        FileExistsError: lambda: vol.mkdir("/d"),
        NotADirectoryError: lambda: vol.listdir("/f"),
        IsADirectoryError: lambda: vol.read_bytes("/d"),
        vexfs.InvalidArgument: lambda: vol.read_bytes("relative"),
        ValueError: lambda: vol.truncate("/f", -1),
    }.items():
        with pytest.raises(kind) as caught:
            call()
        assert isinstance(caught.value, vexfs.Error)
        assert caught.value.code
