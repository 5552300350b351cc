"""Train seedling's CLIP on posters: a contrastive loss with captions, and reading the text from the patch tokens.

The second objective makes a text reward on these features possible: a contrastive loss alone distinguishes words of the
training captions, but single letters must be readable to detect a misspelling. The reader itself is discarded. So that
the contrastive loss needs every attribute, and not only the text, posters come in families that differ in one
attribute; and one linear map must predict the attributes from the embedding of a poster and of its caption. Without it
the position of a figure, which is independent of all other attributes, was not learned in 1,200 updates.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from open_clip import CLIP
from open_clip.tokenizer import HFTokenizer
from torch import Tensor, nn

from rewardkit.posters.captions import LANGUAGES, long_caption
from rewardkit.posters.scene import CHOICES, Scene
from rewardkit.seedling.clip import MODEL_CFG, save_clip, with_end
from rewardkit.seedling.text import build_tokenizer, sample_captions
from rewardkit.training.learner import Learner
from rewardkit.training.schedule import one_cycle
from rewardkit.types import Scalar
from rewardkit.workflows.seedling.data import PosterSet, disturb
from rewardkit.workflows.seedling.part import PartConfig, train_part

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SLOTS = 6
"""Number of letters that the reader predicts; the texts of training posters are shorter."""


class Reader(nn.Module):
    """Read letters from patch tokens: one query for each position in the line."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(SLOTS, width) * 0.5)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.letters = nn.Linear(width, len(CHARACTERS) + 1)

    def forward(self, tokens: Tensor) -> Tensor:
        queries = self.queries.expand(len(tokens), -1, -1)
        seen = self.attention(queries, tokens, tokens, need_weights=False)[0]
        return self.letters(seen + queries)


class Attributes(nn.Module):
    """Predict the attributes of a scene from the unit-length embedding of a poster or of a caption."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.predict = nn.Linear(dim, sum(map(len, CHOICES.values())))

    def forward(self, embedding: Tensor, wanted: Tensor) -> Scalar:
        """Mean cross-entropy over the attributes; `wanted` has the index of each choice, (B, attributes)."""
        logits = self.predict(embedding * embedding.shape[-1] ** 0.5).split([len(c) for c in CHOICES.values()], dim=-1)
        losses = [nn.functional.cross_entropy(one, wanted[:, i]) for i, one in enumerate(logits)]
        return torch.stack(losses).mean()


def number(scenes: Sequence[Scene]) -> Tensor:
    """Indices of the choices of whole scenes, (B, attributes)."""
    return torch.tensor([[list(c).index(getattr(scene, name)) for name, c in CHOICES.items()] for scene in scenes])


def spell(texts: list[str | None]) -> Tensor:
    """Indices of the letters of each text, 0 for none: (B, SLOTS)."""
    rows = [[CHARACTERS.index(letter) + 1 for letter in (text or "")] for text in texts]
    return torch.tensor([row + [0] * (SLOTS - len(row)) for row in rows])


FAMILY = 4
"""Size of a family: posters that differ from its first in one attribute (see `PosterSet.render`)."""


def train_clip(posters: PosterSet, folder: Path, config: PartConfig) -> float:
    """Train from scratch, write an open_clip folder, and return the fraction of letters that the reader gets right.

    Posters must come in families of `FAMILY`.
    """
    torch.manual_seed(config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    with_end(build_tokenizer(sample_captions(4000))).save_pretrained(folder)
    tokenizer = HFTokenizer(str(folder), context_length=48)
    clip = CLIP(**MODEL_CFG)
    reader, attributes = Reader(MODEL_CFG["vision_cfg"]["width"]), Attributes(MODEL_CFG["embed_dim"])
    parts = nn.ModuleDict({"clip": clip, "reader": reader, "attributes": attributes}).to(config.device)
    optimizer = torch.optim.AdamW(parts.parameters(), betas=(0.9, 0.98), weight_decay=0.05)
    learner = Learner(
        dict(parts.named_parameters()), {"optimizer": optimizer}, one_cycle(1.5e-3, config.updates, share=0.1)
    )

    def update() -> dict[str, float]:
        generator = config.generator(learner.step)
        index = family_batch(len(posters.pixels), config.batch_size, generator)
        scenes = [posters.scenes[i] for i in index.tolist()]
        languages = torch.randint(len(LANGUAGES), (len(index),), generator=generator).tolist()
        captions = [long_caption(s, LANGUAGES[i], generator) for s, i in zip(scenes, languages, strict=True)]
        seen, patches = look(clip, disturb(posters.images(index), generator).to(config.device))
        captions_embedded = clip.encode_text(tokenizer(captions).to(config.device), normalize=True)
        wanted, letters = number(scenes).to(config.device), spell([s.text for s in scenes]).to(config.device)
        contrast = contrast_loss(seen, captions_embedded, clip.logit_scale.exp())
        described = attributes(seen, wanted) + attributes(captions_embedded, wanted)
        reading, right = reading_loss(reader(patches), letters)
        learner.update(contrast + described + reading)
        with torch.no_grad():
            clip.logit_scale.clamp_(0, 4.6)
        losses = {"contrast": contrast.item(), "attributes": described.item(), "reading": reading.item()}
        return losses | {"letters": right}

    last = train_part(config, learner, update)
    save_clip(clip, folder)
    return float(last["letters"])


def family_batch(count: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """Sample whole families."""
    first = torch.randint(count // FAMILY, (batch_size // FAMILY,), generator=generator) * FAMILY
    return (first[:, None] + torch.arange(FAMILY)).flatten()


def look(clip: CLIP, images: Tensor) -> tuple[Tensor, Tensor]:
    """Embed images: unit length (B, dim), and the patch tokens (B, patches, width)."""
    out = clip.visual.forward_intermediates(images * 2 - 1, indices=1, normalize_intermediates=True, output_fmt="NCHW")
    patches = out["image_intermediates"][-1].flatten(2).transpose(1, 2)
    return nn.functional.normalize(out["image_features"], dim=-1), patches


def contrast_loss(seen: Tensor, captions_embedded: Tensor, scale: Tensor) -> Scalar:
    """Contrastive loss between images and captions (arXiv:2103.00020)."""
    logits = scale * seen @ captions_embedded.T
    same = torch.arange(len(seen), device=seen.device)
    return (nn.functional.cross_entropy(logits, same) + nn.functional.cross_entropy(logits.T, same)) / 2


def reading_loss(read: Tensor, letters: Tensor) -> tuple[Scalar, float]:
    """Cross-entropy of the predicted letters, (B, SLOTS, characters), and the fraction of correct letters."""
    loss = nn.functional.cross_entropy(read.flatten(0, 1), letters.flatten())
    return loss, (read.argmax(-1) == letters)[letters > 0].float().mean().item()
