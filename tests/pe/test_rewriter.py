"""Generating: plain transformers on both sides, quotes kept, seeds obeyed, mistakes told."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from pe.answer import tidy
from pe.config import RewriteConfig
from pe.instructions import messages, system_prompt
from pe.quotes import quotes_kept
from pe.rewrite import rewrite
from pe.rewriter import Rewriter, load_model
from rewardkit.errors import UserError

PROMPTS = [
    'red circle "SALE"',
    "绿色星星“促销”",
    '파란 원 "할인" "50%"',
    "a plain blue square",
    'say "a" and "b" and "c"',
]


def test_random_weights_never_change_a_quote(rewriter: Rewriter) -> None:
    for seed in range(3):
        rewrites = rewriter.rewrite(PROMPTS, n=4, temperature=1.5, seed=seed, max_new_tokens=24, batch_size=3)
        assert [len(texts) for texts in rewrites] == [4] * len(PROMPTS)
        assert all(quotes_kept(prompt, text) for prompt, texts in zip(PROMPTS, rewrites, strict=True) for text in texts)


def test_greedy_is_what_plain_transformers_generates(rewriter: Rewriter, folder: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for prompt, (ours,) in zip(PROMPTS, rewriter._answer(PROMPTS, 1, 0.0, 0, 12), strict=True):
        start = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        tokens = model.generate(**start, do_sample=False, max_new_tokens=12)
        assert ours == tidy(tokenizer.decode(tokens[0, start["input_ids"].shape[1] :], skip_special_tokens=True))


def test_samples_follow_the_seed_and_leave_the_global_state_alone(rewriter: Rewriter) -> None:
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first, again, other = (
        rewriter.rewrite(PROMPTS, n=2, temperature=1.0, seed=seed, max_new_tokens=8) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert torch.equal(state, torch.get_rng_state())


def test_several_greedy_rewrites_are_refused(rewriter: Rewriter) -> None:
    with pytest.raises(ValueError, match="temperature above 0"):
        rewriter.rewrite(PROMPTS, n=2)


def test_a_lora_folder_loads_merged(rewriter: Rewriter, folder: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    lora = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    lora.save_pretrained(tmp_path / "lora")
    rewriter.tokenizer.save_pretrained(tmp_path / "lora")
    merged, tokenizer = load_model(str(tmp_path / "lora"))
    tokens = tokenizer(PROMPTS[0], return_tensors="pt")["input_ids"]
    torch.testing.assert_close(merged(tokens).logits, lora.eval()(tokens).logits, rtol=1e-4, atol=1e-5)


def test_a_general_chat_model_is_told_what_to_do(folder: Path) -> None:
    assert Rewriter.load(str(folder)).task == "expand"
    assert "逐字" in (system_prompt("expand", "一只猫") or "")
    assert "letter by letter" in (system_prompt("shorten", "고양이") or "")
    assert [turn["role"] for turn in messages("plain", "a cat")] == ["user"]


def test_thinking_and_line_breaks_are_dropped() -> None:
    assert tidy('<think>"no"\nhm</think>\n A red\n circle. ') == "A red circle."


@pytest.mark.parametrize("spec", ["no/such/folder", "tests"])
def test_no_model_is_one_clear_line(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="cannot load a language model") as error:
        Rewriter.load(spec)
    assert "\n" not in str(error.value)


def test_the_command_writes_what_it_shows(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rewrites.txt"
    rewrite(RewriteConfig(("red circle", 'star "GO"'), rewriter=str(folder), out=out, max_new_tokens=8, device="cpu"))
    lines = out.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert '"GO"' in lines[1]
    assert f"> {lines[0]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (RewriteConfig(), "nothing to rewrite"),
        (RewriteConfig(("a",), n=2), "--temperature"),
        (RewriteConfig(("a",), out=Path("x.csv")), r"\.jsonl or \.txt"),
        (RewriteConfig(("a",), device="tpu"), "no device is called"),
    ],
)
def test_the_commands_mistakes(config: RewriteConfig, message: str) -> None:
    with pytest.raises(UserError, match=message):
        rewrite(config)
