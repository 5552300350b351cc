"""Text files of users in any common encoding: UTF-8, UTF-16 with a byte order mark, Windows-1252 and GBK.

UTF-8 and UTF-16 are decoded strictly. The old encodings have no mark and most files are valid in several of them, so
one is accepted only if the text looks like its own languages and not like the other's, with a note on stderr.
"""

import codecs
import re
import sys
from functools import cache
from pathlib import Path
from typing import TextIO

from rewardkit.errors import UserError

CHUNK = 1 << 20
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""First bytes of a file -> its encoding."""
NAMES = {"cp1252": "Windows-1252", "gbk": "GBK"}
WESTERN = frozenset("ŠŒŽšœžŸ") | (frozenset(map(chr, range(0xC0, 0xFF))) - frozenset("×÷ÐÝÞðýþÂÃ"))
"""Letters of western Europe, without those that Turkish text and damaged UTF-8 show when read as Windows-1252."""
SIGNS = frozenset("€…‘’“”„‚–—™\xa0¡£§©«®°´·»¼½¾¿")
"""Signs of western text; one between two letters is a letter of another encoding."""
WRONG_SIGN = re.compile(r"[A-Za-z][€™¡£§©®°´¼½¾¿][A-Za-z]")


def read_text(path: Path) -> str:
    """Read a whole text file, line ends as \\n; raise `UserError` that names the file, the byte and the remedy."""
    with open_text(path) as file:
        return file.read()


def open_text(path: Path, newline: str | None = None) -> TextIO:
    """Open a text file in the encoding it is in (`newline` as for `open`); raise `UserError` as `read_text` does."""
    return path.open(encoding=encoding_of(path), newline=newline)


def encoding_of(path: Path) -> str:
    """Find the encoding of a file by reading all of it; raise `UserError` if it is unreadable or unknown."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    try:
        with path.open("rb") as file:
            head = file.read(3)
            marked = next((name for mark, name in MARKS.items() if head.startswith(mark)), None)
            if marked == "utf-16":
                return checked_utf16(path)
            file.seek(0)
            while chunk := file.read(CHUNK):
                pending = len(decoder.getstate()[0])
                decoder.decode(chunk)
                read += len(chunk)
            pending = len(decoder.getstate()[0])
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return announced(path, guess(path.read_bytes()), read - pending + error.start)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from error
    return "utf-8-sig"


def checked_utf16(path: Path) -> str:
    try:
        path.read_bytes().decode("utf-16")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged UTF-16 text (byte {error.start}); save it anew as UTF-8") from error
    return "utf-16"


def announced(path: Path, encoding: str | None, byte: int) -> str:
    """Print once that a file is read in an old encoding; raise `UserError` if none is certain."""
    if encoding is None:
        raise UserError(f"{path} is not UTF-8 text (byte {byte}); save it as UTF-8")
    say(f"{path} is not UTF-8 (byte {byte}) and is read as {NAMES[encoding]}; save it as UTF-8 to be sure")
    return encoding


@cache
def say(line: str) -> None:
    print(line, file=sys.stderr)


def guess(data: bytes) -> str | None:
    """Name the old encoding that the bytes are surely in, "cp1252" or "gbk"; None where that is not sure."""
    fits = [name for name, looks_like in (("cp1252", western), ("gbk", chinese)) if looks_like(data)]
    return fits[0] if len(fits) == 1 else None


def western(data: bytes) -> bool:
    """Whether bytes look like Windows-1252 text: accented letters are few and rarely adjacent."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", data)]
    letters = len(re.findall(rb"[A-Za-z]", data))
    if not runs or b"\0" in data or max(runs) > 2 or 3 * sum(runs) > letters:
        return False
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return all(sign in WESTERN or sign in SIGNS for sign in text if sign > "\x7f") and not WRONG_SIGN.search(text)


def chinese(data: bytes) -> bool:
    """Whether bytes look like GBK text: common Chinese characters, which in GB2312 stand in the order of their sounds.

    At least 7 of 10 must be in its 3,755 common characters (first bytes B0 to D7), and 1 in 8 of these must have the
    sounds s to z (from C9): about 4 in 10 do in Chinese text, none in Korean text, whose syllables fill B0 to C8.
    """
    try:
        text = data.decode("gbk")
    except UnicodeDecodeError:
        return False
    foreign = [sign for sign in text if sign > "\x7f" and sign not in "“”‘’—…·"]
    blocks = (("\u3000", "\u3020"), ("\u4e00", "\u9fff"), ("\uff00", "\uffef"))
    if not all(any(low <= sign <= high for low, high in blocks) for sign in foreign):
        return False
    codes = [sign.encode("gbk") for sign in foreign if "\u4e00" <= sign <= "\u9fff"]
    common = [code for code in codes if 0xB0 <= code[0] <= 0xD7 and code[1] >= 0xA1]
    late = sum(code[0] >= 0xC9 for code in common)
    return bool(codes) and 10 * len(common) >= 7 * len(codes) and 8 * late >= len(common)
