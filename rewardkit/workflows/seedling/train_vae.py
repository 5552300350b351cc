"""Train seedling's VAE on posters: L1 and squared error on pixels and on edges, and a small KL to the prior."""

import torch
from torch import Generator, Tensor, nn

from rewardkit.seedling.vae import SeedlingVAE
from rewardkit.training.learner import Learner
from rewardkit.training.schedule import one_cycle
from rewardkit.types import Images, Scalar
from rewardkit.workflows.seedling.data import PosterSet
from rewardkit.workflows.seedling.part import PartConfig, train_part

KL_WEIGHT = 2e-4


def train_vae(posters: PosterSet, config: PartConfig) -> SeedlingVAE:
    """Train from scratch and measure the latents' mean and standard deviation per channel."""
    torch.manual_seed(config.seed)
    vae = SeedlingVAE().to(config.device)
    optimizer = torch.optim.AdamW(vae.parameters(), weight_decay=1e-2, betas=(0.9, 0.95))
    learner = Learner(
        dict(vae.named_parameters()), {"optimizer": optimizer}, one_cycle(2e-3, config.updates, share=0.05)
    )
    order, noise = Generator().manual_seed(config.seed), Generator()
    noise.set_state(torch.get_rng_state())

    def update() -> dict[str, float]:
        index = torch.randint(len(posters.pixels), (config.batch_size,), generator=order)
        loss = vae_loss(vae, posters.images(index).to(config.device), noise)
        learner.update(loss)
        return {"loss": loss.item()}

    train_part(config, learner, update, generators={"order": order, "noise": noise})
    measure_latents(vae, posters.images(torch.arange(min(2048, len(posters.pixels)))).to(config.device))
    return vae.eval()


def vae_loss(vae: SeedlingVAE, images: Images, noise: Generator) -> Scalar:
    """Reconstruction loss of sampled latents on pixels and differences of neighbouring pixels, plus the KL."""
    target = images * 2 - 1
    latents = vae.posterior(target)
    restored: Tensor = vae.decoder(latents.sample(noise))
    error = distance(restored, target)
    for axis in (2, 3):
        error = error + distance(restored.diff(dim=axis), target.diff(dim=axis))
    return error + KL_WEIGHT * latents.kl().mean() / latents.mean[0].numel()


def distance(a: Tensor, b: Tensor) -> Scalar:
    """L1 plus squared error: L1 keeps edges sharp, the square makes large errors rare."""
    return nn.functional.l1_loss(a, b) + nn.functional.mse_loss(a, b)


@torch.no_grad()
def measure_latents(vae: SeedlingVAE, images: Images) -> None:
    """Write the latents' statistics into the VAE's config, so that latents have unit variance per channel."""
    latents = torch.cat([vae.posterior(batch * 2 - 1).mean for batch in images.split(256)])
    vae.register_to_config(latents_mean=latents.mean((0, 2, 3)).tolist(), latents_std=latents.std((0, 2, 3)).tolist())
