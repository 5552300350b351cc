"""Quoted text, language, and prompt files of every kind."""

import json
from pathlib import Path

import pytest

from rewardkit.errors import UserError
from rewardkit.prompts import Prompt, evenly, has_text, language, quoted, read_prompts, wanted_text, without_quotes


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ('a sign with "SALE"', ["SALE"]),
        ("a sign with 'SALE'", ["SALE"]),
        ("a sign that says “Very Deep Learning” and ‘OOPS’", ["Very Deep Learning", "OOPS"]),
        ("一张写着「春」和『福』的海报", ["春", "福"]),
        ("写着'春'的海报", ["春"]),
        ('写着"春天"的海报', ["春天"]),
        ("'봄'이라고 쓴 포스터", ["봄"]),
        ("it's a dog's bone", []),
        ("it’s a dog’s bone", []),
        ("the dogs' bowl and the cats' bed", []),
        ("a sign saying 'Don't stop'", ["Don't stop"]),
        ("a sign saying ‘Don’t stop’", ["Don’t stop"]),
        ("the baker's sign reads 'OPEN' at 5 o'clock", ["OPEN"]),
        ('a 6" pipe beside a 4" hole', []),
        ('"first" then "second"', ["first", "second"]),
        ('a poster "HELLO\nWORLD"', ["HELLO\nWORLD"]),
        ('a 4" pipe\n\nand "SALE"', ["SALE"]),
        ('an open " mark\n\nand another "', []),
        ("ein Schild „Guten Morgen“ und „Ja”", ["Guten Morgen", "Ja"]),
        ("une pancarte « Ouvert » et «Fermé»", ["Ouvert", "Fermé"]),
        ("en skylt ”Öppet”", ["Öppet"]),
        ("写着＂营业＂和｢休｣", ["营业", "休"]),
        ('mixed “SALE" here', ["SALE"]),
        ('mixed "SALE” here', ["SALE"]),
        ('mixed “SALE" and “OPEN”', ["SALE", "OPEN"]),
        ('a sign "the “big” sale"', ["the “big” sale"]),
        ('a sign \\"SALE\\" and \\"OPEN\\"', ["SALE", "OPEN"]),
        ('a sign "say \\"hi\\" now"', ['say "hi" now']),
        ('海报写着2024"新年快乐"', ["新年快乐"]),
        ('a 7" screen beside "OPEN"', ["OPEN"]),
        ('a 24"x36" print of "MOON"', ["MOON"]),
        ("a rock 'n' roll poster with 'JAZZ'", ["JAZZ"]),
        ('"a red circle on white"', []),
        ("“a red circle on white”", []),
        ('empty "" quotes and "  "', []),
        ('an unclosed "quote', []),
        ('"across\nlines"', []),
        ("", []),
    ],
)
def test_quoted(prompt: str, texts: list[str]) -> None:
    assert quoted(prompt) == texts
    assert has_text(prompt) == bool(texts)


@pytest.mark.parametrize("mark", ["'", '"', "“", "‘", "„", "”", "«", '\\"', " '", "' ", "a'b "])
def test_reading_quotes_is_linear(mark: str) -> None:
    """Quadratic, this would take minutes (12,000 apostrophes once took 3.4 s)."""
    quoted(mark * 10_000)
    quoted(f"{mark}a" * 10_000)


def test_without_quotes_keeps_the_same_word_outside() -> None:
    assert without_quotes('a star "STAR" isn\'t a "star"').split() == ["a", "star", "isn't", "a"]


def test_wanted_text_joins_in_order() -> None:
    assert wanted_text('"GRAND" above “OPENING”') == "GRAND OPENING"
    assert wanted_text("no text") == ""


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red circle", "en"),
        ('a poster with the text "春天到了"', "en"),
        ("一张红色圆形的海报", "zh"),
        ('一张poster，写着"SALE NOW"', "zh"),
        ("赤い丸のポスター", "ja"),
        ("빨간 원 포스터", "ko"),
        ("красный круг", "other"),
        ("春", "zh"),
        ('"봄날"', "ko"),
        ("1234", "other"),
    ],
)
def test_language(prompt: str, expected: str) -> None:
    assert language(prompt) == expected


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_txt_keeps_every_line_and_drops_blank_ones(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.txt", "\ufeffa red circle\n\n  一个圆 \r\nlast")
    assert [prompt.text for prompt in read_prompts(path)] == ["a red circle", "一个圆", "last"]


def test_jsonl_other_keys_become_tags(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "split": "train", "seed": 3}, {"Prompt": "b"}, "c"]
    path = _write(tmp_path / "p.jsonl", "\n".join(json.dumps(row) for row in rows))
    assert read_prompts(path) == [Prompt("a", {"split": "train", "seed": 3}), Prompt("b"), Prompt("c")]


def test_parti_tsv_keeps_quotes_that_open_a_cell(tmp_path: Path) -> None:
    header, giggle = (
        "Prompt\tCategory\tChallenge\tNote\n",
        '"G I G G L E" painted\tIllustrations\tWriting & Symbols\t\n',
    )
    text = header + giggle + "bond\tAbstract\tBasic\n"
    prompts = read_prompts(_write(tmp_path / "PartiPrompts.tsv", text))
    assert [prompt.text for prompt in prompts] == ['"G I G G L E" painted', "bond"]
    assert prompts[0].tags == {"Category": "Illustrations", "Challenge": "Writing & Symbols", "Note": ""}


def test_tsv_of_a_spreadsheet_is_unquoted(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.tsv", 'prompt\tkind\n"""OOPS"" on a couch"\tx\r\n')
    assert read_prompts(path) == [Prompt('"OOPS" on a couch', {"kind": "x"})]


def test_csv_with_quotes_commas_and_line_breaks(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.csv", 'id,caption\r\n1,"a ""SALE"" sign, red"\r\n2,"two\r\nlines"\r\n')
    assert [(p.text, p.tags) for p in read_prompts(path)] == [
        ('a "SALE" sign, red', {"id": "1"}),
        ("two\nlines", {"id": "2"}),
    ]
    unix = _write(tmp_path / "u.csv", 'prompt\n"a\nb"\n')
    assert [p.text for p in read_prompts(unix)] == ["a\nb"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '["a", {"prompt": "b", "kind": 1}]'),
        ("p.json", '{"prompts": ["a", {"prompt": "b", "kind": 1}], "version": 2}'),
        ("p.json", '{"1": {"caption": "a"}, "2": {"caption": "b", "kind": 1}}'),
        ("p.yaml", "- a\n- prompt: b\n  kind: 1\n"),
        ("p.yml", "prompts:\n- a\n- {text: b, kind: 1}\n"),
    ],
)
def test_documents_of_prompts(tmp_path: Path, name: str, text: str) -> None:
    assert read_prompts(_write(tmp_path / name, text)) == [Prompt("a"), Prompt("b", {"kind": 1})]


def test_parquet_and_a_folder_of_text_files(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"Prompt": "a", "kind": "x", "image": b"png"}, {"Prompt": "b", "kind": "y", "image": b""}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    assert read_prompts(tmp_path / "p.parquet") == [Prompt("a", {"kind": "x"}), Prompt("b", {"kind": "y"})]
    folder = tmp_path / "dpg"
    folder.mkdir()
    for file, text in (("1.txt", "two\nlines\n"), ("0.txt", "one"), ("._0.txt", "\0")):
        _write(folder / file, text)
    assert [prompt.text for prompt in read_prompts(folder)] == ["one", "two\nlines"]
    with pytest.raises(UserError, match=r"folder without \.txt files"):
        read_prompts(tmp_path)


def test_a_named_column(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.csv", "index,prompt,prompt_en\n0,no,yes\n")
    assert read_prompts(path, column="prompt_en")[0].text == "yes"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.tsv", "name\tkind\na\tb\n", "no column 'prompt' or 'caption' or 'text'; its columns are 'name', 'kind'"),
        ("p.txt", "", "has no prompts"),
        ("p.csv", "prompt\n", "has no prompts"),
        ("p.csv", "", "has no prompts"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt"', "line 2 is not JSON"),
        ("p.jsonl", "[1]", "line 1 must be an object"),
        ("p.jsonl", '{"prompt": 3}', "line 1: 'prompt' has no prompt"),
        ("p.csv", "prompt,kind\n,b\n", "line 2: 'prompt' has no prompt"),
        ("p.csv", "prompt\na,b\n", "line 2 has 2 cells"),
        ("p.csv", 'prompt\n"a"b\n', "line 2 is not CSV"),
        ("p.docx", "- a", "prompts are read from .txt"),
        ("p.json", "{", "is not JSON"),
        ("p.json", '{"a": 1}', "has no list of prompts"),
        ("p.json", '[{"prompt": ["a"]}]', "line 1: 'prompt' has no prompt"),
        ("p.yaml", "a: [", "is not YAML"),
        ("p.yaml", "3", "has no list of prompts"),
        ("p.parquet", "no", "is not a readable Parquet file"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=name) as caught:
        read_prompts(_write(tmp_path / name, text))
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_missing_file_and_wrong_encoding(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.txt: No such file"):
        read_prompts(tmp_path / "absent.txt")
    (tmp_path / "old.txt").write_bytes("красный круг".encode("cp1251"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_prompts(tmp_path / "old.txt")


def test_evenly_takes_from_all_of_a_list_and_repeats_a_short_one() -> None:
    assert evenly(["a", "b", "c", "d"], 2) == ["a", "c"]
    assert evenly("abcdefgh", 4) == ["a", "c", "e", "g"]
    assert evenly(["a", "b"], 4) == ["a", "a", "b", "b"]
    assert evenly([], 0) == []
