"""The integers of the protobuf wire format, which ONNX files and TFRecords share."""


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """Read an unsigned integer of seven bits a byte, lowest first; give it and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def int64(value: int) -> int:
    """Take an unsigned integer of 64 bits as a signed one."""
    return value - (1 << 64) if value >> 63 else value
