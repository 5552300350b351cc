"""Names for tensors that are passed between packages; the tests check them on every call.

Images are one thing everywhere: float RGB in [0, 1]. Code that needs another form (PIL, uint8, [-1, 1],
a processor's crop) converts inside its own package, differentiably if possible.
"""

from jaxtyping import Bool, Float
from torch import Tensor

Images = Float[Tensor, "batch 3 height width"]
"""RGB in [0, 1]."""

Latents = Float[Tensor, "batch channels latent_height latent_width"]
"""What a diffusion transformer sees: encoded by the VAE and scaled to about unit variance."""

PerImage = Float[Tensor, " batch"]
"""One number an image (a noise level, a weight, a label)."""

Scores = Float[Tensor, " batch"]
"""One reward an image; higher is better."""

NoiseLevels = Float[Tensor, " steps_plus_one"]
"""Sigmas from 1 (noise) down to 0 (image)."""

Scalar = Float[Tensor, ""]
"""A loss or a mean."""

Mask = Bool[Tensor, " batch"]
"""Which images of a batch something applies to."""

Conditioning = dict[str, Tensor]
"""What a base made of the prompts: named tensors, the batch always first, so that rows can be picked and cached."""
