"""Damaging images, for tests."""

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
