"""ImageReward v1.0 (arXiv:2304.05977): BLIP-L tuned on 137k comparisons, a linear chain on its first text token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BertTokenizer

from rewardkit.errors import UserError
from rewardkit.images.preprocess import Framed
from rewardkit.rewards.published.aesthetic import linear_chain
from rewardkit.rewards.published.blip import BERT, Blip, VitSize
from rewardkit.rewards.published.framing import clip_crop
from rewardkit.rewards.published.scorer import Reference, Scorer
from rewardkit.rewards.published.weights import Source, fitted, locate, read_state, weight_file
from rewardkit.types import Scores

SOURCE = Source(
    "ImageReward",
    "REWARDKIT_IMAGEREWARD",
    "THUDM/ImageReward",
    ("ImageReward.pt", "*.safetensors"),
)
VOCABULARY = Source("BERT's vocabulary", "REWARDKIT_BERT", "google-bert/bert-base-uncased", ("vocab.txt",))

MEAN, STD = 0.16717362830052426, 1.0333394966054072
"""Mean and standard deviation of the raw output on the authors' test set; the published score is the z-score."""

MAX_TOKENS = 35
"""Longer prompts are truncated, as published."""


class ImageReward(Scorer):
    """About standard normal; 98 % of the published test set is in [-2, 2]."""

    name = "imagereward"
    axis = "alignment"
    reference = Reference(-2.0, 2.0, 0.0, 1.0, "the authors' test set")

    def __init__(
        self, tokenizer: BertTokenizer, vit: VitSize | None = None, bert: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        vit, bert = vit or VitSize(), bert or BERT
        self.tokenizer = tokenizer
        self.blip = Blip(vit, bert)
        self.mlp = nn.ModuleDict({"layers": linear_chain(bert["hidden_size"], dropped=3)})
        self.preprocess = clip_crop(vit.image_size, half="even")
        self.freeze()

    def rate(self, pixels: Framed, prompts: Sequence[str]) -> Scores:
        words = self.tokenizer(
            list(prompts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self.device)
        raw = self.mlp["layers"](self.blip(pixels, words.input_ids, words.attention_mask))
        return (raw.squeeze(-1) - MEAN) / STD


def load_vocabulary(path: Path) -> BertTokenizer:
    """BERT's lower-case tokenizer from a vocab.txt (or a folder with one), with BLIP's additional token [DEC]."""
    file = path / "vocab.txt" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{path} has no vocab.txt; get it with bert-base-uncased, or set {VOCABULARY.variable}")
    words = file.read_text(encoding="utf-8").splitlines()
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    return tokenizer


def load_imagereward(
    where: str = "",
    *,
    device: torch.device | str = "cpu",
    vit: VitSize | None = None,
    bert: dict[str, Any] | None = None,
) -> ImageReward:
    """Load ImageReward v1.0; BERT's vocab.txt is searched next to it, in `REWARDKIT_BERT`, and on the hub."""
    file = weight_file(locate(SOURCE, where), SOURCE)
    beside = file.with_name("vocab.txt")
    words = beside if beside.is_file() else locate(VOCABULARY)
    state, tokenizer = read_state(file), load_vocabulary(words)
    unused = ("blip.text_proj.", "blip.vision_proj.")
    return fitted(lambda: ImageReward(tokenizer, vit, bert), state, file, unused).to(device)
