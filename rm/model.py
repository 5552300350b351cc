"""The reward model: one encoder, one head per axis, all scores from one forward pass; saved as a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rewardkit.encoders import Encoder, load_encoder
from rewardkit.errors import UserError
from rewardkit.images import check_images, pixels
from rewardkit.images.preprocess import FramedPixels, Pixels, floats
from rewardkit.io.files import new_folder, read_object, write_json
from rewardkit.io.loading import loading
from rewardkit.prompts import check_prompts
from rewardkit.rewards.protocol import applies
from rewardkit.types import Images, Scores
from rm.ensemble import Ensemble
from rm.glyphs import glyphs
from rm.heads import Features, Shapes, build_head
from rm.losses import Gaussian, MemberScores
from rm.names import Kind
from rm.uncertainty import HeadWithUncertainty

FORMAT = 1
MARK = "rewardkit_reward_model"
CONFIG = "config.json"
HEADS = "heads.safetensors"
ENCODER = "encoder"
PROMPT_AXES = ("alignment", "text")
"""Axes that cannot be judged without the prompt."""


class RewardModel(nn.Module):
    """Scores images against prompts on one axis or more; a `MultiReward`, differentiable down to the pixels.

    A score is a Bradley-Terry strength: a difference of d between two images of a prompt means that the higher-scored
    image is preferred with probability sigmoid(d). Other losses differ slightly: for the uncertain scores of
    `gaussians` it is the mean of sigmoid(d), and Rao-Kupper's and Davidson's also have ties.
    """

    differentiable = True

    def __init__(
        self,
        encoder: Encoder,
        axes: Sequence[str],
        *,
        head: Kind = "heads",
        name: str = "rm",
        uncertain: bool = False,
        members: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        needs_text = [axis for axis in axes if axis in PROMPT_AXES or head == "cosine"]
        if needs_text and not encoder.reads_text:
            raise UserError(f"this encoder reads no prompts, so it cannot judge {needs_text[0]}; use a CLIP encoder")
        self.name = name
        self.axes = tuple(axes)
        self.kind = head
        self.encoder = encoder
        self.uncertain = uncertain
        self.members = {axis: members.get(axis, 1) for axis in axes}
        self.heads = nn.ModuleDict({axis: self.new_head(axis) for axis in axes})
        # Scale of the scores by axis: (mean, standard deviation) on the training images; for sums over axes.
        self.typical: dict[str, tuple[float, float]] = {axis: (0.0, 1.0) for axis in axes}

    def new_head(self, axis: str) -> nn.Module:
        shapes = Shapes(self.encoder.token_width, self.encoder.embed_dim)
        heads = [build_head(axis, self.kind, shapes, self.encoder.scale) for _ in range(self.members[axis])]
        head = Ensemble(heads) if len(heads) > 1 else heads[0]
        return HeadWithUncertainty(head, shapes, reads_prompt=axis in PROMPT_AXES) if self.uncertain else head

    def frame(self, images: Pixels) -> FramedPixels:
        """Resize images to the encoder's size; idempotent."""
        return self.encoder.preprocess.frame(images)

    def features(self, images: Images, prompts: Sequence[str]) -> Features:
        """Encode a batch once for all heads."""
        seen = self.encoder.image(images)
        device = seen.pooled.device
        text = self.encoder.text(prompts) if self.encoder.reads_text else seen.pooled.new_zeros(len(prompts), 0)
        wanted = glyphs(prompts).to(device)
        return Features(seen.tokens.float(), seen.pooled.float(), seen.colours.float(), text.float(), wanted)

    def judge(self, features: Features, axes: Sequence[str] | None = None) -> dict[str, MemberScores]:
        """Score features with the heads of some axes, or of all."""
        return {axis: self.heads[axis](features) for axis in (self.axes if axes is None else axes)}

    def gaussians(self, features: Features, axes: Sequence[str] | None = None) -> dict[str, Gaussian]:
        """Score features with their uncertainty; raise `UserError` for a model trained without it."""
        if not self.uncertain:
            raise UserError("this reward model has no uncertainty; train one with --loss gaussian")
        heads = {axis: self.heads[axis] for axis in (self.axes if axes is None else axes)}
        return {axis: head.gaussian(features) for axis, head in heads.items()}  # type: ignore[operator]

    def scores(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
        """Score images on every axis, in one forward pass of the encoder.

        Raises `UserError` for images that are not floats in [0, 1], and unless there is one prompt per image.
        """
        check_images(images, f"reward model {self.name!r}")
        check_prompts(prompts, f"reward model {self.name!r}", len(images))
        return self.judge(self.features(images, prompts))

    def score(
        self, images: Images | Sequence[Image.Image], prompts: Sequence[str] | str, axis: str | None = None
    ) -> Scores:
        """Score images, a tensor or PIL images, on one axis; PIL images are resized in 8 bits, as files are.

        Without an axis, return the mean of the axes that apply to each prompt, each in standard deviations from its
        mean. A string as prompts is the prompt of every image. Raises `UserError` for an axis that the model does not
        have, and as `scores` does.
        """
        if axis is not None and axis not in self.axes:
            raise UserError(f"this reward model has no axis {axis!r}; it has {', '.join(self.axes)}")
        prompts = [prompts] * len(images) if isinstance(prompts, str) else prompts
        check_prompts(prompts, f"reward model {self.name!r}", len(images))
        if isinstance(images, Sequence) and all(isinstance(image, Image.Image) for image in images):
            return self.score_pictures(images, prompts, axis)
        check_images(images, f"reward model {self.name!r}")
        assert isinstance(images, Tensor)
        found = self.judge(self.features(images, prompts), None if axis is None else (axis,))
        return found[axis] if axis is not None else self.overall(found, prompts)

    def score_pictures(self, pictures: Sequence[Image.Image], prompts: Sequence[str], axis: str | None) -> Scores:
        device = next(self.parameters()).device
        with torch.no_grad():  # one by one, as sizes may differ; resized in 8 bits, as in training
            framed = [floats(self.frame(pixels(picture)[None])).to(device) for picture in pictures]
            pairs = zip(framed, prompts, strict=True)
            return torch.cat([self.score(image, [prompt], axis) for image, prompt in pairs])

    def overall(self, scores: Mapping[str, Scores], prompts: Sequence[str]) -> Scores:
        """Average the axes that apply to each prompt, in standard deviations."""
        total, count = [], []
        for axis, value in scores.items():
            mean, std = self.typical[axis]
            gate = applies(axis, prompts).to(value)
            total.append(gate * (value - mean) / std)
            count.append(gate)
        return torch.stack(total).sum(0) / torch.stack(count).sum(0).clamp_min(1)

    def save(self, folder: Path | str) -> None:
        """Write config.json, heads.safetensors and, unless it can be loaded by name, the encoder; atomically."""
        with new_folder(Path(folder)) as temporary:
            if not self.encoder.reference:
                self.encoder.save(temporary / ENCODER)
            save_file({key: value.contiguous() for key, value in self.heads.state_dict().items()}, temporary / HEADS)
            write_json(temporary / CONFIG, self.config())

    def config(self) -> dict[str, Any]:
        """What `load` needs in addition to the weights."""
        return {
            MARK: FORMAT,
            "name": self.name,
            "axes": list(self.axes),
            "head": self.kind,
            "uncertain": self.uncertain,
            "members": self.members,
            "encoder": self.encoder.reference or ENCODER,
            "preprocess": asdict(self.encoder.preprocess),
            "typical": self.typical,
        }

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "cpu") -> "RewardModel":
        """Load a folder that `save` wrote, ready to score; raise `UserError` for anything else."""
        folder = Path(folder)
        config = read_config(folder)
        with loading(f"the reward model in {folder}"):
            inside, fit = config["encoder"] == ENCODER, config["preprocess"]["fit"]
        encoder = load_encoder(str(folder / ENCODER) if inside else config["encoder"], fit=fit)
        with loading(f"the reward model in {folder}"):
            return cls._built(config, folder, encoder).to(device).eval().requires_grad_(False)

    @classmethod
    def _built(cls, config: dict[str, Any], folder: Path, encoder: Encoder) -> "RewardModel":
        built = {name: config[name] for name in ("uncertain", "members") if name in config}  # absent in early configs
        model = cls(encoder, config["axes"], head=config["head"], name=config["name"], **built)
        model.heads.load_state_dict(load_file(folder / HEADS))
        model.typical = {axis: (mean, std) for axis, (mean, std) in config["typical"].items()}
        return model


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config of a saved reward model; raise `UserError` for an invalid folder."""
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} is not a reward model: it has no {CONFIG}; train one with `rewardkit train-rm`")
    config = read_object(folder / CONFIG, "copy or train it again")
    if config.get(MARK) != FORMAT:
        found = config.get(MARK, "no version")
        raise UserError(f"{folder / CONFIG} has {MARK} {found}; this rewardkit reads version {FORMAT}")
    if not (folder / HEADS).is_file():
        raise UserError(f"{folder} has no {HEADS}; the folder is incomplete, so copy or train it again")
    return config
