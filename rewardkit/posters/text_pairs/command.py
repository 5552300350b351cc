"""`rewardkit pairs text`: draw each poster twice, with right and with wrong text, and write labelled pairs."""

from dataclasses import dataclass, replace

import torch
from torch import Generator

from rewardkit.data import PreferenceRecord, Skipped, write_pairs
from rewardkit.errors import UserError, did_you_mean
from rewardkit.images import OneImage, save_image
from rewardkit.io.progress import Progress
from rewardkit.posters.captions import LANGUAGES, long_caption
from rewardkit.posters.draw import draw
from rewardkit.posters.flaws import weathered
from rewardkit.posters.scene import Scene, chance, pick
from rewardkit.posters.text_pairs.config import KINDS, LANGUAGE, TextPairsConfig
from rewardkit.posters.text_pairs.flaws import MALFORMED, SLIPS
from rewardkit.posters.text_pairs.typefaces import Typeface, built_in, read_folder, select
from rewardkit.posters.text_pairs.words import foreign, texts_of

AXIS = "text"
ATTEMPTS = 20
"""Attempts at a poster and a flaw before a pair is skipped."""
VISIBLE = 4.0
"""Root mean square difference of the two images, in levels of 255, below which they look the same."""


@dataclass(frozen=True)
class Pair:
    """One poster drawn twice."""

    scene: Scene
    right: OneImage
    wrong: OneImage
    kind: str


@dataclass(frozen=True)
class Supply:
    """Fonts and texts of a run."""

    texts: tuple[str, ...]
    others: tuple[str, ...]
    """Texts of other languages that some font can render."""
    faces: tuple[Typeface, ...]
    all_faces: tuple[Typeface, ...]
    """The fonts including the built-in ones, for text in another language."""


def make(config: TextPairsConfig) -> None:
    """Draw posters with right and wrong text as preference pairs of the text axis."""
    check(config)
    skipped = Skipped()
    supply = gather(config, skipped)
    generator = Generator().manual_seed(config.seed)
    (config.out / "images").mkdir(parents=True, exist_ok=True)
    records: list[PreferenceRecord] = []
    with Progress("pairs", config.count) as bar:
        for index in range(config.count):
            pair = draw_pair(config, supply, config.kinds[index % len(config.kinds)], generator)
            if pair is None:
                skipped.add("no pair", f"pair {index}: no visible flaw in {ATTEMPTS} attempts")
            else:
                records.append(save(pair, config, index, generator))
            bar.update()
    if not records:
        raise UserError(
            f"no pairs: no text of language {config.language!r} can have the flaw {', '.join(config.kinds)}"
        )
    write_pairs(config.out / "pairs.jsonl", records)
    kinds = [record.source for record in records]
    print(f"{len(records)} pairs ({', '.join(f'{kinds.count(kind)} {kind}' for kind in config.kinds)})")
    print(f"left out: {config.count - len(records)} pairs; -> {config.out / 'pairs.jsonl'}")


def check(config: TextPairsConfig) -> None:
    """Raise `UserError` for a kind that does not exist, and for sizes and counts out of range."""
    for kind in config.kinds:
        if kind not in KINDS:
            raise UserError(f"no flaw {kind!r}; {did_you_mean(kind, KINDS)} There are {', '.join(KINDS)}")
    if config.size < 32 or config.count < 1 or not config.kinds:
        raise UserError(f"size must be 32 or more and count 1 or more; got {config.size} and {config.count}")


def gather(config: TextPairsConfig, skipped: Skipped) -> Supply:
    """Find fonts and texts; texts that no font can render are counted; raise `UserError` if none is left."""
    faces = read_folder(config.fonts, skipped) if config.fonts else built_in()
    everywhere = [*faces, *built_in()]
    wanted = texts_of(config.language, config.words)
    texts = tuple(text for text in wanted if any(face.has(text) for face in faces))
    if not texts:
        where = config.fonts or "the built-in fonts"
        raise UserError(f"no font of {where} has the letters of {wanted[0]!r}; give a folder that has one with --fonts")
    if len(texts) < len(wanted) or skipped.count:
        print(f"left out: {len(wanted) - len(texts)} texts that no font can render, {skipped.count} unreadable fonts")
    others = tuple(text for text in foreign(config.language, wanted) if any(face.has(text) for face in everywhere))
    if LANGUAGE in config.kinds and not others:
        raise UserError("no font can render another language; leave 'language' out of --kinds, or add fonts")
    return Supply(texts, others, tuple(faces), tuple(everywhere))


def draw_pair(config: TextPairsConfig, supply: Supply, kind: str, generator: Generator) -> Pair | None:
    """Draw a poster with right and wrong text; `None` if every attempt looked the same."""
    for _ in range(ATTEMPTS):
        text = pick(supply.texts, generator)
        scene = replace(Scene().filled(generator), text=text)
        face = select(supply.faces, text, generator)
        if face is None:
            continue
        wear = int(torch.randint(2**31, (), generator=generator))
        wrong = draw_wrong(config, supply, kind, scene, face, wear, generator)
        # The same degradation for both, so that only the text differs.
        right = weathered(draw(scene, config.size, face.path), Generator().manual_seed(wear))
        if wrong is not None and (right - wrong).square().mean().sqrt() * 255 >= VISIBLE:
            return Pair(scene, right, wrong, kind)
    return None


def draw_wrong(
    config: TextPairsConfig,
    supply: Supply,
    kind: str,
    scene: Scene,
    face: Typeface,
    wear: int,
    generator: Generator,
) -> OneImage | None:
    """Draw the poster with a flawed text; `None` if this text cannot have the flaw."""
    if kind in MALFORMED:
        return weathered(MALFORMED[kind](scene, config.size, face, generator), Generator().manual_seed(wear))
    if kind == LANGUAGE:
        text = pick(supply.others, generator)
        other = select(supply.all_faces, text, generator)
    else:
        slip = SLIPS[kind](str(scene.text), generator)
        if slip is None:
            return None
        text, other = slip, face
    path = other.path if other else None
    return weathered(draw(replace(scene, text=text), config.size, path), Generator().manual_seed(wear))


def save(pair: Pair, config: TextPairsConfig, index: int, generator: Generator) -> PreferenceRecord:
    """Write both images in random order, and return the record."""
    swap = chance(0.5, generator)
    first, second = (pair.wrong, pair.right) if swap else (pair.right, pair.wrong)
    paths = [config.out / "images" / f"{index:06d}_{side}.png" for side in ("a", "b")]
    for image, path in zip((first, second), paths, strict=True):
        save_image(image, path)
    language = config.language if config.language in LANGUAGES else "en"
    prompt = long_caption(pair.scene, language, generator)
    # Grouped by text, so that training and held-out splits share no text.
    group = str(pair.scene.text)
    return PreferenceRecord(prompt, paths[0], paths[1], {AXIS: 0.0 if swap else 1.0}, group, source=pair.kind)
