"""Small images and files in the exact columns of the public sets."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image


def encoded(shade: int, kind: str = "JPEG") -> bytes:
    """A small image whose brightness tells it from others."""
    buffer = io.BytesIO()
    Image.new("RGB", (12, 8), (shade, shade, shade)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def image() -> Callable[..., bytes]:
    return encoded


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write an image file under the test's folder."""

    def write(name: str, shade: int = 100) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(shade, "WEBP" if path.suffix == ".webp" else "JPEG"))
        return path

    return write


@pytest.fixture
def write_json(tmp_path: Path) -> Callable[[str, Any], Path]:
    def write(name: str, value: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(value), encoding="utf-8")
        return path

    return write


PICKAPIC = pa.schema(
    [
        ("are_different", pa.bool_()),
        ("best_image_uid", pa.string()),
        ("caption", pa.string()),
        ("created_at", pa.timestamp("ns")),
        ("has_label", pa.bool_()),
        ("image_0_uid", pa.string()),
        ("image_0_url", pa.string()),
        ("image_1_uid", pa.string()),
        ("image_1_url", pa.string()),
        ("jpg_0", pa.binary()),
        ("jpg_1", pa.binary()),
        ("label_0", pa.float64()),
        ("label_1", pa.float64()),
        ("model_0", pa.string()),
        ("model_1", pa.string()),
        ("ranking_id", pa.int64()),
        ("user_id", pa.int64()),
        ("num_example_per_prompt", pa.int64()),
        ("__index_level_0__", pa.int64()),
    ]
)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picked(
    caption: str, uids: tuple[str, str], label: float, shades: tuple[int, int] = (10, 200), **change: Any
) -> Any:
    """One row of Pick-a-Pic."""
    row = {name: None for name in PICKAPIC.names} | {
        "are_different": True,
        "best_image_uid": {1.0: uids[0], 0.0: uids[1]}.get(label, "tie"),
        "caption": caption,
        "has_label": True,
        "image_0_uid": uids[0],
        "image_1_uid": uids[1],
        "jpg_0": encoded(shades[0]),
        "jpg_1": encoded(shades[1]),
        "label_0": label,
        "label_1": 1 - label,
        "model_0": "sdxl",
        "model_1": "dreamlike",
        "num_example_per_prompt": 1,
    }
    return row | change


PICKS = [
    picked("a cat", ("u0", "u1"), 1.0),
    picked("a cat", ("u1", "u2"), 0.0, (200, 90)),
    picked("a dog", ("u3", "u4"), 0.5, (30, 60)),
    picked("a fox", ("u5", "u6"), 0.5, (40, 70), has_label=False),
]


@pytest.fixture
def pickapic(tmp_path: Path) -> Callable[..., Path]:
    """Write Pick-a-Pic in its 19 columns, two rows a row group: raw bytes, or the datasets library's dicts."""

    def write(name: str = "validation-0.parquet", rows: Any = PICKS, *, dicts: bool = False, without: str = "") -> Path:
        schema = PICKAPIC
        for column in ("jpg_0", "jpg_1") if dicts else ():
            schema = schema.set(schema.get_field_index(column), pa.field(column, IMAGE))
            rows = [row | {column: {"bytes": row[column], "path": None}} for row in rows]
        table = pa.Table.from_pylist(rows, schema)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.drop_columns([without]) if without else table, path, row_group_size=2)
        return path

    return write


@pytest.fixture
def pick() -> Callable[..., dict[str, Any]]:
    """Make one row of Pick-a-Pic."""
    return picked
