"""Train seedling's VAE on posters: L1 and squared error on pixels and on their edges, and a light pull to the prior."""

import torch
from torch import Tensor, nn

from rewardkit.io.progress import Progress
from rewardkit.seedling.vae import SeedlingVAE
from rewardkit.types import Images, Scalar
from rewardkit.workflows.seedling.data import PosterSet

KL_WEIGHT = 2e-4


def train_vae(posters: PosterSet, steps: int, batch_size: int, seed: int, device: torch.device) -> SeedlingVAE:
    """Train from scratch for `steps` updates and measure the latents' mean and deviation per channel."""
    torch.manual_seed(seed)
    vae = SeedlingVAE().to(device)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, weight_decay=1e-2, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.05)
    generator = torch.Generator().manual_seed(seed)
    with Progress("vae", steps) as bar:
        for _ in range(steps):
            index = torch.randint(len(posters.pixels), (batch_size,), generator=generator)
            loss = vae_loss(vae, posters.images(index).to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            bar.update(loss=loss.item())
    measure_latents(vae, posters.images(torch.arange(min(2048, len(posters.pixels)))).to(device))
    return vae.eval()


def vae_loss(vae: SeedlingVAE, images: Images) -> Scalar:
    """Reconstruction from sampled latents, of pixels and of their differences to the neighbours, plus the KL."""
    target = images * 2 - 1
    latents = vae.posterior(target)
    restored: Tensor = vae.decoder(latents.sample())
    error = distance(restored, target)
    for axis in (2, 3):
        error = error + distance(restored.diff(dim=axis), target.diff(dim=axis))
    return error + KL_WEIGHT * latents.kl().mean() / latents.mean[0].numel()


def distance(a: Tensor, b: Tensor) -> Scalar:
    """L1 keeps edges sharp, the square keeps large errors rare."""
    return nn.functional.l1_loss(a, b) + nn.functional.mse_loss(a, b)


@torch.no_grad()
def measure_latents(vae: SeedlingVAE, images: Images) -> None:
    """Write the latents' statistics into the VAE's config: the transformer sees unit variance per channel."""
    latents = torch.cat([vae.posterior(batch * 2 - 1).mean for batch in images.split(256)])
    vae.register_to_config(latents_mean=latents.mean((0, 2, 3)).tolist(), latents_std=latents.std((0, 2, 3)).tolist())
