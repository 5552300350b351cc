"""The environment of a run: versions of relevant packages, and the hardware."""

import os
import platform
import sys
from importlib import metadata

import torch

import rewardkit

PACKAGES = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "peft",
    "trl",
    "open_clip_torch",
    "rapidocr",
    "onnxruntime",
    "numpy",
    "pillow",
    "safetensors",
)


def versions() -> dict[str, object]:
    """Return the packages' versions, the command and the hardware, as plain values for a JSON file."""
    return {
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
        "rewardkit": rewardkit.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "card": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
