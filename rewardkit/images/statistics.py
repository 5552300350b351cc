"""Statistics that reveal reward hacking without the reward: clipping, chroma, fine patterns, lack of diversity."""

import torch
from torch import Tensor

from rewardkit.types import Images, PerImage

CLIPPED = 1 / 255
"""Distance from 0 or 1 below which a value counts as clipped."""


def opponent_colours(images: Tensor) -> Tensor:
    """Red-green and yellow-blue, (2, batch, height, width) (Hasler and Suesstrunk 2003). Differentiable."""
    red, green, blue = images.unbind(1)
    return torch.stack([red - green, (red + green) / 2 - blue])


def probe(images: Images) -> dict[str, PerImage]:
    """All probes that need only one image, one number per image."""
    return {"clipping": clipping(images), "saturation": saturation(images), "frequency": high_frequency(images)}


def clipping(images: Images) -> PerImage:
    """Fraction of an image's values at the ends of their range."""
    return ((images <= CLIPPED) | (images >= 1 - CLIPPED)).float().mean((1, 2, 3))


def saturation(images: Images) -> PerImage:
    """Mean over the pixels of their largest minus their smallest channel (the chroma of HSV), in [0, 1]."""
    return (images.amax(1) - images.amin(1)).mean((1, 2))


def high_frequency(images: Images) -> PerImage:
    """Natural logarithm of the power above half the Nyquist frequency, per pixel of the luma (BT.601 weights)."""
    luma = torch.einsum("bchw,c->bhw", images, images.new_tensor([0.299, 0.587, 0.114]))
    height, width = luma.shape[1:]
    power = torch.fft.fft2(luma - luma.mean((1, 2), keepdim=True), norm="forward").abs().square()
    rows, columns = torch.fft.fftfreq(height).to(images), torch.fft.fftfreq(width).to(images)
    high = (rows[:, None].square() + columns.square()).sqrt() > 0.25
    return ((power * high).sum((1, 2)) + 1e-6).log()


def diversity(features: Tensor) -> PerImage:
    """Mean cosine distance of each image's features (B, D) to those of the others; 0 for copies of one image."""
    unit = torch.nn.functional.normalize(features.flatten(1), dim=-1)
    apart = 1 - unit @ unit.T
    return apart.sum(1) / max(1, len(features) - 1)
