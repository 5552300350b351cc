"""TFRecord files of tf.Example, read without TensorFlow.

A record is its length (8 bytes), a checksum of the length (4), the data, a checksum of the data (4), little-endian. The
checksum of the length is verified, that of the data is not, because it would take longer than everything else.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError

from rewardkit.errors import UserError

SCHEMA = """
name: "rewardkit/example.proto" package: "tf" syntax: "proto3"
message_type { name: "BytesList" field { name: "value" number: 1 type: TYPE_BYTES label: LABEL_REPEATED } }
message_type { name: "FloatList" field { name: "value" number: 1 type: TYPE_FLOAT label: LABEL_REPEATED } }
message_type { name: "Int64List" field { name: "value" number: 1 type: TYPE_INT64 label: LABEL_REPEATED } }
message_type {
  name: "Feature" oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 type: TYPE_MESSAGE type_name: ".tf.BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 type: TYPE_MESSAGE type_name: ".tf.FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 type: TYPE_MESSAGE type_name: ".tf.Int64List" oneof_index: 0 }
}
message_type {
  name: "Features"
  field { name: "feature" number: 1 type: TYPE_MESSAGE type_name: ".tf.Features.FeatureEntry" label: LABEL_REPEATED }
  nested_type {
    name: "FeatureEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".tf.Feature" }
  }
}
message_type { name: "Example" field { name: "features" number: 1 type: TYPE_MESSAGE type_name: ".tf.Features" } }
"""
"""tf.Example as protobuf describes it: a map of a name to a list of bytes, floats or integers."""

POOL = descriptor_pool.DescriptorPool()
POOL.Add(text_format.Parse(SCHEMA, FileDescriptorProto()))
EXAMPLE: Any = message_factory.GetMessageClass(POOL.FindMessageTypeByName("tf.Example"))


def read_tfrecord(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every tf.Example as a dict: a feature with one value is that value, with several a list.

    Raises `UserError` for a file that is truncated or not a TFRecord of tf.Example.
    """
    left = path.stat().st_size
    with path.open("rb") as file:
        number = 0
        while head := file.read(12):
            number += 1
            if len(head) < 12 or struct.unpack("<I", head[8:])[0] != masked_crc(head[:8]):
                raise UserError(f"{path} is not a TFRecord file, or is damaged at record {number}")
            size = int.from_bytes(head[:8], "little")
            left -= size + 16
            if left < 0:
                raise UserError(f"{path} ends in the middle of record {number}; download it again")
            try:
                yield example(file.read(size))
            except DecodeError as error:
                raise UserError(f"{path}, record {number} is not a tf.Example ({error})") from error
            file.read(4)


def example(data: bytes) -> dict[str, Any]:
    """Parse the bytes of a tf.Example."""
    found: dict[str, Any] = {}
    for name, feature in EXAMPLE.FromString(data).features.feature.items():
        values = list(getattr(feature, feature.WhichOneof("kind") or "bytes_list").value)
        found[name] = values[0] if len(values) == 1 else values
    return found


def masked_crc(data: bytes) -> int:
    """Compute the CRC-32C of a few bytes, rotated and offset as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
