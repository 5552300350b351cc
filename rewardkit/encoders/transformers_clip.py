"""CLIP-like models of transformers as encoders: CLIP, MetaCLIP 2, Chinese-CLIP, and SigLIP 1 and 2 of fixed resolution.

transformers 5 returns an output object instead of a tensor; towers and projections are called separately
here, and both results of `get_text_features` are handled. No code from a hub is ever run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rewardkit.encoders.adapters import add_lora, merged
from rewardkit.encoders.base import Embedding, Encoder, ImageFeatures, colours
from rewardkit.encoders.processor import preprocess_from, settings_of
from rewardkit.errors import UserError
from rewardkit.images.preprocess import Fit, Preprocess
from rewardkit.io.files import read_object, write_json
from rewardkit.io.loading import loading
from rewardkit.types import Images

PREFIX = "hf:"


@dataclass(frozen=True)
class Family:
    """What differs between the models."""

    processor: str
    """The class of its image processor."""
    crops: bool = True
    """Whether that class crops the centre by default."""
    class_token: bool = True
    """Whether the tower has a class token, normalises only that token itself, and projects the pooled output."""
    text_mask: bool = True
    """Whether the text tower masks padding; SigLIP was trained to read it."""
    lower: bool = False
    """Whether its training text was lower case."""
    longest: int = 10**9
    """Number of tokens it was trained on, if there are more position embeddings."""


FAMILIES = {
    "clip": Family("CLIPImageProcessor"),
    "metaclip_2": Family("CLIPImageProcessor"),
    "chinese_clip": Family("ChineseCLIPImageProcessor", longest=52),
    "siglip": Family("SiglipImageProcessor", crops=False, class_token=False, text_mask=False, lower=True),
}
"""By the model_type of config.json; SigLIP 2 of fixed resolution has the type siglip."""


class TransformersEncoder(Encoder):
    """A CLIP-like model of transformers."""

    reads_text = True
    pretrained = True

    def __init__(self, model: nn.Module, tokenizer: Any, preprocess: Preprocess, *, reference: str = "") -> None:
        super().__init__()
        self.model = model.requires_grad_(False).eval()
        self.tokenizer = tokenizer
        self.preprocess = preprocess
        self.reference = reference
        config: Any = model.config
        self.family = FAMILIES[config.model_type]
        positions = int(config.text_config.max_position_embeddings)
        self.context_length = min(positions, int(tokenizer.model_max_length), self.family.longest)
        with torch.no_grad():
            seen = self.image(torch.zeros(1, 3, *preprocess.size))
        self.token_width, self.embed_dim = seen.tokens.shape[-1], seen.pooled.shape[-1]

    def image(self, images: Images) -> ImageFeatures:
        model: Any = self.model
        framed = self.preprocess.frame(images)
        seen = model.vision_model(pixel_values=self.preprocess.normalise(framed))
        tokens, pooled = seen.last_hidden_state, seen.pooler_output
        if self.family.class_token:
            tokens, pooled = model.vision_model.post_layernorm(tokens[:, 1:]), model.visual_projection(pooled)
        return ImageFeatures(tokens, F.normalize(pooled, dim=-1), colours(framed))

    def tokens(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Tokenize prompts to `context_length`: input_ids and, if the tower uses it, attention_mask."""
        padded = self.tokenizer(
            self.cased(prompts),
            padding="max_length",
            max_length=self.context_length,
            truncation=True,
            return_tensors="pt",
        )
        names = ("input_ids", "attention_mask") if self.family.text_mask else ("input_ids",)
        device = next(self.parameters()).device
        return {name: padded[name].to(device) for name in names}

    def cased(self, prompts: Sequence[str]) -> list[str]:
        return [prompt.lower() for prompt in prompts] if self.family.lower else list(prompts)

    def text(self, prompts: Sequence[str]) -> Embedding:
        model: Any = self.model
        return F.normalize(embedding_of(model.get_text_features(**self.tokens(prompts))), dim=-1)

    def token_counts(self, prompts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self.tokenizer(self.cased(prompts), truncation=False, verbose=False).input_ids]

    def unfreeze(self, layers: int) -> None:
        """Unfreeze the last blocks and what follows them: the last norm, the pooling, the projection."""
        model: Any = self.model
        blocks = model.vision_model.encoder.layers
        parts = dict(model.vision_model.named_children())
        after = [module for name, module in parts.items() if name not in ("embeddings", "encoder", "pre_layrnorm")]
        after += [model.visual_projection] if self.family.class_token else []
        learning = [model.vision_model] if layers < 0 else blocks[max(0, len(blocks) - layers) :]
        for module in [*learning, *after] if layers else []:
            module.requires_grad_(True)
            self.reference = ""

    def adapt(self, rank: int, alpha: float, *, text: bool = False) -> None:
        towers = ("vision_model.", "text_model.") if text else ("vision_model.",)
        add_lora(self.model, towers, rank=rank, alpha=alpha)
        self.reference = ""

    @property
    def scale(self) -> float:
        model: Any = self.model
        return float(model.logit_scale.detach().exp())

    def save(self, folder: Path) -> None:
        model: Any = merged(self.model)
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        settings = settings_of(self.preprocess, self.family.processor)
        write_json(folder / "preprocessor_config.json", settings)


def embedding_of(output: Any) -> Tensor:
    """Return the pooled embedding from transformers' output: a tensor before version 5, an object since."""
    found: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return found


def is_transformers_folder(folder: Path) -> bool:
    """Return whether a folder has a transformers config.json."""
    try:
        return "model_type" in read_object(folder / "config.json")
    except UserError:
        return False


def load_transformers(spec: str, fit: Fit | None) -> TransformersEncoder:
    """Load `hf:owner/name`, `hf:owner/name@revision`, or a folder with or without the prefix `hf:`.

    Raises `UserError` for another kind of model, and for files that are missing, broken or incomplete.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.image_processing_base import ImageProcessingMixin

    from rewardkit.io.quiet import quiet

    source, revision = split_revision(spec.removeprefix(PREFIX))
    where: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    with loading(f"the encoder {spec}"):
        config = AutoConfig.from_pretrained(source, **where)
        check_family(config.model_type, spec)
        settings, _ = ImageProcessingMixin.get_image_processor_dict(source, revision=revision)
        preprocess = preprocess_from(
            settings, config.vision_config.image_size, crops=FAMILIES[config.model_type].crops, fit=fit
        )
        with quiet():
            model, loaded = AutoModel.from_pretrained(
                source, config=config, dtype=torch.float32, weights_only=True, output_loading_info=True, **where
            )
        tokenizer = AutoTokenizer.from_pretrained(source, **where)
    if loaded["missing_keys"]:
        missing = sorted(loaded["missing_keys"])
        raise UserError(f"the weights of {spec} are incomplete: {len(missing)} are missing, such as {missing[0]}")
    named = "" if Path(source).exists() else spec
    return TransformersEncoder(model, tokenizer, preprocess, reference=named)


def split_revision(source: str) -> tuple[str, str]:
    """Split `owner/name@revision`; a path is left whole."""
    if Path(source).exists():
        return source, "main"
    name, _, revision = source.partition("@")
    return name, revision or "main"


def check_family(model_type: str, spec: str) -> None:
    """Raise `UserError` for an unsupported model."""
    if model_type == "siglip2":
        raise UserError(f"{spec} is a SigLIP 2 of native resolution (NaFlex); use one of fixed resolution instead")
    if model_type not in FAMILIES:
        raise UserError(f"{spec} is a {model_type or 'nameless'} model; encoders are {', '.join(FAMILIES)}")
