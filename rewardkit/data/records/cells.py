"""Images in cells of Parquet files: a reference first, the bytes only when needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError


@dataclass(frozen=True)
class CellImage:
    """The image in one cell: raw bytes, or a `{"bytes", "path"}` of the datasets library."""

    file: Path
    column: str
    block: int
    """Row group of the file."""
    place: int
    """Row within the row group."""
    row: int
    """Row of the file, counted from 1."""

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}, column {self.column}"

    def read_bytes(self) -> bytes:
        """Return the encoded image; raise `UserError` if the cell is empty or its file unreadable."""
        value = _column(self.file, self.block, self.column)[self.place].as_py()
        if isinstance(value, dict):
            value = value.get("bytes") or _beside(self.file, value.get("path"))
        if not value:
            raise UserError(f"no image in {self}")
        return bytes(value)


def _beside(file: Path, name: object) -> bytes | None:
    """Read the image that a cell names by a path relative to the table."""
    path = file.parent / str(name)
    return path.read_bytes() if name and path.is_file() else None


@lru_cache(maxsize=8)  # images are read row by row, and a row may have six of them
def _column(file: Path, block: int, column: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            return table.read_row_group(block, columns=[column]).column(0)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"cannot read {file}: {error}") from error


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file; cells of images become `CellImage`, and their bytes are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            with_images = [name for name, kind in zip(schema.names, schema.types, strict=True) if holds_image(kind)]
            plain = [name for name in schema.names if name not in with_images]
            row = 0
            for block in range(file.num_row_groups):
                count = file.metadata.row_group(block).num_rows
                rows = file.read_row_group(block, columns=plain).to_pylist() if plain else [{}] * count
                for place, values in enumerate(rows):
                    row += 1
                    yield values | {name: CellImage(path, name, block, place, row) for name in with_images}
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not a readable parquet file: {error}") from error


def holds_image(kind: Any) -> bool:
    """Whether a column of this Arrow type holds encoded images."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and holds_image(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
