"""Encoders by name.

- `seedling`: the small CLIP of the built-in base;
- an open_clip name, with a tag after a slash or a file of weights after a colon: `ViT-B-32/openai`,
  `ViT-B-32:/data/x.pt`, or `hf-hub:owner/name`; a name without either has random weights;
- `hf:owner/name`, `hf:owner/name@revision`: a CLIP, MetaCLIP 2, Chinese-CLIP or SigLIP of transformers on the hub;
- a folder in open_clip's layout (open_clip_config.json, weights, and its tokenizer unless it is the default), or in
  transformers' (config.json, preprocessor_config.json, weights, tokenizer); a folder with both is read as open_clip's,
  unless it is written as `hf:FOLDER`;
- `conv`: a small convolutional network trained from scratch, which reads images only (see `rewardkit.encoders.conv`).
"""

from pathlib import Path

from rewardkit.encoders.base import Encoder
from rewardkit.encoders.openclip import CONFIG, load_clip_folder, load_clip_name
from rewardkit.encoders.transformers_clip import PREFIX, is_transformers_folder, load_transformers
from rewardkit.errors import UserError
from rewardkit.images.preprocess import Fit

SEEDLING = Path(__file__).parent.parent / "seedling" / "weights" / "clip"


def load_encoder(spec: str, *, fit: Fit | None = None) -> Encoder:
    """Load an encoder by name or folder (see the module docstring), in float32 on the CPU, frozen.

    `fit` overrides how images are resized. Raises `UserError` for an unknown spec.
    """
    if spec == "conv" or (Path(spec) / "conv_config.json").is_file():
        from rewardkit.encoders.conv import load_conv

        return load_conv(spec)
    if spec == "seedling":
        return load_clip_folder(SEEDLING, fit)
    if (Path(spec) / CONFIG).is_file():
        return load_clip_folder(Path(spec), fit)
    if spec.startswith(PREFIX) or is_transformers_folder(Path(spec)):
        return load_transformers(spec, fit)
    if Path(spec).exists():
        raise UserError(
            f"{spec} is not an encoder: a folder needs weights and {CONFIG}, or the config.json of a transformers model"
        )
    return load_clip_name(spec, fit)
