"""Training of each part, a few updates of it."""

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from rewardkit.errors import Interrupted
from rewardkit.posters.scene import CHOICES, Scene
from rewardkit.seedling.pipeline import SeedlingPipeline
from rewardkit.seedling.text import build_tokenizer, sample_captions
from rewardkit.seedling.vae import SeedlingVAE
from rewardkit.workflows.seedling import train_vae as vae_module
from rewardkit.workflows.seedling.command import train
from rewardkit.workflows.seedling.config import SeedlingConfig
from rewardkit.workflows.seedling.data import Noise, PosterSet, disturb, misspell, training_caption
from rewardkit.workflows.seedling.muon import Muon, orthogonalise
from rewardkit.workflows.seedling.part import PartConfig, begin
from rewardkit.workflows.seedling.train_base import rate, train_base
from rewardkit.workflows.seedling.train_clip import Attributes, contrast_loss, family_batch, number, spell, train_clip
from rewardkit.workflows.seedling.train_rewriter import train_rewriter
from rewardkit.workflows.seedling.train_vae import measure_latents, train_vae


def part(out: Path, updates: int, batch_size: int = 8, save_every: int = 250) -> PartConfig:
    return PartConfig(out=out, updates=updates, batch_size=batch_size, save_every=save_every)


@pytest.fixture(scope="module")
def posters() -> PosterSet:
    return PosterSet.render(24, seed=0)


def test_a_part_starts_over_for_other_options_but_not_for_another_tracker(tmp_path: Path) -> None:
    config, mark = part(tmp_path / "vae", 1), tmp_path / "vae" / "mark"
    begin(config).close()
    mark.touch()
    begin(replace(config, tracker="tensorboard")).close()
    assert mark.exists()
    assert any((tmp_path / "vae").rglob("events.out.tfevents.*"))
    begin(replace(config, updates=2)).close()
    assert not mark.exists()


def test_orthogonalise_brings_singular_values_near_one() -> None:
    for shape in ((3, 8, 16), (2, 16, 8)):
        matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.svdvals(orthogonalise(matrices))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_muon_finds_a_minimum() -> None:
    target = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    weight = torch.nn.Parameter(torch.zeros(8, 8))
    optimizer = Muon([weight], lr=0.05, weight_decay=0.0)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.2 * (1 - step / 200)
        optimizer.zero_grad()
        (weight - target).square().sum().backward()
        optimizer.step()
    assert (weight - target).abs().max() < 0.2


def test_the_rate_warms_up_stays_and_falls() -> None:
    assert rate(0, 3000) == pytest.approx(1 / 200)
    assert rate(1000, 3000) == 1
    assert rate(2500, 3000) == pytest.approx(0.5)


def test_wrong_texts_are_as_frequent_as_stated() -> None:
    generator = torch.Generator().manual_seed(0)
    scene = Scene("star", "red", "left", "small", "mint", "vivid", "QQQQ")
    captions = [training_caption(scene, generator, Noise(wrong_text=0.25, typos=0.0)) for _ in range(400)]
    assert sum("QQQQ" not in caption for caption in captions) / 400 == pytest.approx(0.25, abs=0.08)


def test_letters_are_misspelt_as_often_as_stated() -> None:
    generator = torch.Generator().manual_seed(0)
    texts = [misspell("QQ00", generator, 0.2) for _ in range(400)]
    assert sum(text[0] != "Q" for text in texts) / 400 == pytest.approx(0.2 * 25 / 26, abs=0.06)
    assert all(text[2:].isdigit() and text[:2].isalpha() for text in texts)


def test_disturbed_images_stay_in_range() -> None:
    images = disturb(torch.rand(4, 3, 64, 64), torch.Generator().manual_seed(0))
    assert 0 <= images.min() <= images.max() <= 1


def test_the_tokenizer_knows_any_text() -> None:
    tokenizer = build_tokenizer(sample_captions(50), vocab_size=400)
    text = 'Ünseen wörds "Ω≈ç√ 한국 中文 \U0001f600"'
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_vae_learns_and_measures_its_latents(posters: PosterSet, tmp_path: Path) -> None:
    vae = train_vae(posters, part(tmp_path / "vae", 30))
    images = posters.images(torch.arange(16))
    with torch.no_grad():
        error = ((vae(images * 2 - 1) + 1) / 2 - images).abs().mean()
        assert error < 0.7 * (images - 0.5).abs().mean()  # a grey picture is the best guess without looking
        measure_latents(vae, images)
        latents = vae.standardise(vae.posterior(images * 2 - 1).mean)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(8), atol=1e-2, rtol=0)


def vae_weights(posters: PosterSet, config: PartConfig) -> dict[str, Tensor]:
    return train_vae(posters, config).state_dict()


def base_weights(posters: PosterSet, config: PartConfig) -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        vae = SeedlingVAE(width=16).eval()
    pipeline = train_base(vae, posters, config)
    parts = {name: getattr(pipeline, name) for name in ("transformer", "text_encoder", "glyph_encoder")}
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


def clip_weights(posters: PosterSet, config: PartConfig) -> dict[str, Tensor]:
    train_clip(posters, config.out / "clip", config)
    return load_file(config.out / "clip" / "open_clip_model.safetensors")


def rewriter_weights(posters: PosterSet, config: PartConfig) -> dict[str, Tensor]:
    train_rewriter(config.out / "model", config)
    return load_file(config.out / "model" / "model.safetensors")


@pytest.mark.parametrize("weights", [vae_weights, base_weights, clip_weights, rewriter_weights])
def test_a_part_that_was_stopped_goes_on_to_the_same_bits(
    weights: Callable[[PosterSet, PartConfig], dict[str, Tensor]], posters: PosterSet, tmp_path: Path
) -> None:
    """The newest checkpoint of a whole run is removed, as if it had been killed after the one before."""
    config = part(tmp_path / "whole", updates=3, batch_size=4, save_every=2)
    whole = weights(posters, config)
    rows = (config.out / "metrics.jsonl").read_text()
    shutil.rmtree(config.out / "checkpoints" / "step_000003")
    torch.manual_seed(1)
    resumed = weights(posters, config)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert (config.out / "metrics.jsonl").read_text() == rows
    assert len(rows.splitlines()) == 3


def test_a_part_begun_with_other_options_begins_anew(posters: PosterSet, tmp_path: Path) -> None:
    train_vae(posters, part(tmp_path / "vae", 2))
    other = replace(part(tmp_path / "vae", 2), seed=1)
    anew, fresh = vae_weights(posters, other), vae_weights(posters, replace(other, out=tmp_path / "fresh"))
    assert all(torch.equal(anew[name], fresh[name]) for name in anew)


def test_a_signal_ends_a_part_after_its_update_and_it_goes_on_to_the_same_bits(
    posters: PosterSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = vae_weights(posters, part(tmp_path / "whole", 3))
    loss = vae_module.vae_loss

    def interrupting(*arguments: Any) -> Tensor:
        signal.raise_signal(signal.SIGTERM)
        return loss(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(vae_module, "vae_loss", interrupting)
        with pytest.raises(Interrupted, match="at update 1"):
            train_vae(posters, part(tmp_path / "cut", 3))
    resumed = vae_weights(posters, part(tmp_path / "cut", 3))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_base_shows_its_averaged_weights_at_every_checkpoint(posters: PosterSet, tmp_path: Path) -> None:
    seen = {}

    def each(step: int, pipeline: SeedlingPipeline) -> None:
        seen[step] = pipeline.transformer.proj_out.bias.detach().clone()

    pipeline = train_base(SeedlingVAE(width=16).eval(), posters, part(tmp_path / "base", 3, 4, save_every=2), each)
    assert seen.keys() == {2, 3}
    assert torch.equal(seen[3], pipeline.transformer.proj_out.bias)
    assert not torch.equal(seen[2], seen[3])


def test_every_part_is_trained_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = SeedlingConfig(
        out=tmp_path / "seedling",
        posters=16,
        vae_updates=1,
        base_updates=1,
        clip_updates=1,
        rewriter_updates=1,
        batch_size=4,
    )
    train(config)
    figures = json.loads((config.out / "weights" / "figures.json").read_text())
    assert list(figures) == ["vae", "base", "clip", "rewriter"]
    assert figures["clip"]["what"] == "clip: updates 1, batch_size 8, posters 16, seed 0, device cpu"
    assert {"seconds", "versions", "mean_absolute_error"} <= figures["vae"].keys()
    assert (config.out / "base" / "samples" / "step_000001.png").is_file()
    SeedlingPipeline.from_pretrained(config.out / "weights" / "base")
    files = {path: path.stat().st_mtime_ns for path in (config.out / "weights").rglob("*.safetensors")}
    capsys.readouterr()
    train(replace(config, rewriter_updates=2))
    assert capsys.readouterr().err.count("done before") == 3
    changed = [path for path, before in files.items() if path.stat().st_mtime_ns != before]
    assert changed == [config.out / "weights" / "rewriter" / "model.safetensors"]


def test_clip_folder_opens_in_open_clip(posters: PosterSet, tmp_path: Path) -> None:
    train_clip(posters, tmp_path / "clip", part(tmp_path / "run", 2))
    source = f"local-dir:{tmp_path / 'clip'}"
    clip, _, _ = open_clip.create_model_and_transforms(source)
    tokenizer = open_clip.get_tokenizer(source)
    tokens = tokenizer(["a red star", "a red star on the left"])
    assert (tokens == 1).sum(1).tolist() == [1, 1]  # one end sign, where the text tower gathers the meaning
    assert clip.encode_text(tokens).shape == (2, 96)
    assert clip.encode_image(torch.rand(2, 3, 64, 64)).shape == (2, 96)


def test_letters_are_numbered() -> None:
    assert spell(["AB9", None]).tolist() == [[1, 2, 36, 0, 0, 0], [0] * 6]


def test_rewriter_learns_and_opens_in_transformers(tmp_path: Path) -> None:
    first = train_rewriter(tmp_path / "one", part(tmp_path / "run", 1))
    later = train_rewriter(tmp_path / "many", part(tmp_path / "run", 25))
    assert later < first - 1
    model, tokenizer = (kind.from_pretrained(tmp_path / "many") for kind in (AutoModelForCausalLM, AutoTokenizer))
    turns = [{"role": "user", "content": "red circle"}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert model.generate(**prompt, max_new_tokens=4, do_sample=False).shape[1] == prompt["input_ids"].shape[1] + 4


def test_attributes_are_numbered_and_told() -> None:
    scene = Scene("circle", "orange", "right", "large", "navy", "muted", "SALE")
    wanted = number([scene])
    assert wanted.tolist() == [[0, 1, 2, 1, 2, 1]]
    described = Attributes(4)
    torch.nn.init.zeros_(described.predict.weight)
    torch.nn.init.zeros_(described.predict.bias)
    chance = sum(torch.tensor(float(len(choices))).log() for choices in CHOICES.values()) / len(CHOICES)
    assert described(torch.ones(1, 4) / 2, wanted).item() == pytest.approx(float(chance))


def test_families_stay_together() -> None:
    index = family_batch(40, 8, torch.Generator().manual_seed(0))
    assert (index.view(2, 4) - index.view(2, 4)[:, :1]).tolist() == [[0, 1, 2, 3]] * 2
    assert (index[::4] % 4 == 0).all()


def test_contrast_is_the_closed_form() -> None:
    same = contrast_loss(torch.eye(3), torch.eye(3), torch.tensor(2.0))
    e = torch.tensor(2.0).exp()
    assert same.item() == pytest.approx(-(e / (e + 2)).log().item())
