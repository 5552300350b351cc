"""VQAScore (arXiv:2404.01291): a vision-language model's probability of "Yes" when asked if the image shows the prompt.

Any transformers image-text-to-text model, from a folder or the hub. Its own processor preprocesses the images; whether
it is differentiable is tested when it is loaded.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor

from rewardkit.errors import UserError
from rewardkit.images.preprocess import FramedPixels, Pixels
from rewardkit.io.loading import loading
from rewardkit.rewards.published.scorer import Scorer, between, check_counts, full
from rewardkit.rewards.published.weights import Source, locate
from rewardkit.types import Images, Scores

SOURCE = Source("VQAScore", "REWARDKIT_VQASCORE", "Qwen/Qwen2.5-VL-7B-Instruct", folder=True)
QUESTION = 'Does this figure show "{prompt}"? Please answer yes or no.'
ANSWER = "Yes"


class VqaScore(Scorer):
    """The probability of the answer's first token, in [0, 1]."""

    name = "vqascore"
    axis = "alignment"
    reference = between(0.0, 1.0, "a probability")

    def __init__(self, model: Any, processor: Any, question: str = QUESTION, answer: str = ANSWER) -> None:
        super().__init__()
        if "{prompt}" not in question:
            raise UserError(f"the question must contain {{prompt}}; got {question!r}")
        self.model = model
        self.processor = processor
        self.question = question
        # The answer is read at the last position, so rows are padded on the left.
        processor.tokenizer.padding_side = "left"
        self.answer = int(processor.tokenizer(answer, add_special_tokens=False).input_ids[0])
        self.freeze()
        self.differentiable = self._carries_gradient()

    def ask(self, prompt: str) -> str:
        """The whole input text, in the model's chat format."""
        content = [{"type": "image"}, {"type": "text", "text": self.question.replace("{prompt}", prompt)}]
        chat = [{"role": "user", "content": content}]
        text: str = self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        return text

    def inputs(self, images: Sequence[Tensor | Image.Image], prompts: Sequence[str]) -> dict[str, Tensor]:
        """The model's input; tensors are in [0, 1], PIL images are converted."""
        from_tensors = bool(images) and isinstance(images[0], Tensor)
        batch = self.processor(
            text=[self.ask(prompt) for prompt in prompts],
            images=[[image] for image in images],
            padding=True,
            return_tensors="pt",
            **({"do_rescale": False} if from_tensors else {}),
        )
        return {
            name: value.to(self.device, self.dtype) if value.is_floating_point() else value.to(self.device)
            for name, value in batch.items()
        }

    def answered(self, images: Sequence[Tensor | Image.Image], prompts: Sequence[str]) -> Scores:
        """Probability of the answer for each image."""
        logits = self.model(**self.inputs(images, prompts), logits_to_keep=1).logits[:, -1]
        return full(logits).softmax(-1)[:, self.answer]

    def frame(self, images: Pixels) -> FramedPixels:
        """Return images unchanged: the model's own processor resizes them."""
        return images

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        check_counts(len(images), prompts)
        return self.answered(list(images), prompts) if len(images) else images.new_zeros(0)

    @torch.no_grad()
    def score_pil(self, images: Sequence[Image.Image], prompts: Sequence[str], batch_size: int = 16) -> Scores:
        check_counts(len(images), prompts)
        rows = [slice(start, start + batch_size) for start in range(0, len(images), batch_size)]
        scores = [self.answered([image.convert("RGB") for image in images[row]], prompts[row]) for row in rows]
        return torch.cat(scores) if scores else torch.zeros(0)

    def _carries_gradient(self) -> bool:
        probe = torch.zeros(3, 64, 64, requires_grad=True)
        return any(value.requires_grad for value in self.inputs([probe], [""]).values())


def load_vqascore(
    where: str = "",
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    question: str = QUESTION,
    answer: str = ANSWER,
) -> VqaScore:
    """Load any image-text-to-text model of transformers (folder or hub id; safetensors only, no code of its own).

    Raises `UserError` if it cannot be loaded, or if its weights do not match.
    """
    path = locate(SOURCE, where)
    with loading(f"a vision-language model from {path}"):
        processor = AutoProcessor.from_pretrained(path, trust_remote_code=False)
        model, found = AutoModelForImageTextToText.from_pretrained(
            path, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    lacking = {what: sorted(found[what]) for what in ("missing_keys", "mismatched_keys") if found[what]}
    if lacking:
        raise UserError(f"{path} does not fit {type(model).__name__}: {lacking}")
    return VqaScore(model, processor, question, answer).to(device)
