"""Encoders: from images and prompts to the features for reward heads, in one forward pass of the tower.

`load_encoder` takes a name or a folder (`rewardkit.encoders.load` lists the names) and returns an `Encoder`: a CLIP of
open_clip (`ClipEncoder`), a CLIP-like model of transformers (`TransformersEncoder`), or `rewardkit.encoders.conv`.
"""

from rewardkit.encoders.base import Colours, Embedding, Encoder, ImageFeatures, Tokens, colours
from rewardkit.encoders.load import load_encoder
from rewardkit.encoders.openclip import ClipEncoder, load_clip_folder, load_clip_name, preprocess_of
from rewardkit.encoders.transformers_clip import TransformersEncoder

__all__ = [
    "ClipEncoder",
    "Colours",
    "Embedding",
    "Encoder",
    "ImageFeatures",
    "Tokens",
    "TransformersEncoder",
    "colours",
    "load_clip_folder",
    "load_clip_name",
    "load_encoder",
    "preprocess_of",
]
