"""HPSv3 (arXiv:2508.03789): Qwen2-VL-7B reads the picture and an instruction, a head reads its `<|Reward|>` token.

The head gives a mean and a log deviation; the score is the mean. What a careful copy must keep: pictures of about 256
blocks of 28 x 28 pixels whatever their size, positions that count on through the picture (not Qwen's own in two
dimensions), the head in float32, and the authors' instruction to the letter. The instruction is theirs and not shipped
here: put their `data_collator_qwen.py` beside the weights, it is read and not run.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import AutoTokenizer, Qwen2VLConfig, Qwen2VLModel
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from rewardkit.errors import UserError
from rewardkit.images.preprocess import CLIP_MEAN, CLIP_STD, Framed, FramedPixels, Pixels
from rewardkit.io.files import read_object
from rewardkit.io.loading import loading
from rewardkit.rewards.published.framing import Framing, Size
from rewardkit.rewards.published.scorer import Scorer, between
from rewardkit.rewards.published.weights import Source, State, fitted, locate, read_state, weight_file
from rewardkit.types import Scores

SOURCE = Source("HPSv3", "REWARDKIT_HPSV3", "MizzenAI/HPSv3", ("HPSv3.safetensors", "*.safetensors"))
BACKBONE = Source(
    "Qwen2-VL-7B's config and tokenizer", "REWARDKIT_QWEN2VL", "Qwen/Qwen2-VL-7B-Instruct", (), folder=True
)
INSTRUCTION = Source(
    "HPSv3's instruction",
    "REWARDKIT_HPSV3_INSTRUCTION",
    files=("data_collator_qwen.py",),
    home="github.com/MizzenAI/HPSv3 (hpsv3/dataset/data_collator_qwen.py)",
)

REWARD_TOKEN = "<|Reward|>"
CHAT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n<|vision_start|>{picture}<|vision_end|>{text}<|im_end|>\n<|im_start|>assistant\n"
)
"""Qwen2-VL's chat format with its default system line."""

PICTURE = "<|image_pad|>"
PIXELS = 256 * 28 * 28
Ids = Int[Tensor, "batch length"]


@dataclass(frozen=True)
class SmartResize(Framing):
    """To whole blocks of `factor` pixels, as near to `pixels` in all as the shape allows."""

    factor: int = 28
    pixels: int = PIXELS

    def shape(self, height: int, width: int) -> Size:
        try:
            size: Size = smart_resize(height, width, self.factor, self.pixels, self.pixels)
        except ValueError as error:
            raise UserError(f"HPSv3 takes no picture of {width} x {height} pixels: {error}") from error
        return size

    def kept(self, height: int, width: int) -> Size:
        return height, width


def patches(pixels: Framed, patch: int, merge: int, frames: int) -> tuple[Tensor, Int[Tensor, "batch 3"]]:
    """Cut pictures into Qwen2-VL's rows of pixels, blocks of `merge` x `merge` patches together; and count them.

    Each row holds a patch `frames` times over, as a still film; the counts are (time, height, width) in patches.
    """
    batch, _, height, width = pixels.shape
    rows, columns = height // patch, width // patch
    cut = pixels.view(batch, 3, rows // merge, merge, patch, columns // merge, merge, patch)
    cut = cut.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, frames, -1, -1)
    grid = torch.tensor([[1, rows, columns]] * batch, device=pixels.device)
    return cut.reshape(batch * rows * columns, -1), grid


class HpsV3(Scorer):
    """The mean of the predicted preference; unbounded, about -5 to 15."""

    name = "hpsv3"
    axis = "alignment"
    reference = between(-5.0, 15.0, "values reported for HPSv3")

    def __init__(self, config: Qwen2VLConfig, tokenizer: Any, instruction: str, pixels: int = PIXELS) -> None:
        super().__init__()
        self.model = Qwen2VLModel(config)
        width = config.text_config.hidden_size
        self.rm_head = nn.Sequential(
            nn.Linear(width, 1024), nn.ReLU(), nn.Dropout(0.05), nn.Linear(1024, 16), nn.ReLU(), nn.Linear(16, 2)
        )
        self.vision = config.vision_config
        self.tokenizer = tokenizer
        tokenizer.padding_side = "right"
        tokenizer.add_tokens([REWARD_TOKEN], special_tokens=True)
        self.reward_id = int(tokenizer.convert_tokens_to_ids(REWARD_TOKEN))
        self.picture_id = int(tokenizer.convert_tokens_to_ids(PICTURE))
        self.instruction = instruction
        factor = self.vision.patch_size * self.vision.spatial_merge_size
        self.preprocess = SmartResize((factor, factor), CLIP_MEAN, CLIP_STD, factor=factor, pixels=pixels)
        self.freeze()

    def texts(self, prompts: Sequence[str], pads: int) -> tuple[Ids, Ids]:
        """Token ids and mask of the whole chats, with `pads` places for the picture."""
        filled = [self.instruction.replace("{text_prompt}", clean(prompt)) for prompt in prompts]
        chats = [CHAT.format(picture=PICTURE * pads, text=text) for text in filled]
        rows = self.tokenizer(chats, padding=True, return_tensors="pt").to(self.device)
        return rows.input_ids, rows.attention_mask

    def frame(self, images: Pixels) -> FramedPixels:
        """Leave images as they are: a second resizing to blocks could choose another size."""
        return images

    def rate(self, pixels: Framed, prompts: Sequence[str]) -> Scores:
        merge = self.vision.spatial_merge_size
        rows, grid = patches(pixels, self.vision.patch_size, merge, self.vision.temporal_patch_size)
        seen = self.model.visual(rows, grid_thw=grid).pooler_output
        ids, mask = self.texts(prompts, pads=len(seen) // len(pixels))
        embeds = self.model.language_model.embed_tokens(ids)
        embeds = embeds.masked_scatter((ids == self.picture_id)[..., None], seen.to(embeds.dtype))
        out = self.model.language_model(inputs_embeds=embeds, attention_mask=mask, use_cache=False)
        hidden = out.last_hidden_state[ids == self.reward_id]
        scores: Tensor = self.rm_head(hidden.to(self.rm_head[0].weight.dtype))
        return scores[:, 0]


def clean(prompt: str) -> str:
    """Take out of a prompt what would be read as the reward token or a picture."""
    return prompt.replace(REWARD_TOKEN, "").replace(PICTURE, "")


def read_instruction(path: Path) -> str:
    """Read the instruction from the authors' Python file (its constants; it is not run) or from a plain text file.

    Raises `UserError` when it lacks the place of the prompt or the reward token.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        found = dict(constants(text))
        try:
            text = found["INSTRUCTION"] + found["prompt_with_special_token"]
        except KeyError as error:
            raise UserError(f"{path} has no {error}; it must be HPSv3's data_collator_qwen.py") from error
    if "{text_prompt}" not in text or text.count(REWARD_TOKEN) != 1:
        raise UserError(f"{path} is no instruction of HPSv3: it needs {{text_prompt}}, and {REWARD_TOKEN} once")
    return text


def constants(code: str) -> list[tuple[str, str]]:
    """Names and values of the strings a Python file assigns at its top."""
    return [
        (node.targets[0].id, node.value.value)
        for node in ast.parse(code).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def modern(state: State) -> State:
    """Spell keys as transformers does since 4.52: the towers lie under `model.visual` and `model.language_model`."""

    def name(key: str) -> str:
        if key.startswith("visual."):
            return f"model.{key}"
        if key.startswith("model.") and not key.startswith(("model.visual.", "model.language_model.")):
            return f"model.language_model.{key.removeprefix('model.')}"
        return key

    return {name(key): value for key, value in state.items()}


def load_hpsv3(
    where: str = "", *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, pixels: int = PIXELS
) -> HpsV3:
    """Load HPSv3; the head stays in float32 whatever `dtype` is.

    Config and tokenizer of Qwen2-VL and the instruction are looked for beside the weights, in `REWARDKIT_QWEN2VL` and
    `REWARDKIT_HPSV3_INSTRUCTION`, and (the first two) on the hub.
    """
    file = weight_file(locate(SOURCE, where), SOURCE)
    here = file.parent
    backbone = here if (here / "config.json").is_file() else locate(BACKBONE)
    beside = here / INSTRUCTION.files[0]
    words = read_instruction(weight_file(beside if beside.is_file() else locate(INSTRUCTION), INSTRUCTION))
    state = modern(read_state(file))
    config = Qwen2VLConfig.from_dict(read_object(backbone / "config.json"))
    # The authors cut the embedding to the tokenizer's own words and one more.
    config.text_config.vocab_size = len(state.get("model.language_model.embed_tokens.weight", ()))
    with loading(f"the tokenizer in {backbone}"):
        tokenizer = AutoTokenizer.from_pretrained(backbone, trust_remote_code=False)

    def build() -> HpsV3:
        model = HpsV3(config, tokenizer, words, pixels)
        model.rm_head.float()
        return model

    return fitted(build, state, file, ("lm_head.",), dtype).to(device)
