"""Train the small language model that the rewriter starts from: it knows the world's captions and can fill one in.

Half of its texts are bare captions, half are turns of chat in which a short prompt is answered by a long one whose
unsaid attributes are chosen at random. It is the stand-in for an instruct LLM: able to rewrite, with no idea yet of
what makes a good picture. That is for SFT and SimPO to teach.
"""

from pathlib import Path

import torch
from torch import Generator, nn
from transformers import PreTrainedTokenizerFast

from rewardkit.io.progress import Progress
from rewardkit.posters.captions import LANGUAGES, long_caption, short_caption, shorten
from rewardkit.posters.scene import chance, pick, random_scene
from rewardkit.seedling.rewriter import build_rewriter
from rewardkit.seedling.text import build_tokenizer, sample_captions


def training_text(generator: Generator, tokenizer: PreTrainedTokenizerFast) -> str:
    """One text: a bare caption, or a short prompt answered by a long one."""
    scene = random_scene(generator)
    language = pick(LANGUAGES, generator)
    long, short = long_caption(scene, language, generator), short_caption(shorten(scene, generator), language)
    if chance(0.3, generator):
        return (long if chance(0.7, generator) else short) + str(tokenizer.eos_token)
    turns = [{"role": "user", "content": short}, {"role": "assistant", "content": long}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False))


def train_rewriter(folder: Path, steps: int, batch_size: int, seed: int, device: torch.device) -> float:
    """Train from scratch, write a transformers folder, and return the last loss in nats a token."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(sample_captions(4000))
    model = build_rewriter(tokenizer).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    loss = torch.zeros(())
    with Progress("rewriter", steps) as bar:
        for step in range(steps):
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            texts = [training_text(generator, tokenizer) for _ in range(batch_size)]
            batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt").to(device)
            labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
            loss = model(**batch, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            bar.update(loss=loss.item())
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return loss.item()
