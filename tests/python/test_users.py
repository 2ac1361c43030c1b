"""Owners, permissions and access control lists: a volume opened for a user checks as a mount would."""

import os
import struct

import pytest

import vexfs

OWNER, MEMBER, OTHER = 1000, 2000, 3000
GROUP = 4


@pytest.fixture
def umask():
    """The process's umask is 027."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture
def shared(image):
    """A volume in which everybody may make things, closed."""
    with vexfs.mkfs(image, "32MiB") as vol:
        vol.chmod("/", 0o777)
    return image


def as_user(image, uid, *groups):
    return vexfs.open(image, user=(uid, uid, groups))


def owned(vol, path):
    found = vol.stat(path, follow_symlinks=False)
    return found.st_mode & 0o7777, found.st_uid, found.st_gid


@pytest.mark.parametrize("user", [None, (OWNER, 1001, [GROUP])])
def test_new_things_belong_to_the_user_and_heed_the_umask(shared, umask, user):
    uid, gid = (os.geteuid(), os.getegid()) if user is None else user[:2]
    with vexfs.open(shared, user=user) as vol:
        vol.write_bytes("/file", b"")
        vol.mkdir("/directory")
        vol.symlink("file", "/link")
        with vol.open("/opened", "w", permissions=0o642):
            pass
        vol.touch("/touched", 0o777)
        wanted = {"/file": 0o640, "/directory": 0o750, "/opened": 0o640, "/touched": 0o750, "/link": 0o777}
        assert {path: owned(vol, path) for path in wanted} == {path: (mode, uid, gid) for path, mode in wanted.items()}


def test_a_directory_with_the_group_bit_passes_its_group_on(shared):
    with vexfs.open(shared) as vol:
        vol.mkdir("/team")
        vol.chown("/team", OWNER, GROUP)
        vol.chmod("/team", 0o2777)
    with as_user(shared, MEMBER) as vol:
        vol.mkdir("/team/inner")
        vol.write_bytes("/team/file", b"")
        assert owned(vol, "/team/file")[1:] == (MEMBER, GROUP)
        assert owned(vol, "/team/inner")[1:] == (MEMBER, GROUP)
        assert owned(vol, "/team/inner")[0] & 0o2000


def test_the_group_opens_and_the_others_do_not(shared):
    with vexfs.open(shared) as vol:
        vol.write_bytes("/f", b"precious")
        vol.chown("/f", OWNER, GROUP)
        vol.chmod("/f", 0o640)
    with as_user(shared, MEMBER, 9, GROUP) as vol:
        assert vol.read_bytes("/f") == b"precious"
        assert (vol.access("/f", os.R_OK), vol.access("/f", os.W_OK)) == (True, False)
        for call in (
            lambda: vol.write_bytes("/f", b""),
            lambda: vol.truncate("/f", 0),
            lambda: vol.chmod("/f", 0o666),
            lambda: vol.chown("/f", MEMBER, -1),
            lambda: vol.setxattr("/f", "user.k", b""),
            lambda: vol.open("/f", "r+b"),
            lambda: vol.utime("/f", ns=(1, 1)),
        ):
            with pytest.raises(PermissionError):
                call()
    with as_user(shared, OTHER) as vol:
        assert vol.exists("/f")
        assert (vol.access("/f", os.F_OK), vol.access("/f", os.R_OK), vol.access("/none", 0)) == (True, False, False)
        for call in (lambda: vol.read_bytes("/f"), lambda: vol.open("/f"), lambda: vol.read_many(["/f"])):
            with pytest.raises(vexfs.PermissionDenied) as caught:
                call()
            assert caught.value.filename == "/f"
    with as_user(shared, OWNER) as vol:
        vol.write_bytes("/f", b"mine")
        vol.chmod("/f", 0o600)
        vol.chown("/f", -1, -1)
        with pytest.raises(PermissionError):
            vol.chown("/f", MEMBER, -1)


def test_nobody_removes_what_others_have_in_a_sticky_directory(shared):
    with vexfs.open(shared) as vol:
        vol.mkdir("/tmp")
        vol.chmod("/tmp", 0o1777)
    with as_user(shared, OWNER) as vol:
        vol.write_bytes("/tmp/f", b"")
    with as_user(shared, OTHER) as vol:
        for call in (lambda: vol.unlink("/tmp/f"), lambda: vol.rename("/tmp/f", "/tmp/g")):
            with pytest.raises(PermissionError):
                call()
    with as_user(shared, OWNER) as vol:
        vol.unlink("/tmp/f")


def entries(*rows):
    """The bytes of an access control list: `(tag, permissions, id)`."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)


USER_OBJ, USER, GROUP_OBJ, MASK, OTHERS, NOBODY = 1, 2, 4, 16, 32, 0xFFFFFFFF


def acl(uid, permissions):
    """Everything for the owner, `permissions` for one more user, nothing for the rest."""
    return entries(
        (USER_OBJ, 6, NOBODY), (USER, permissions, uid), (GROUP_OBJ, 0, NOBODY), (MASK, 7, NOBODY), (OTHERS, 0, NOBODY)
    )


def test_access_control_lists(shared):
    with as_user(shared, OWNER) as vol:
        vol.write_bytes("/f", b"x")
        vol.chmod("/f", 0o600)
        vol.setxattr("/f", "system.posix_acl_access", acl(MEMBER, 4))
        assert vol.getxattr("/f", "system.posix_acl_access") == acl(MEMBER, 4)
        with pytest.raises(vexfs.Error):
            vol.setxattr("/f", "system.posix_acl_access", b"no list")
        vol.mkdir("/d")
        vol.chmod("/d", 0o755)
        vol.setxattr("/d", "system.posix_acl_default", acl(MEMBER, 6))
        vol.write_bytes("/d/inherits", b"y")
    with as_user(shared, MEMBER) as vol:
        assert vol.read_bytes("/f") == b"x"
        with pytest.raises(PermissionError):
            vol.write_bytes("/f", b"")
        vol.write_bytes("/d/inherits", b"z")
        with pytest.raises(PermissionError):
            vol.removexattr("/f", "system.posix_acl_access")
    with as_user(shared, OTHER) as vol, pytest.raises(PermissionError):
        vol.read_bytes("/f")


def test_attributes_are_created_or_replaced_as_asked(vol):
    vol.write_bytes("/f", b"")
    with pytest.raises(vexfs.Error) as caught:
        vol.setxattr("/f", "user.k", b"1", os.XATTR_REPLACE)
    assert caught.value.code == "no_attribute"
    vol.setxattr("/f", "user.k", b"1", os.XATTR_CREATE)
    with pytest.raises(FileExistsError):
        vol.setxattr("/f", "user.k", b"2", os.XATTR_CREATE)
    vol.setxattr("/f", "user.k", b"3", os.XATTR_REPLACE)
    assert vol.getxattr("/f", "user.k") == b"3"
    with pytest.raises(vexfs.InvalidArgument):
        vol.setxattr("/f", "user.k", b"", 99)


@pytest.mark.parametrize("data_only", [False, True])
def test_fsync_of_the_data_alone_keeps_the_data(vol, image, data_only):
    import shutil

    with vol.open("/f", "wb") as file:
        file.write(b"precious" * 1000)
        vexfs.fsync(file, data_only=data_only)
        shutil.copyfile(image, f"{image}.crashed")
    with vexfs.open(f"{image}.crashed", "r") as crashed:
        assert crashed.read_bytes("/f") == b"precious" * 1000
