"""Training of each part, a few updates of it."""

from pathlib import Path

import open_clip
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rewardkit.posters.scene import CHOICES, Scene
from rewardkit.seedling.text import build_tokenizer, sample_captions
from rewardkit.seedling.vae import SeedlingVAE
from rewardkit.workflows.seedling.data import Noise, PosterSet, disturb, misspell, training_caption
from rewardkit.workflows.seedling.muon import Muon, orthogonalise
from rewardkit.workflows.seedling.train_base import rate, train_base
from rewardkit.workflows.seedling.train_clip import Attributes, contrast_loss, family_batch, number, spell, train_clip
from rewardkit.workflows.seedling.train_rewriter import train_rewriter
from rewardkit.workflows.seedling.train_vae import measure_latents, train_vae

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def posters() -> PosterSet:
    return PosterSet.render(24, seed=0)


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


def test_vae_learns_and_measures_its_latents(posters: PosterSet) -> None:
    vae = train_vae(posters, 30, 8, 0, CPU)
    images = posters.images(torch.arange(16))
    with torch.no_grad():
        error = ((vae(images * 2 - 1) + 1) / 2 - images).abs().mean()
        assert error < 0.7 * (images - 0.5).abs().mean()  # a grey picture is the best guess without looking
        measure_latents(vae, images)
        latents = vae.standardise(vae.posterior(images * 2 - 1).mean)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(8), atol=1e-2, rtol=0)


def test_base_resumes_to_the_same_weights(posters: PosterSet, tmp_path: Path) -> None:
    """Stopped after its checkpoint and started again, training ends on the weights of a run that never stopped."""
    vae = SeedlingVAE(width=16).eval()

    def weights(steps: int, checkpoint: Path | None) -> torch.Tensor:
        pipeline = train_base(vae, posters, steps, 4, 0, CPU, checkpoint=checkpoint)
        return torch.cat([p.flatten() for p in pipeline.transformer.parameters()])

    whole = weights(2, None)
    torch.manual_seed(1)
    assert torch.equal(weights(2, tmp_path / "base.pt"), whole)
    assert torch.equal(weights(2, tmp_path / "base.pt"), whole)  # everything from the checkpoint


def test_clip_folder_opens_in_open_clip(posters: PosterSet, tmp_path: Path) -> None:
    train_clip(posters, tmp_path / "clip", 2, 8, 0, CPU)
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
    first = train_rewriter(tmp_path / "one", 1, 8, 0, CPU)
    later = train_rewriter(tmp_path / "many", 25, 8, 0, CPU)
    assert later < first - 1
    model, tokenizer = (kind.from_pretrained(tmp_path / "many") for kind in (AutoModelForCausalLM, AutoTokenizer))
    turns = [{"role": "user", "content": "red circle"}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert model.generate(**prompt, max_new_tokens=4, do_sample=False).shape[1] == prompt["input_ids"].shape[1] + 4


def test_attributes_are_numbered_and_told() -> None:
    scene = Scene("circle", "orange", "right", "large", "navy", "muted", "SALE")
    wanted = number([scene])
    assert wanted.tolist() == [[0, 1, 2, 1, 2, 1]]
    told = Attributes(4)
    torch.nn.init.zeros_(told.tell.weight)
    torch.nn.init.zeros_(told.tell.bias)
    chance = sum(torch.tensor(float(len(choices))).log() for choices in CHOICES.values()) / len(CHOICES)
    assert told(torch.ones(1, 4) / 2, wanted).item() == pytest.approx(float(chance))


def test_families_stay_together() -> None:
    index = family_batch(40, 8, torch.Generator().manual_seed(0))
    assert (index.view(2, 4) - index.view(2, 4)[:, :1]).tolist() == [[0, 1, 2, 3]] * 2
    assert (index[::4] % 4 == 0).all()


def test_contrast_is_the_closed_form() -> None:
    same = contrast_loss(torch.eye(3), torch.eye(3), torch.tensor(2.0))
    e = torch.tensor(2.0).exp()
    assert same.item() == pytest.approx(-(e / (e + 2)).log().item())
