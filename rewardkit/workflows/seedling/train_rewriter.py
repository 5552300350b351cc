"""Train the small language model that the rewriter starts from: it knows the captions and can complete one.

Half of its texts are plain captions, half are chats in which a short prompt is answered by a long one whose missing
attributes are chosen at random. It stands in for an instruct LLM: it can rewrite, but does not know what makes a good
image, which SFT and SimPO teach it.
"""

from pathlib import Path

import torch
from torch import Generator
from transformers import PreTrainedTokenizerFast

from rewardkit.io.quiet import quiet
from rewardkit.posters.captions import LANGUAGES, long_caption, short_caption, shorten
from rewardkit.posters.scene import chance, pick, random_scene
from rewardkit.seedling.rewriter import build_rewriter
from rewardkit.seedling.text import build_tokenizer, sample_captions
from rewardkit.training.learner import Learner
from rewardkit.training.schedule import one_cycle
from rewardkit.workflows.seedling.part import PartConfig, train_part


def training_text(generator: Generator, tokenizer: PreTrainedTokenizerFast) -> str:
    """One text: a plain caption, or a short prompt answered by a long one."""
    scene = random_scene(generator)
    language = pick(LANGUAGES, generator)
    long, short = long_caption(scene, language, generator), short_caption(shorten(scene, generator), language)
    if chance(0.3, generator):
        return (long if chance(0.7, generator) else short) + str(tokenizer.eos_token)
    turns = [{"role": "user", "content": short}, {"role": "assistant", "content": long}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False))


def train_rewriter(folder: Path, config: PartConfig) -> float:
    """Train from scratch, write a transformers folder, and return the last loss in nats per token."""
    torch.manual_seed(config.seed)
    tokenizer = build_tokenizer(sample_captions(4000))
    model = build_rewriter(tokenizer).to(config.device)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    learner = Learner(
        dict(model.named_parameters()), {"optimizer": optimizer}, one_cycle(2e-3, config.updates, share=0.1)
    )

    def update() -> dict[str, float]:
        generator = config.generator(learner.step)
        texts = [training_text(generator, tokenizer) for _ in range(config.batch_size)]
        batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt").to(config.device)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        loss = model(**batch, labels=labels).loss
        learner.update(loss)
        return {"loss": loss.item()}

    last = train_part(config, learner, update)
    with quiet():
        model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return float(last["loss"])
