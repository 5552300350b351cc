"""TFRecord files of tf.Example, read without TensorFlow.

A record is its length (8 bytes), a checksum of the length (4), the data, a checksum of the data (4), little-endian. The
data is a protobuf message: Example.features (1) -> Features.feature (1), a map of name (1) to Feature (2) -> one list
of bytes (1), floats (2) or integers (3), whose values are field 1. The checksum of the length is verified, that of the
data is not: it would take longer than all the rest.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.io.protobuf import int64, varint


def read_tfrecord(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every tf.Example as a dict: a feature of one value is that value, of several a list of them.

    Raises `UserError` for a file that is cut short or no TFRecord of tf.Example.
    """
    with path.open("rb") as file:
        number = 0
        while head := file.read(12):
            number += 1
            if len(head) < 12 or struct.unpack("<I", head[8:])[0] != masked_crc(head[:8]):
                raise UserError(f"{path} is not a TFRecord file, or is damaged at record {number}")
            size = int.from_bytes(head[:8], "little")
            data = file.read(size)
            if len(data) < size or len(file.read(4)) < 4:
                raise UserError(f"{path} ends in the middle of record {number}; fetch it again")
            try:
                yield example(data)
            except (IndexError, ValueError, struct.error) as error:
                raise UserError(f"{path}, record {number} is no tf.Example ({error})") from error


def example(data: bytes) -> dict[str, Any]:
    """Parse the bytes of a tf.Example."""
    found = {}
    for features in values_of(data, 1):
        for entry in values_of(features, 1):
            name, feature = first(entry, 1), first(entry, 2)
            values = [value for kind in (1, 2, 3) for one in values_of(feature, kind) for value in listed(one, kind)]
            found[name.decode()] = values[0] if len(values) == 1 else values
    return found


def listed(data: bytes, kind: int) -> list[Any]:
    """Read a list of bytes (kind 1), floats (2) or integers (3), packed or one by one."""
    values: list[Any] = []
    for number, value in fields(data):
        if number != 1:
            continue
        if kind == 1:
            values.append(value)
        elif kind == 2:
            values += struct.unpack(f"<{len(value) // 4}f", value)
        else:
            values += [int64(value)] if isinstance(value, int) else list(map(int64, varints(value)))
    return values


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a protobuf message: a number and an int (varint) or bytes."""
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        match key & 7:
            case 0:
                value, place = varint(data, place)
                yield key >> 3, value
            case 1 | 2 | 5 as wire:
                size, place = varint(data, place) if wire == 2 else ({1: 8, 5: 4}[wire], place)
                if place + size > len(data):
                    raise ValueError("a field is longer than its message")
                yield key >> 3, data[place : place + size]
                place += size
            case wire:
                raise ValueError(f"wire type {wire}")


def values_of(data: bytes, number: int) -> list[bytes]:
    return [value for found, value in fields(data) if found == number and isinstance(value, bytes)]


def first(data: bytes, number: int) -> bytes:
    return next(iter(values_of(data, number)), b"")


def varints(data: bytes) -> Iterator[int]:
    place = 0
    while place < len(data):
        value, place = varint(data, place)
        yield value


def masked_crc(data: bytes) -> int:
    """Work out the CRC-32C of a few bytes, turned and shifted as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
