"""Bad input: each kind has its own clear error, and nothing else is lost."""

import errno
import os
import pathlib
import pickle
import subprocess
import sys
import warnings

import pytest

import vexfs
from vexfs import errors

from .children import as_user, read_only_for_others
from .damage import change_superblocks, flip, set_feature, set_version


def code_of(call):
    with pytest.raises(vexfs.Error) as caught:
        call()
    assert str(caught.value)
    return type(caught.value), caught.value.code


def test_what_is_not_a_volume(tmp_path):
    junk = tmp_path / "junk"
    junk.write_bytes(os.urandom(4 << 20))
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for path in (junk, empty):
        assert code_of(lambda path=path: vexfs.open(path))[0] is vexfs.NotAVolume
        assert code_of(lambda path=path: vexfs.fsck(path))[0] is vexfs.NotAVolume
    with pytest.raises(IsADirectoryError):
        vexfs.open(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        vexfs.open(tmp_path / "none")
    assert isinstance(caught.value, vexfs.Error)
    assert str(tmp_path / "none") in str(caught.value)


def test_a_newer_format_and_unknown_features_are_refused_or_read_only(vol, image):
    vol.write_bytes("/f", b"precious")
    vol.close()
    before = pathlib.Path(image).read_bytes()
    for change, code in ((set_version, "newer_format"), (set_feature(168), "unknown_features")):
        change_superblocks(image, change)
        assert code_of(lambda: vexfs.open(image))[1] == code
        pathlib.Path(image).write_bytes(before)
    change_superblocks(image, set_feature(160))
    assert code_of(lambda: vexfs.open(image))[1] == "unknown_features"
    with vexfs.open(image, "r") as again:
        assert again.read_bytes("/f") == b"precious"
    pathlib.Path(image).write_bytes(before)
    change_superblocks(image, set_feature(152))
    with vexfs.open(image) as again:
        assert again.read_bytes("/f") == b"precious"


def test_a_truncated_image_says_so(vol, image):
    vol.close()
    os.truncate(image, 1 << 20)
    kind, _ = code_of(lambda: vexfs.open(image))
    assert kind in (vexfs.NotAVolume, vexfs.Corrupt)


@pytest.mark.parametrize("size", [0, 1, 4096, (2 << 20) - 1, (16 << 40) + 1])
def test_sizes_that_no_volume_can_have(tmp_path, size):
    image = tmp_path / "v"
    assert code_of(lambda: vexfs.mkfs(image, size))[0] is vexfs.InvalidArgument
    assert not image.exists()


@pytest.mark.parametrize("size", ["", "big", "1 parsec", "-1", "1.0001", "GiB", "1GB"])
def test_sizes_that_are_no_number(tmp_path, size):
    assert code_of(lambda: vexfs.mkfs(tmp_path / "v", size))[0] is vexfs.InvalidArgument
    assert not (tmp_path / "v").exists()


def test_mkfs_over_an_existing_volume_needs_force(vol, image):
    vol.write_bytes("/f", b"precious")
    vol.close()
    assert code_of(lambda: vexfs.mkfs(image, "32MiB"))[0] is vexfs.Exists
    with vexfs.open(image) as again:
        assert again.read_bytes("/f") == b"precious"


def test_mkfs_over_an_open_volume_is_busy(vol, image):
    vol.write_bytes("/f", b"precious")
    assert code_of(lambda: vexfs.mkfs(image, "32MiB", force=True))[0] is vexfs.Busy
    assert vol.read_bytes("/f") == b"precious"


def test_a_second_opener_is_busy_and_the_error_names_the_holder(vol, image):
    with pytest.raises(vexfs.Busy, match="this very process") as caught:
        vexfs.open(image)
    assert caught.value.errno == errno.EBUSY
    script = f"import vexfs\ntry: vexfs.open({image!r})\nexcept vexfs.Busy as error: print(error)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert str(os.getpid()) in done.stdout


def test_a_read_only_file_cannot_be_opened_for_writing(vol, image):
    vol.close()
    read_only_for_others(image)

    def work():
        assert code_of(lambda: vexfs.open(image)) == (vexfs.PermissionDenied, "permission")
        assert code_of(lambda: vexfs.mkfs(image, force=True)) == (vexfs.PermissionDenied, "permission")
        with vexfs.open(image, "r") as reader:
            return reader.listdir("/") == []

    assert as_user(65534, work)


def test_names_of_256_bytes_are_too_long(vol):
    vol.write_bytes("/" + "x" * 255, b"")
    kind, code = code_of(lambda: vol.write_bytes("/" + "x" * 256, b""))
    assert (kind, code) == (vexfs.InvalidArgument, "name_too_long")


def test_the_root_as_target(vol):
    vol.mkdir("/d")
    for call in (
        lambda: vol.rmdir("/"),
        lambda: vol.unlink("/"),
        lambda: vol.rmtree("/"),
        lambda: vol.rename("/d", "/"),
        lambda: vol.rename("/", "/d"),
        lambda: vol.write_bytes("/", b""),
        lambda: vol.mkdir("/"),
        lambda: vol.link("/", "/x"),
        lambda: vol.symlink("x", "/"),
    ):
        assert code_of(call)[1]
    assert vol.listdir("/") == ["d"]


def test_symlink_loops(vol):
    vol.symlink("b", "/a")
    vol.symlink("a", "/b")
    for call in (lambda: vol.read_bytes("/a"), lambda: vol.stat("/a"), lambda: vol.write_bytes("/a/x", b"")):
        assert code_of(call)[1] == "symlink_loop"
    assert not vol.exists("/a")
    assert vol.is_symlink("/a")


def test_a_directory_cannot_move_under_itself(vol):
    vol.mkdir("/a/b", parents=True)
    assert code_of(lambda: vol.rename("/a", "/a/b/c"))[1] == "into_itself"
    assert vol.is_dir("/a/b")


def test_a_read_only_volume_refuses_every_change(vol, image):
    vol.write_bytes("/f", b"x")
    vol.symlink("f", "/l")
    vol.close()
    with vexfs.open(image, "r") as reader:
        for call in (
            lambda: reader.write_bytes("/g", b""),
            lambda: reader.mkdir("/d"),
            lambda: reader.unlink("/f"),
            lambda: reader.rename("/f", "/g"),
            lambda: reader.chmod("/f", 0o600),
            lambda: reader.truncate("/f", 0),
            lambda: reader.setxattr("/f", "user.a", b""),
            lambda: reader.open("/f", "r+b"),
            lambda: reader.transaction(),
            lambda: reader.checkpoint(),
        ):
            kind, code = code_of(call)
            assert (kind, code) == (vexfs.ReadOnly, "read_only")
        assert reader.read_bytes("/f") == b"x"


def test_a_full_volume_says_no_space_and_can_be_emptied(image):
    with vexfs.mkfs(image, "4MiB") as vol:
        written = 0
        with pytest.raises(vexfs.NoSpace) as caught:
            while True:
                vol.write_bytes(f"/{written}", os.urandom(50_000))
                written += 1
        assert caught.value.errno == errno.ENOSPC
        assert written > 10
        for number in range(written):
            vol.unlink(f"/{number}")
        vol.write_bytes("/again", os.urandom(50_000))
    assert vexfs.fsck(image, data=True).clean


def test_a_full_inode_table_says_so_and_goes_on_when_one_is_free(image):
    with vexfs.mkfs(image, "24MiB") as vol:
        made = 0
        with pytest.raises(vexfs.NoSpace) as caught:
            while True:
                vol.write_many({f"/{number}": b"" for number in range(made, made + 256)})
                made += 256
        assert caught.value.code == "no_inodes"
        with pytest.raises(vexfs.NoSpace):
            while True:
                vol.write_bytes(f"/{made}", b"")
                made += 1
        assert vol.statvfs().f_ffree == 0
        vol.unlink("/0")
        vol.write_bytes("/again", b"x")
        assert vol.read_bytes("/again") == b"x"
    assert vexfs.fsck(image).clean


def test_offsets_past_16_tib(vol):
    with vol.open("/f", "wb", buffering=0) as file:
        file.write(b"x")
        for offset in (1 << 44, (1 << 63) - 2):
            file.seek(offset)
            with pytest.raises(vexfs.Error) as caught:
                file.write(b"x")
            assert (caught.value.code, caught.value.errno) == ("file_too_large", errno.EFBIG)
        with pytest.raises(vexfs.Error):
            file.truncate((1 << 44) + 1)
        file.truncate(1 << 44)
    assert vol.stat("/f").st_size == 1 << 44
    assert vol.statvfs().f_bfree > 0


def test_closed_handles(image):
    vol = vexfs.mkfs(image, "32MiB")
    tx = vol.transaction()
    f = vol.open("/f", "wb", buffering=0)
    entries = vol.scandir("/")
    vol.close()
    for call in (
        lambda: vol.read_bytes("/f"),
        lambda: vol.listdir("/"),
        lambda: vol.transaction(),
        lambda: vol.sync(),
        lambda: vol.info(),
        lambda: tx.mkdir("/d"),
        lambda: f.write(b"x"),
    ):
        kind, code = code_of(call)
        assert issubclass(kind, vexfs.InvalidArgument)
        assert issubclass(kind, ValueError)
        assert code == "closed"
    entries.close()
    f.close()
    tx.abort()


def test_a_forked_child_is_told_so_and_the_parent_goes_on(vol, image):
    vol.write_bytes("/f", b"x")
    tx = vol.transaction()
    tx.write_bytes("/g", b"y")
    f = vol.open("/f", "r+b", buffering=0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for call in (
                lambda: vol.read_bytes("/f"),
                lambda: vol.write_bytes("/f", b"child"),
                lambda: tx.commit(),
                lambda: f.write(b"child"),
                lambda: vol.close(),
            ):
                assert code_of(call) == (vexfs.ForkedHandle, "forked")
            assert "of the parent process" in repr(vol)
            assert vol._repr_html_()
            assert "ended" in repr(tx)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    tx.commit()
    f.close()
    assert vol.read_bytes("/f") == b"x"
    assert vol.read_bytes("/g") == b"y"
    with pytest.raises(vexfs.Busy):
        vexfs.open(image)


def test_a_child_that_ends_does_not_release_the_lock(vol, image):
    script = "import os, sys; os._exit(0)"
    if (child := os.fork()) == 0:
        os.execv(sys.executable, [sys.executable, "-c", script])
    os.waitpid(child, 0)
    with pytest.raises(vexfs.Busy):
        vexfs.open(image)


def test_paths_with_a_zero_byte_and_relative_paths(vol):
    for path in ("/a\0b", b"/a\0b", "a", "./a"):
        assert code_of(lambda path=path: vol.write_bytes(path, b""))[0] is vexfs.InvalidArgument
    assert vol.listdir("/") == []


def test_paths_of_other_types_are_type_errors(vol):
    for path in (None, 1, 1.5, ["/"], object()):
        with pytest.raises(TypeError):
            vol.stat(path)


def test_bad_isolation_mode_and_retries(vol, image):
    with pytest.raises(ValueError, match="isolation"):
        vol.transaction(isolation="dirty")
    calls = []
    with pytest.raises(vexfs.InvalidArgument, match="retries"):
        vol.run(calls.append, retries=-1)
    assert not calls
    vol.run(calls.append, retries=0)
    assert len(calls) == 1
    vol.close()
    with pytest.raises(ValueError, match="mode"):
        vexfs.open(image, "w")


HUGE = 1 << 70


def test_numbers_out_of_range_are_bad_arguments(vol, image, tmp_path):
    vol.write_bytes("/f", b"x")
    for call in (
        lambda: vol.truncate("/f", HUGE),
        lambda: vol.truncate("/f", -1),
        lambda: vol.chmod("/f", HUGE),
        lambda: vol.chmod("/f", -1),
        lambda: vol.chown("/f", HUGE, -1),
        lambda: vol.mkdir("/d", -1),
        lambda: vol.touch("/g", HUGE),
        lambda: vol.mknod("/g", HUGE),
        lambda: vol.mknod("/g", 0o600, -1),
        lambda: vol.utime("/f", (1e300, 0)),
        lambda: vol.utime("/f", ns=(HUGE, 0)),
        lambda: vol.set_attributes("/f", uid=-2),
        lambda: vol.open("/g", "w", permissions=HUGE),
        lambda: vexfs.mkfs(tmp_path / "new", HUGE),
        lambda: vexfs.mkfs(tmp_path / "new", "9999999999999999TiB"),
        lambda: vexfs.mkfs(tmp_path / "new", "32MiB", journal_size=HUGE),
        lambda: vexfs.mkfs(tmp_path / "new", "32MiB", label="\udcff"),
    ):
        assert code_of(call)[0] is vexfs.InvalidArgument
    vol.close()
    for options in (
        {"user": (-1, 2, [])},
        {"user": (1, HUGE, [])},
        {"user": (1, 2, [-3])},
        {"workers": 10**7},
        {"workers": 0},
        {"workers": -1},
        {"cache_size": HUGE},
        {"memtable_size": HUGE},
        {"commit_interval": -1.0},
        {"checkpoint_interval": float("nan")},
    ):
        assert code_of(lambda options=options: vexfs.open(image, **options))[0] is vexfs.InvalidArgument, options
    assert code_of(lambda: vexfs.tune(image, label="\udcff"))[0] is vexfs.InvalidArgument
    assert os.listdir(tmp_path) == [os.path.basename(image)]
    with vexfs.open(image, user=(1, 2, [3]), workers=2) as again, pytest.raises(TypeError):
        again.chmod("/f", "600")


def test_what_no_code_has_as_type_is_a_type_error(image):
    for options in ({"user": 5}, {"user": (1, 2)}, {"workers": "2"}, {"cache_size": 1.5}):
        with pytest.raises((TypeError, ValueError)):
            vexfs.open(image, **options)


def test_repair_is_refused(vol, image):
    vol.close()
    for repair in ("safe", "all"):
        assert code_of(lambda repair=repair: vexfs.fsck(image, repair=repair))[0] is vexfs.Unsupported
    with pytest.raises(ValueError):
        vexfs.fsck(image, repair="some")


def test_a_corrupt_superblock_with_a_good_copy_opens_and_says_so(vol, image):
    vol.write_bytes("/f", b"x")
    vol.close()
    flip(image, 0)
    with pytest.warns(RuntimeWarning, match=r"block 0 is damaged.*vexfs fsck") as told:
        again = vexfs.open(image, "r")
    with again:
        assert again.read_bytes("/f") == b"x"
        assert again.info().bad_superblocks == [0]
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            vexfs.open(image)
    with pytest.warns(RuntimeWarning):
        vexfs.open(image).close()  # the one that was not returned is closed


@pytest.mark.parametrize(("offset", "kind"), [(40, vexfs.Corrupt), (0, vexfs.NotAVolume)])
def test_all_superblocks_corrupt(vol, image, offset, kind):
    """Of one whose first bytes are gone too, nobody can say that it was a volume."""
    vol.close()
    for copy in (0, 4096, os.path.getsize(image) - 4096):
        flip(image, copy + offset)
    for call in (lambda: vexfs.open(image), lambda: vexfs.fsck(image), lambda: vexfs.tune(image, label="x")):
        with pytest.raises(kind) as caught:
            call()
        assert "fsck" not in str(caught.value)


def test_errors_of_open_files_name_the_file(vol, image):
    for path in ("/f", b"/f"):
        with vol.open(path, "wb", buffering=0) as file:
            with pytest.raises(vexfs.Error) as caught:
                file.pread(1, 0)
            assert caught.value.filename == path
            with pytest.raises(vexfs.TooLarge) as caught:
                file.pwrite(b"x", 1 << 50)
            assert caught.value.filename == path
            assert "/f" in str(caught.value)


def test_errors_pickle_and_print(vol):
    with pytest.raises(vexfs.NotFound) as caught:
        vol.rename("/a", "/b")
    error = caught.value
    assert (error.filename, error.filename2) == ("/a", "/b")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.code, again.errno, str(again), again.filename) == (
        error.code,
        error.errno,
        str(error),
        error.filename,
    )


def test_every_class_is_an_error_of_the_system():
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert issubclass(kind, OSError)
        assert getattr(vexfs, name) is kind
        assert kind.__doc__
    assert issubclass(vexfs.NotFound, FileNotFoundError)
    assert issubclass(vexfs.Exists, FileExistsError)
    assert issubclass(vexfs.NotADirectory, NotADirectoryError)
    assert issubclass(vexfs.IsADirectory, IsADirectoryError)
    assert issubclass(vexfs.PermissionDenied, PermissionError)
    assert issubclass(vexfs.InvalidArgument, ValueError)


def test_volumes_close_when_the_interpreter_ends(image):
    script = f"import vexfs; v = vexfs.mkfs({image!r}, '32MiB'); v.write_bytes('/f', b'x')"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
    with vexfs.open(image) as vol:
        assert vol.read_bytes("/f") == b"x"
