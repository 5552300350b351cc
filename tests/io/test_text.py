"""Encodings of files that users bring: read, or refused in one line; never guessed where two fit."""

from pathlib import Path

import pytest

from rewardkit.data import read_pairs
from rewardkit.errors import UserError
from rewardkit.io.text import guess, read_text
from rewardkit.prompts import read_prompts

GERMAN = "ein Käse auf dem Tisch, „Guten Morgen“ für 5 €\n"
CHINESE = "一张红色圆形的海报,写着“新年快乐”\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [GERMAN, CHINESE, "plain\n"])
def test_unicode_is_read_with_its_mark(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "p.txt"
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    path.write_bytes((mark + text).encode(encoding))
    assert read_text(path) == text
    assert read_prompts(path)[0].text == text.strip()


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        (GERMAN, "cp1252", "cp1252"),
        ("une pancarte « Ouvert » à la plage d'été", "cp1252", "cp1252"),
        ("a caf\u00e9", "cp1252", "cp1252"),
        (CHINESE, "gbk", "gbk"),
        ("prompt,label\n一只猫坐在红色的椅子上,1\n", "gbk", "gbk"),
        ("красный круг на белом", "cp1251", None),
        ("КРАСНЫЙ КРУГ НА БЕЛОМ", "cp1251", None),
        ("красный круг на белом", "koi8-r", None),
        ("빨간 원이 있는 포스터를 그려 주세요", "euc-kr", None),
        ("赤い丸のポスター", "shift-jis", None),
        ("赤い丸のポスター", "euc-jp", None),
        ("一張紅色圓形的海報,寫著新年快樂", "big5", None),
        ("kırmızı bir daire ve güneş", "cp1254", None),
        ("żółta łąka może być", "cp1250", None),
    ],
)
def test_an_old_encoding_is_taken_only_where_it_is_sure(text: str, encoding: str, found: str | None) -> None:
    assert guess(text.encode(encoding)) == found


def test_an_old_encoding_is_said_and_an_unsure_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(GERMAN.encode("cp1252"))
    assert read_text(path) == GERMAN
    assert f"{path} is not UTF-8 (byte 5) and is read as Windows-1252; save it as UTF-8" in capsys.readouterr().err
    path.write_bytes("красный круг".encode("cp1251"))
    with pytest.raises(UserError, match=r"p\.txt is not UTF-8 text \(byte 0\); save it as UTF-8"):
        read_text(path)
    path.write_bytes(b"a" * (1 << 20) + "é".encode()[:1])
    with pytest.raises(UserError, match=r"byte 1048576"):
        read_text(path)
    path.write_bytes(b"a" * ((1 << 20) - 1) + b"\xe9\x20\xff")
    with pytest.raises(UserError, match=r"byte 1048575"):
        read_text(path)
    path.write_bytes("\ufeffab".encode("utf-16-le")[:-1])
    with pytest.raises(UserError, match="damaged UTF-16"):
        read_text(path)


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8-sig"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "prompt,first,second,label_x\nein Käse,a.png,b.png,1\n"),
        ("p.csv", "prompt;first;second;label_x\nein Käse;a.png;b.png;1\n"),
        ("p.csv", 'prompt\tfirst\tsecond\tlabel_x\n"ein Käse"\ta.png\tb.png\t1\n'),
        ("p.tsv", "prompt\tfirst\tsecond\tlabel_x\nein Käse\ta.png\tb.png\t1\n"),
        ("p.jsonl", '{"prompt": "ein Käse", "first": "a.png", "second": "b.png", "label_x": 1}\n'),
        ("p.json", '[{"prompt": "ein Käse", "first": "a.png", "second": "b.png", "label_x": 1}]'),
    ],
)
def test_pairs_are_read_in_every_encoding_and_delimiter(tmp_path: Path, encoding: str, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    (record,) = read_pairs(tmp_path / name)
    assert (record.prompt, record.second, record.label) == ("ein Käse", tmp_path / "b.png", {"x": 1.0})
