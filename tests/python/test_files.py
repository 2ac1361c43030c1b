"""File objects behave as those of Python's `open`."""

import io
import os
import pathlib
from contextlib import suppress

import pytest

import vexfs


def test_modes_do_what_open_does(vol, tmp_path):
    """The same calls on a file of the machine give the same results."""
    for mode in ("r", "w", "x", "a", "r+", "w+", "x+", "a+"):
        for exists in (False, True):
            outcomes = []
            for opener, path in ((open, str(tmp_path / "f")), (vol.open, "/f")):
                if exists:
                    with opener(path, "wb") as f:
                        f.write(b"0123456789")
                try:
                    with opener(path, mode + "b") as f:
                        steps = [f.tell(), f.readable(), f.writable(), f.seekable()]
                        if f.readable():
                            steps.append(f.read(4))
                        if f.writable():
                            steps.append(f.write(b"abc"))
                        steps.append(f.tell())
                    with opener(path, "rb") as f:
                        steps.append(f.read())
                    outcomes.append(steps)
                except OSError as error:
                    outcomes.append(error.errno)
            assert outcomes[0] == outcomes[1], (mode, exists)
            for remove, path in ((os.unlink, str(tmp_path / "f")), (vol.unlink, "/f")):
                with suppress(FileNotFoundError):
                    remove(path)


@pytest.mark.parametrize("mode", ["", "rw", "rr", "z", "rbt", "+", "U"])
def test_bad_modes_are_invalid_arguments(vol, mode):
    with pytest.raises(ValueError, match="mode"):
        vol.open("/f", mode)
    assert vol.listdir("/") == []


def test_bad_combinations_are_invalid_arguments(vol):
    for options in ({"buffering": 0}, {"mode": "wb", "encoding": "utf-8"}, {"mode": "wb", "buffering": 1}):
        with pytest.raises(ValueError):
            vol.open("/f", **{"mode": "w", **options})


def test_unbuffered_files_are_raw(vol):
    with vol.open("/f", "wb", buffering=0) as f:
        assert isinstance(f, vexfs.RawFile)
        assert f.write(b"abc") == 3
        assert vol.read_bytes("/f") == b"abc"
        assert f.pwrite(b"X", 1) == 1
        assert f.tell() == 3
    with vol.open("/f", "rb", buffering=0) as f:
        assert f.read(2) == b"aX"
        assert f.readall() == b"c"
        assert f.read(1) == b""
        assert f.pread(2, 0) == b"aX"
        buffer = bytearray(5)
        assert f.seek(-1, os.SEEK_END) == 2
        assert f.readinto(buffer) == 1
        assert buffer == b"c\0\0\0\0"


def test_reads_of_any_length_give_what_is_there(vol, tmp_path):
    """As on the machine, whose unbuffered files are the model."""
    data = bytes(range(256)) * 1000
    vol.write_bytes("/f", data)
    (tmp_path / "f").write_bytes(data)
    with vol.open("/f", "rb", buffering=0) as ours, open(tmp_path / "f", "rb", buffering=0) as theirs:
        for at in (0, 5, 4096, 200_000, 255_999, 256_000, 1 << 41):
            for size in (0, 1, 4096, 65_536, 65_537, 300_000, 1 << 24, -1, None):
                assert ours.seek(at) == theirs.seek(at) == at
                assert ours.read(size) == theirs.read(size)
                assert ours.tell() == theirs.tell()
                assert ours.seek(-1, os.SEEK_CUR) == theirs.seek(-1, os.SEEK_CUR) if at else ours.seek(0) == 0
        ours.seek(0)
        assert ours.read(1 << 62) == data
        theirs.seek(0)
        for bad in ((-1, os.SEEK_SET), (-(1 << 40), os.SEEK_CUR), (0, 17)):
            with pytest.raises(OSError, match=r".") as ours_says:
                ours.seek(*bad)
            with pytest.raises(OSError) as theirs_say:
                theirs.seek(*bad)
            assert ours_says.value.errno == theirs_say.value.errno


def test_appends_go_to_the_end_wherever_the_position_is(vol):
    vol.write_bytes("/f", b"123")
    with vol.open("/f", "ab", buffering=0) as f:
        f.seek(0)
        f.write(b"4")
        vol.write_bytes("/f", b"123456")
        f.write(b"7")
    assert vol.read_bytes("/f") == b"1234567"


def test_holes_cost_nothing_and_can_be_found(vol):
    with vol.open("/f", "w+b", buffering=0) as f:
        f.pwrite(b"x" * 4096, 1 << 40)
        assert f.stat().st_size == (1 << 40) + 4096
        assert f.stat().st_blocks <= 64
        assert f.seek(0, os.SEEK_DATA) == 1 << 40
        assert f.seek(0, os.SEEK_HOLE) == 0
        assert f.pread(10, 12345) == bytes(10)
        with pytest.raises(OSError, match="neither data nor"):
            f.seek(1 << 41, os.SEEK_DATA)


def test_truncate_cuts_and_grows(vol):
    with vol.open("/f", "w+b") as f:
        f.write(b"0123456789")
        assert f.truncate(4) == 4
        assert f.truncate(6) == 6
        f.seek(0)
        assert f.read() == b"0123\0\0"


def test_ranges_are_zeroed_taken_out_and_put_in(vol):
    blocks = [bytes([number]) * 4096 for number in range(1, 5)]
    with vol.open("/f", "w+b", buffering=0) as f:
        f.write(b"".join(blocks))
        f.zero_range(4096, 4096)
        f.zero_range(4 * 4096, 10, keep_size=True)
        assert f.pread(5 * 4096, 0) == blocks[0] + bytes(4096) + blocks[2] + blocks[3]
        f.collapse_range(4096, 4096)
        assert f.pread(5 * 4096, 0) == blocks[0] + blocks[2] + blocks[3]
        f.insert_range(8192, 8192)
        assert f.pread(9 * 4096, 0) == blocks[0] + blocks[2] + bytes(8192) + blocks[3]
        f.zero_range(5 * 4096, 100)
        assert f.stat().st_size == 5 * 4096 + 100
        for change, offset, length in (
            (f.collapse_range, 1, 4096),
            (f.insert_range, 0, 5),
            (f.collapse_range, 0, 1 << 20),
        ):
            with pytest.raises(vexfs.InvalidArgument):
                change(offset, length)


def test_allocate_and_punch_hole(vol):
    with vol.open("/f", "w+b", buffering=0) as f:
        f.allocate(0, 1 << 20)
        assert f.stat().st_size == 1 << 20
        assert f.stat().st_blocks * 512 >= 1 << 20
        f.pwrite(b"x" * (1 << 20), 0)
        f.punch_hole(4096, 1 << 19)
        assert f.pread(4096, 4096) == bytes(4096)
        assert f.pread(4096, 0) == b"x" * 4096
        assert f.stat().st_blocks * 512 < 1 << 20
        f.allocate(1 << 20, 4096, keep_size=True)
        assert f.stat().st_size == 1 << 20


def test_a_file_lives_on_while_it_is_open(vol):
    with vol.open("/f", "w+b") as f:
        f.write(b"abc")
        f.flush()
        vol.unlink("/f")
        assert not vol.exists("/f")
        f.seek(0)
        assert f.read() == b"abc"
        assert f.raw.stat().st_nlink == 0


def test_text_lines(vol):
    with vol.open("/t", "w", encoding="utf-8", newline="\n") as f:
        f.writelines(f"line {number} ä\n" for number in range(1000))
    with vol.open("/t", encoding="utf-8") as f:
        assert [line.rstrip("\n") for line in f] == [f"line {number} ä" for number in range(1000)]
        assert f.mode == "r"


def test_fsync_makes_written_data_durable(vol, image, tmp_path):
    with vol.open("/f", "wb") as f:
        f.write(b"abc")
        vexfs.fsync(f)
        copy = tmp_path / "copy"
        copy.write_bytes(pathlib.Path(image).read_bytes())
    with vexfs.open(copy) as crashed:
        assert crashed.read_bytes("/f") == b"abc"
    with pytest.raises(TypeError):
        vexfs.fsync(io.BytesIO())


def test_files_in_a_transaction_belong_to_it(vol):
    with pytest.raises(KeyError), vol.transaction() as tx:
        with tx.open("/f", "wb") as f:
            f.write(b"abc")
        assert tx.read_bytes("/f") == b"abc"
        raise KeyError
    assert not vol.exists("/f")
    with vol.transaction() as tx, tx.open("/f", "wb", buffering=0) as f:
        f.write(b"abc")
    assert vol.read_bytes("/f") == b"abc"


def test_a_file_of_an_ended_transaction_says_so(vol):
    with vol.transaction() as tx:
        f = tx.open("/f", "wb", buffering=0)
    with pytest.raises(vexfs.InvalidArgument, match="ended"):
        f.write(b"x")
    f.close()


def test_a_closed_file_says_so(vol):
    f = vol.open("/f", "wb")
    f.close()
    with pytest.raises(ValueError, match="closed"):
        f.write(b"x")
    raw = vol.open("/f", "rb", buffering=0)
    raw.close()
    for use in (raw.readall, raw.read, raw.stat, raw.tell, lambda: raw.pread(1, 0), lambda: raw.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_a_file_for_reading_cannot_be_written_and_the_other_way_round(vol):
    vol.write_bytes("/f", b"abc")
    with vol.open("/f", "rb", buffering=0) as f, pytest.raises(OSError, match="not open for writing"):
        f.write(b"x")
    with vol.open("/f", "wb", buffering=0) as f, pytest.raises(OSError, match="not open for reading"):
        f.read(1)


def test_an_unclosed_file_warns(vol):
    f = vol.open("/f", "wb", buffering=0)
    with pytest.warns(ResourceWarning, match="unclosed file"):
        del f


def test_offsets_past_16_tib_are_too_large(vol):
    with vol.open("/f", "w+b", buffering=0) as f:
        with pytest.raises(vexfs.TooLarge):
            f.pwrite(b"x", 16 << 40)
        with pytest.raises(vexfs.TooLarge):
            f.truncate((16 << 40) + 1)
        f.truncate(16 << 40)
        f.pwrite(b"x", (16 << 40) - 1)
        assert f.pread(10, (16 << 40) - 1) == b"x"
        with pytest.raises(ValueError):
            f.pread(1, -1)


def test_large_sequential_files_round_trip(vol):
    data = os.urandom(5_000_000)
    with vol.open("/f", "wb") as f:
        for offset in range(0, len(data), 100_000):
            f.write(data[offset : offset + 100_000])
    with vol.open("/f", "rb") as f:
        assert f.read() == data
    assert vol.read_bytes("/f") == data
