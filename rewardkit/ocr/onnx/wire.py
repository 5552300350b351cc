"""The protobuf wire format, as far as ONNX files need it: a message is (field number, value) pairs."""

import struct
from collections import defaultdict

from rewardkit.errors import UserError
from rewardkit.io.protobuf import int64, varint

Value = int | memoryview
"""A varint, or the bytes of a fixed-size or length-delimited field."""
Message = dict[int, list[Value]]
"""Field number -> its values in order."""


def message(data: memoryview) -> Message:
    """Split a message into its fields; raise `UserError` where the bytes are no protobuf message."""
    fields: Message = defaultdict(list)
    at = 0
    try:
        while at < len(data):
            key, at = varint(data, at)
            value, at = _value(data, at, key & 7)
            fields[key >> 3].append(value)
    except IndexError:
        raise UserError("this is no whole ONNX file: it ends inside a field; get it again") from None
    return fields


def _value(data: memoryview, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return varint(data, at)
    if kind == 2:
        length, at = varint(data, at)
    elif kind in (1, 5):
        length = 8 if kind == 1 else 4
    else:
        raise UserError(f"this is no ONNX file: protobuf wire type {kind} is not used there")
    if at + length > len(data):
        raise IndexError
    return data[at : at + length], at + length


def signed(value: Value) -> int:
    """Take a varint as int64, which ONNX's integers are."""
    return int64(integer(value))


def integer(value: Value) -> int:
    """Take a field that holds a varint; raise `UserError` when it holds bytes."""
    if not isinstance(value, int):
        raise UserError("this is no ONNX file: bytes stand where a number belongs")
    return value


def raw(value: Value) -> memoryview:
    """Take a field that holds bytes; raise `UserError` when it holds a number."""
    if isinstance(value, int):
        raise UserError("this is no ONNX file: a number stands where bytes belong")
    return value


def text(value: Value) -> str:
    """Take a field as UTF-8."""
    return bytes(raw(value)).decode()


def integers(values: list[Value]) -> list[int]:
    """Take a repeated int64 field, packed or one by one."""
    numbers: list[int] = []
    for value in values:
        if isinstance(value, int):
            numbers.append(signed(value))
            continue
        at = 0
        while at < len(value):
            number, at = varint(value, at)
            numbers.append(signed(number))
    return numbers


def floats(values: list[Value]) -> list[float]:
    """Take a repeated float field, packed or one by one."""
    return [number for value in values for (number,) in struct.iter_unpack("<f", raw(value))]
