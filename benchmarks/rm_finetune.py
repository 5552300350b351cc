"""Full fine-tuning of a CLIP's image tower: train-rm's own step against a bare loop of open_clip and torch.

Same tower and weights, same pairs from the same files, same batch, Bradley-Terry on the CLIP score, AdamW and clipping.
The bare loop reads its files in every epoch with torch's DataLoader, in as many processes as we have threads, with
open_clip's own preprocessing; prompts are embedded before the clock starts on both sides. Ours also updates an EMA of
the weights, as train-rm does by default.
"""

from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks.rm_cached import CPU, epoch
from benchmarks.timing import Row, in_turns, speed_up, wall_seconds
from rewardkit.data import PreferenceRecord
from rewardkit.encoders import ClipEncoder
from rewardkit.images.ahead import THREADS
from rewardkit.images.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from rewardkit.training.processes import ALONE
from rewardkit.training.run import Run
from rm import RewardModel
from rm.config import RmConfig
from rm.features import pair_features
from rm.fit import Training
from rm.image_cache import read_images
from rm.objective import Pairs
from rm.sources import LiveImages, cache_prompts

AXIS = "alignment"


def tokenizer_of(backbone: dict[str, Any]) -> Any:
    return open_clip.SimpleTokenizer(context_length=backbone["text_cfg"]["context_length"])


def side_of(backbone: dict[str, Any]) -> tuple[int, int]:
    side = backbone["vision_cfg"]["image_size"]
    return side, side


class Files(Dataset[tuple[Tensor, Tensor, int]]):
    """Both images of a pair, read and preprocessed as in open_clip."""

    def __init__(self, records: list[PreferenceRecord], prepare: Any) -> None:
        self.records, self.prepare = records, prepare

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, int]:
        record = self.records[row]
        first, second = (self.prepare(Image.open(str(file))) for file in (record.first, record.second))
        return first, second, row


def bare(backbone: dict[str, Any], records: list[PreferenceRecord], batch_size: int, workers: int) -> Any:
    """Return a function that runs one epoch of the bare loop."""
    torch.manual_seed(0)
    clip: Any = open_clip.CLIP(**backbone)
    prepare = open_clip.image_transform(side_of(backbone), is_train=False)
    tokens = tokenizer_of(backbone)([record.prompt for record in records])
    with torch.no_grad():
        texts = torch.cat([clip.encode_text(part, normalize=True) for part in tokens.split(64)])
    clip.requires_grad_(False)
    clip.visual.requires_grad_(True)
    optimizer = torch.optim.AdamW(clip.visual.parameters(), lr=1e-5, weight_decay=0.05)
    loader = DataLoader(Files(records, prepare), batch_size, shuffle=True, num_workers=workers, persistent_workers=True)

    def one_epoch() -> None:
        clip.train()
        for first, second, rows in loader:
            images = clip.encode_image(torch.cat([first, second]), normalize=True)
            scores = clip.logit_scale.exp() * (images * texts[rows].repeat(2, 1)).sum(-1)
            better, worse = scores.chunk(2)
            loss = F.softplus(worse - better).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(clip.visual.parameters(), 1.0)
            optimizer.step()

    return one_epoch


def finetune(
    name: str, backbone: dict[str, Any], records: list[PreferenceRecord], folder: Path, *, batch: int, repetitions: int
) -> list[Row]:
    """Time alternating epochs of both: our first epoch, which reads the files, and a later one."""
    torch.manual_seed(0)
    preprocess = Preprocess(side_of(backbone), CLIP_MEAN, CLIP_STD)
    encoder = ClipEncoder(open_clip.CLIP(**backbone), tokenizer_of(backbone), backbone, preprocess)
    encoder.unfreeze(-1)
    config = RmConfig(
        data=(),
        out=folder,
        axes=(AXIS,),
        head="cosine",
        unfreeze=-1,
        augment="none",
        mismatch=0.0,
        batch_size=batch,
        epochs=2 * repetitions + 2,
    )
    run = Run.start(folder, config, resume=False)

    def reading() -> Pairs:
        kept, image_cache = read_images(records, encoder.preprocess, folder, max_bad=0.0)
        images = LiveImages(encoder, image_cache, CPU, None)
        return Pairs(pair_features(kept, image_cache, images, lambda _: prompts, (AXIS,)), "bradley-terry", 0.5, 0.0)

    prompts = cache_prompts(encoder, [record.prompt for record in records], ALONE, "float32")
    trainer = Training(RewardModel(encoder, (AXIS,), head="cosine"), reading(), run, config)

    def first() -> None:
        trainer.objective = reading()
        epoch(trainer)

    theirs = bare(backbone, records, batch, THREADS)
    note = f"{len(records)} pairs, {batch} per step"
    ways = (("first epoch, files read", first), ("a later epoch", partial(epoch, trainer)))
    return [
        speed_up(f"{name}, {what}: against a bare loop", *in_turns(ours, theirs, repetitions, wall_seconds), 1.0, note)
        for what, ours in ways
    ]
