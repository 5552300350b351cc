"""The pre-training loss: flow matching on real images with prompts, in addition to the rewards.

ReFL (Xu et al. 2023, arXiv:2304.05977) adds the pre-training loss to each update, so that the images stay images. Noise
levels are logit-normal (Esser et al. 2024, arXiv:2403.03206, 3.1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float

from rewardkit.data.image_folder import Item, from_list, read_image_folder
from rewardkit.diffusion.base import Base, ImageEncoding
from rewardkit.diffusion.prompt_cache import Prompts
from rewardkit.diffusion.sampling import guided
from rewardkit.errors import UserError
from rewardkit.images import OneImage, load_image, resize
from rewardkit.training.batch_shard import BatchShard
from rewardkit.training.flow_matching import flow_loss, noised
from rewardkit.training.order import batch
from rewardkit.types import Conditioning, Latents, Scalar


@dataclass(frozen=True)
class RealImages:
    """Images with their prompts, and the base that is trained on them."""

    items: Sequence[Item]
    base: Base
    prompts: Prompts
    empty: Conditioning
    share: BatchShard
    """The images of an update."""
    weight: float

    def loss(self, step: int, generator: Callable[[int, str], torch.Generator]) -> Scalar:
        """Loss of this shard of update `step`; images, noise and noise levels depend only on the step."""
        chosen = batch(step, self.share.batch, len(self.items), lambda epoch: generator(epoch, "pretrain order"))
        items = [self.items[index] for index in chosen[self.share.rows]]
        images = torch.stack([square(load_image(item.path), self.base.image_size) for item in items])
        latents = encode(self.base, images)
        conditioning = self.prompts.encode([item.prompt for item in items], latents.device)
        random = generator(step, "pretrain")
        shape = latents.shape[1:]
        noise = self.share.own(lambda count: torch.randn(count, *shape, generator=random)).to(latents)
        sigma = self.share.own(lambda count: torch.randn(count, generator=random)).sigmoid().to(latents)
        velocity = guided(self.base, conditioning, self.empty, 1.0)
        return flow_loss(velocity(noised(latents, noise, sigma), sigma), latents, noise)


def read(path: Path) -> tuple[Item, ...]:
    """Read a folder of images, or a .jsonl whose rows name an image and its prompt; raise `UserError` for none."""
    found = from_list(path) if path.is_file() else read_image_folder(path)
    if not found.items:
        raise UserError(f"{path} names no existing image; paths are relative to its folder")
    for name in found.missing[:1]:
        print(f"{path}: {len(found.missing)} images are not there and left out, {name} for one")
    for name in found.unmatched[:1]:
        print(f"{path}: {len(found.unmatched)} images have no prompt and are left out, {name} for one")
    return found.items


def encode(base: Base, images: torch.Tensor) -> Latents:
    """The images' latents on the base's device; raise `UserError` for a base that cannot encode images."""
    if not isinstance(base, ImageEncoding):
        raise UserError(f"{type(base).__name__} has no image_latents, so it cannot encode images; leave --pretrain out")
    return base.image_latents(images.to(next(base.denoiser.parameters()).device)).float()


def square(image: OneImage, side: int) -> Float[torch.Tensor, "3 _ _"]:
    """Resize the shorter side to `side` pixels and crop the centre."""
    small = resize(image[None], side)[0]
    top, left = ((length - side) // 2 for length in small.shape[1:])
    return small[:, top : top + side, left : left + side]
