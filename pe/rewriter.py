"""A rewriter: any causal language model with a chat template, whose answers keep the quoted text of the prompt.

The user's turn is the short prompt, the assistant's turn the long one. Folders that `pe sft` and `pe simpo` save, the
built-in `seedling`, hub models and LoRA adapter folders all load with plain transformers (and peft for adapters).
"""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from pe.answer import tidy
from pe.instructions import Task, messages
from pe.quotes import keep_quotes
from rewardkit.errors import UserError
from rewardkit.io.files import read_object
from rewardkit.io.loading import at_most, loading
from rewardkit.io.progress import Progress
from rewardkit.io.quiet import quiet
from rewardkit.seedling import WEIGHTS
from rewardkit.training.device import pick_device

BUILT_IN = {"seedling": WEIGHTS / "rewriter"}

TASK_FILE = "rewriter.json"
"""File next to the weights of a trained rewriter that names its task."""


TEMPLATE_SECONDS = 5.0


class Rewriter:
    """Rewrites prompts; quoted text is always kept (see `keep_quotes`)."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: Task = "plain") -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.task: Task = task

    @classmethod
    def load(cls, spec: str, device: str | torch.device = "cpu", task: Task | None = None) -> "Rewriter":
        """Load `seedling`, a folder or a hub id; raise `UserError` if there is no such model or no chat template.

        The default task is the one that the folder was trained for, else `expand`, because a general chat model needs
        instructions. On a CPU the weights are float32, elsewhere as saved.
        """
        device = pick_device(device)
        model, tokenizer = load_model(spec, dtype=torch.float32 if device.type == "cpu" else "auto")
        return cls(model.to(device), tokenizer, task_of(spec) if task is None else task)

    def rewrite(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
        max_new_tokens: int = 128,
        batch_size: int = 32,
        progress: bool = False,
    ) -> list[list[str]]:
        """Return `n` rewrites of each prompt: greedy at temperature 0, else sampled with `seed`.

        The samples depend on `seed` and on how the prompts are batched.
        """
        if n > 1 and temperature <= 0:
            raise ValueError(f"{n} different rewrites need a temperature above 0; got {temperature}")
        answers: list[list[str]] = []
        with Progress("rewriting", len(prompts)) if progress else nullcontext() as bar:
            for start in range(0, len(prompts), batch_size):
                batch = prompts[start : start + batch_size]
                raw = self._answer(batch, n, temperature, seed + start, max_new_tokens)
                for prompt, texts in zip(batch, raw, strict=True):
                    answers.append([keep_quotes(prompt, text) for text in texts])
                if bar is not None:
                    bar.update(len(batch))
        return answers

    @torch.no_grad()
    def _answer(
        self, prompts: Sequence[str], n: int, temperature: float, seed: int, max_new_tokens: int
    ) -> list[list[str]]:
        """Generate `n` raw answers per prompt in one padded batch; the global random state is preserved."""
        texts = [render(self.tokenizer, self.task, prompt) for prompt in prompts]
        inputs = self.tokenizer(
            texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        ).to(self.model.device)
        config = _generation(self.model, self.tokenizer, n, temperature, max_new_tokens)
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            output = self.model.generate(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], generation_config=config
            )
        new = output[:, inputs["input_ids"].shape[1] :]
        decoded = [tidy(text) for text in self.tokenizer.batch_decode(new, skip_special_tokens=True)]
        return [decoded[start : start + n] for start in range(0, len(decoded), n)]


def load_model(spec: str, *, dtype: torch.dtype | str = "auto") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal LM and its tokenizer, ready to generate; a LoRA adapter folder is merged into its base model."""
    source = locate(spec)
    if spec in BUILT_IN and not Path(source).is_dir():
        raise UserError(f"the built-in rewriter is not in this checkout ({source}); run `rewardkit seedling`")
    with loading(f"a language model from {spec!r}"), quiet():
        model = _load_adapter(source, dtype) if is_adapter(source) else _load_plain(source, dtype)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise UserError(f"{spec!r} has no chat template, so it cannot rewrite; choose a chat model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    known = model.get_input_embeddings().weight.shape[0]
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id >= known:
        raise UserError(
            f"{spec!r} pads with token {tokenizer.pad_token_id} ({tokenizer.pad_token!r}), but the model has {known} "
            "embeddings; set a pad_token it knows in tokenizer_config.json, or resize the embeddings"
        )
    render(tokenizer, "plain", "a cat")  # a broken template fails here, before anything is generated
    return model, tokenizer


def locate(spec: str) -> str:
    """Resolve `seedling` or the run folder of a training command to its weights; return other specs unchanged."""
    if spec in BUILT_IN:
        return str(BUILT_IN[spec])
    trained = Path(spec) / "model"
    return str(trained) if (trained / "config.json").is_file() else spec


def task_of(spec: str) -> Task:
    """Return the task that a model was trained for; `expand` if unknown, such as for a general chat model."""
    if spec in BUILT_IN:
        return "plain"
    note = Path(locate(spec)) / TASK_FILE
    task: Task = read_object(note)["task"] if note.is_file() else "expand"
    return task


def is_adapter(source: str) -> bool:
    """Return whether a folder has a peft adapter rather than a whole model."""
    return (Path(source) / "adapter_config.json").is_file()


def _load_plain(source: str, dtype: torch.dtype | str) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, trust_remote_code=False)
    return model


def _load_adapter(source: str, dtype: torch.dtype | str) -> PreTrainedModel:
    from peft import AutoPeftModelForCausalLM

    model: PreTrainedModel = AutoPeftModelForCausalLM.from_pretrained(
        source, dtype=dtype, trust_remote_code=False
    ).merge_and_unload()
    return model


def render(tokenizer: PreTrainedTokenizerBase, task: Task, prompt: str) -> str:
    """Render the conversation up to where the rewrite begins, as in training and generation."""
    # Thinking is turned off (Qwen3); other templates ignore the argument. A template is a program of the
    # model's author: it may loop forever, or fail.
    with at_most(TEMPLATE_SECONDS, "the chat template"), loading("the chat template's conversation"):
        text = tokenizer.apply_chat_template(
            messages(task, prompt), tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
    return str(text)


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends an answer: the model's own list (Gemma has a separate end-of-turn token) and the
    tokenizer's.
    """
    own: Any = getattr(model.generation_config, "eos_token_id", None)
    marks = [*(own if isinstance(own, list) else [own]), tokenizer.eos_token_id]
    return list(dict.fromkeys(mark for mark in marks if mark is not None))


def _generation(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, n: int, temperature: float, max_new_tokens: int
) -> GenerationConfig:
    """Build plain sampling (or greedy) settings: a model's own top-k, top-p and penalties would bias the mining."""
    sampling: dict[str, Any] = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature > 0 else {}
    return GenerationConfig(
        **sampling,
        num_return_sequences=n,
        max_new_tokens=max_new_tokens,
        eos_token_id=end_tokens(model, tokenizer) or None,
        pad_token_id=tokenizer.pad_token_id,
    )
