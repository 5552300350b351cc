"""Z-Image and Z-Image-Turbo (2025, arXiv:2511.22699): one stream of image and text tokens behind Qwen3."""

import torch
from diffusers import ZImagePipeline
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rewardkit.diffusion.families.family import DiffusersBase
from rewardkit.types import Conditioning, Latents, PerImage


class ZImageBase(DiffusersBase):
    """The four verbs over a `ZImagePipeline`.

    Its network counts time from noise (0) to image (1) and predicts `image - noise`. The pipeline's `guidance_scale`
    is ours minus 1: it adds `guidance_scale * (c - u)` to the conditional prediction.
    """

    pipeline_class = ZImagePipeline

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Conditioning:
        # A copy, because the pipeline writes its chat template into the list.
        rows, _ = self.pipeline.encode_prompt(list(prompts), self._device, do_classifier_free_guidance=False)
        masks = [torch.ones(len(row), dtype=torch.bool, device=row.device) for row in rows]
        return {"embeds": pad_sequence(rows, batch_first=True), "mask": pad_sequence(masks, batch_first=True)}

    def text_shapes(self, tokens: int) -> dict[str, tuple[int, ...]]:
        length = min(tokens, 512)  # the stock pipeline truncates there
        return {"embeds": (length, self.pipeline.transformer.config.cap_feat_dim), "mask": (length,)}

    def velocity(self, latents: Latents, sigma: PerImage, conditioning: Conditioning) -> Latents:
        texts = zip(conditioning["embeds"].to(self._dtype), conditioning["mask"], strict=True)
        predicted: list[Tensor] = self.denoiser(
            list(latents.to(self._dtype).unsqueeze(2)), 1 - sigma, [row[kept] for row, kept in texts], return_dict=False
        )[0]
        return -torch.stack(predicted).squeeze(2).to(latents.dtype)

    def _default_size(self) -> int:
        return 1024  # neither the network nor the pipeline has a size
