"""Encoders: from images and prompts to the features that reward heads read, in one forward pass of the tower.

`load_encoder` reads a name or a folder (see `rewardkit.encoders.load` for the names); what it gives is an `Encoder`: a CLIP
of open_clip (`ClipEncoder`), a CLIP-like model of transformers (`TransformersEncoder`), or `rewardkit.conv`.
"""

from rewardkit.encoders.base import Colours, Embedding, Encoder, ImageFeatures, Tokens, colours
from rewardkit.encoders.load import load_encoder
from rewardkit.encoders.openclip import ClipEncoder
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
    "load_encoder",
]
