"""Images: files, decoding ahead, preprocessing, statistics; float RGB in [0, 1] everywhere."""

from rewardkit.images.checks import check_images
from rewardkit.images.files import (
    MAX_PIXELS,
    QUIET,
    SUFFIXES,
    ByteImage,
    ImageBytes,
    OneImage,
    Quiet,
    data_uri,
    image_size,
    list_images,
    load_bytes,
    load_image,
    load_pixels,
    pixels,
    save_image,
    to_pil,
    to_tensor,
)
from rewardkit.images.resize import grid, resize

__all__ = [
    "MAX_PIXELS",
    "QUIET",
    "SUFFIXES",
    "ByteImage",
    "ImageBytes",
    "OneImage",
    "Quiet",
    "check_images",
    "data_uri",
    "grid",
    "image_size",
    "list_images",
    "load_bytes",
    "load_image",
    "load_pixels",
    "pixels",
    "resize",
    "save_image",
    "to_pil",
    "to_tensor",
]
