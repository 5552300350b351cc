"""Seedling's diffusion transformer: an MMDiT as in SD3 and Seedream 2.0, in one file.

Image and text tokens have separate weights and a joint attention (Esser et al. 2024, arXiv:2403.03206), with QK-norm.
The text is the LLM's tokens followed by the glyph encoder's, mapped to the LLM's space by an MLP and concatenated along
the sequence (arXiv:2503.07703, 3.3). Text tokens have learned positions, image tokens Scaled RoPE, and glyphs Scaled
RoPE on a centred line, which gives letters a position in the image. Layer names are those of diffusers (`to_q`,
`add_k_proj`, ...), so that the usual LoRA targets match.
"""

from typing import ClassVar

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from rewardkit.seedling.rope import glyph_angles, image_angles, rotate


class JointAttention(nn.Module):
    """One attention over text and image tokens, with a set of weights for each."""

    def __init__(self, width: int, heads: int, *, last: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.add_q_proj = None if last else nn.Linear(width, width)
        self.add_k_proj, self.add_v_proj = (nn.Linear(width, width) for _ in range(2))
        self.to_add_out = None if last else nn.Linear(width, width)
        self.norm_q, self.norm_k, self.norm_added_q, self.norm_added_k = (
            nn.RMSNorm(width // heads, eps=1e-6) for _ in range(4)
        )

    def forward(self, image: Tensor, text: Tensor, mask: Tensor, angles: Tensor) -> tuple[Tensor, Tensor | None]:
        length = text.shape[1]
        q, turn_q = self.norm_q(self._split(self.to_q(image))), angles[:, length:]
        if self.add_q_proj is not None:
            q, turn_q = torch.cat([self.norm_added_q(self._split(self.add_q_proj(text))), q], dim=2), angles
        k = torch.cat(
            [self.norm_added_k(self._split(self.add_k_proj(text))), self.norm_k(self._split(self.to_k(image)))], dim=2
        )
        v = torch.cat([self._split(self.add_v_proj(text)), self._split(self.to_v(image))], dim=2)
        out = nn.functional.scaled_dot_product_attention(rotate(q, turn_q), rotate(k, angles), v, attn_mask=mask)
        out = out.transpose(1, 2).flatten(2)
        if self.to_add_out is None:
            return self.to_out[0](out), None
        return self.to_out[0](out[:, length:]), self.to_add_out(out[:, :length])

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def feed_forward(width: int, ratio: float) -> nn.Sequential:
    """The MLP of one stream."""
    hidden = int(width * ratio)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width))


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise, then scale and shift depending on the timestep (adaLN)."""
    return nn.functional.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class Block(nn.Module):
    """One layer of both streams; the last layer does not update the text."""

    def __init__(self, width: int, heads: int, *, last: bool) -> None:
        super().__init__()
        self.attn = JointAttention(width, heads, last=last)
        self.norm1 = nn.Linear(width, 6 * width)
        self.norm1_context = nn.Linear(width, (2 if last else 6) * width)
        self.ff = feed_forward(width, 4.0)
        self.ff_context = None if last else feed_forward(width, 2.0)

    def forward(
        self, image: Tensor, text: Tensor, mask: Tensor, angles: Tensor, condition: Tensor
    ) -> tuple[Tensor, Tensor]:
        shift, scale, gate, shift_ff, scale_ff, gate_ff = self.norm1(condition)[:, None].chunk(6, dim=-1)
        modulation = self.norm1_context(condition)[:, None].chunk(2 if self.ff_context is None else 6, dim=-1)
        seen, read = self.attn(
            modulate(image, shift, scale), modulate(text, modulation[0], modulation[1]), mask, angles
        )
        image = image + gate * seen
        image = image + gate_ff * self.ff(modulate(image, shift_ff, scale_ff))
        if self.ff_context is not None:
            text = text + modulation[2] * read
            text = text + modulation[5] * self.ff_context(modulate(text, modulation[3], modulation[4]))
        return image, text


class SeedlingTransformer(ModelMixin, ConfigMixin, PeftAdapterMixin):
    """Predict the velocity (noise - image) of latents (B, C, h, w) at noise levels `timestep` = sigma in [0, 1]."""

    _supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["Block"]

    @register_to_config
    def __init__(
        self,
        in_channels: int = 8,
        patch_size: int = 2,
        sample_size: int = 16,
        width: int = 128,
        heads: int = 4,
        layers: int = 6,
        text_dim: int = 128,
        glyph_dim: int = 128,
        max_text: int = 48,
        max_glyphs: int = 24,
        rope_exponent: float = 1.0,
    ) -> None:
        super().__init__()
        self.proj_in = nn.Linear(in_channels * patch_size**2, width)
        self.text_in = nn.Linear(text_dim, width)
        self.glyph_in = nn.Sequential(
            nn.LayerNorm(glyph_dim), nn.Linear(glyph_dim, width), nn.GELU(), nn.Linear(width, width)
        )
        self.text_positions = nn.Parameter(torch.randn(max_text, width) * 0.02)
        self.glyph_positions = nn.Parameter(torch.randn(max_glyphs, width) * 0.02)
        self.time_proj = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_in = TimestepEmbedding(width, width)
        self.pooled_in = nn.Linear(text_dim, width)
        self.blocks = nn.ModuleList([Block(width, heads, last=i == layers - 1) for i in range(layers)])
        self.norm_out = nn.Linear(width, 2 * width)
        self.proj_out = nn.Linear(width, in_channels * patch_size**2)
        self.gradient_checkpointing = False
        self._start_as_identity()

    def _start_as_identity(self) -> None:
        """Initialise every residual branch and the velocity to zero (adaLN-zero, arXiv:2212.09748)."""
        for name, parameter in self.named_parameters():
            if {"norm1", "norm1_context", "norm_out", "proj_out"} & set(name.split(".")):
                nn.init.zeros_(parameter)

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        text_embeds: Tensor,
        text_mask: Tensor,
        glyph_embeds: Tensor,
        glyph_mask: Tensor,
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        height, width = (side // self.config.patch_size for side in hidden_states.shape[-2:])
        text_embeds, text_mask = without_padding(text_embeds, text_mask)
        glyph_embeds, glyph_mask = without_padding(glyph_embeds, glyph_mask)
        image = self.proj_in(patchify(hidden_states, self.config.patch_size))
        text = torch.cat(
            [
                self.text_in(text_embeds) + self.text_positions[: text_embeds.shape[1]],
                self.glyph_in(glyph_embeds) + self.glyph_positions[: glyph_embeds.shape[1]],
            ],
            dim=1,
        )
        modulation = torch.cat([text_mask, glyph_mask], dim=1).bool()
        mask = nn.functional.pad(modulation, (0, image.shape[1]), value=True)[:, None, None]
        angles = self._angles(height, width, text_mask, glyph_mask)
        condition = nn.functional.silu(self._condition(timestep, text_embeds, text_mask))
        for block in self.blocks:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                image, text = self._gradient_checkpointing_func(block, image, text, mask, angles, condition)
            else:
                image, text = block(image, text, mask, angles, condition)
        shift, scale = self.norm_out(condition)[:, None].chunk(2, dim=-1)
        sample = unpatchify(self.proj_out(modulate(image, shift, scale)), self.config.patch_size, height, width)
        return Transformer2DModelOutput(sample=sample) if return_dict else (sample,)

    def _condition(self, timestep: Tensor, text_embeds: Tensor, text_mask: Tensor) -> Tensor:
        weights = text_mask.to(text_embeds)[..., None]
        pooled = (text_embeds * weights).sum(1) / weights.sum(1).clamp_min(1)
        time = self.time_proj(timestep.float() * 1000).to(text_embeds)
        return self.time_in(time) + self.pooled_in(pooled)

    def _angles(self, height: int, width: int, text_mask: Tensor, glyph_mask: Tensor) -> Tensor:
        """Rotations of all tokens: none for the prompt, a centred line for glyphs, a centred grid for the image."""
        head_dim = self.config.width // self.config.heads
        base = self.config.sample_size // self.config.patch_size
        image = image_angles(height, width, base_patches=base, head_dim=head_dim, exponent=self.config.rope_exponent)
        glyphs = glyph_angles(glyph_mask, head_dim)
        prompt = glyphs.new_zeros(*text_mask.shape, head_dim // 2)
        return torch.cat([prompt, glyphs, image.to(glyphs.device).expand(len(glyphs), -1, -1)], dim=1)


def without_padding(embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Remove trailing columns that are padding in every row, which attention would mask anyway.

    Lengths are rounded up to a multiple of 8, so that compiled code sees few shapes.
    """
    longest = -(-int(mask.sum(1).max()) // 8) * 8
    return embeds[:, :longest], mask[:, :longest]


def patchify(latents: Tensor, size: int) -> Tensor:
    """Convert (B, C, h, w) to tokens (B, h/size * w/size, C * size^2), row by row."""
    return nn.functional.pixel_unshuffle(latents, size).flatten(2).transpose(1, 2)


def unpatchify(tokens: Tensor, size: int, height: int, width: int) -> Tensor:
    """Undo `patchify`."""
    return nn.functional.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (height, width)), size)
