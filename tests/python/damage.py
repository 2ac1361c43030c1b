"""Damaging images, for tests."""

import os
from pathlib import Path


def flip(image, offset, length=64):
    """Inverts bytes of a file; doing it twice is nothing."""
    with open(image, "r+b") as file:
        file.seek(offset)
        data = file.read(length)
        file.seek(offset)
        file.write(bytes(byte ^ 0xFF for byte in data))


def flip_text(image, text):
    """Inverts every occurrence of some bytes."""
    data, at = Path(image).read_bytes(), 0
    while (at := data.find(text, at)) >= 0:
        flip(image, at, len(text))
        at += len(text)


def crc32c(data):
    """As the superblock has it; slow, for one block."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def change_superblocks(image, change):
    """Changes every copy, with a checksum that fits: what a later version could have written."""
    with open(image, "r+b") as file:
        for at in (0, 4096, os.path.getsize(image) - 4096):
            file.seek(at)
            block = bytearray(file.read(4096))
            change(block)
            block[24:28] = bytes(4)
            block[24:28] = crc32c(block).to_bytes(4, "little")
            file.seek(at)
            file.write(block)


def set_version(block):
    block[4:6] = (99).to_bytes(2, "little")


def set_feature(offset):
    def change(block):
        block[offset + 7] |= 0x80

    return change
