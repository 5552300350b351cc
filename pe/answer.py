"""Extract the prompt from a chat model's answer, which may contain thoughts, "Here is ..." or other wrapping."""

import re

_CLOSED = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_OPEN = re.compile(r"<think(?:ing)?>.*$", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"(?:```|~~~)[^\n`]*\n(.*?)(?:\n\s*(?:```|~~~)|\Z)", re.DOTALL)
_OPENING = re.compile(
    r"\A\W{0,3}(?:"
    r"(?:sure|certainly|of course|okay|ok|absolutely|great(?=[!,.])|here(?:'s|’s| is| are| you go)|below is|this is)"
    r"(?!\w)[^:\n]{0,120}"
    r"|(?:the )?(?:(?:final|new|rewritten|revised|detailed|improved|enhanced|expanded|shortened|short|long) )*"
    r"(?:prompt|description|caption|rewrite|answer|output|result)"
    r"|(?:好的|当然|没问题|以下是|下面是|这是|はい|以下は|다음은)[^：:\n]{0,60}"
    r"|(?:改写|扩写|优化|最终|缩短)?后?的?(?:提示词|描述|结果|输出|答案)|プロンプト|프롬프트"
    r")\W{0,3}[:：]\**\s*",
    re.IGNORECASE,
)
_AFTERWORD = re.compile(
    r"\n\s*\W{0,3}(?:note|notes|explanation|let me know|feel free|i hope|would you like|注|说明|希望|備考|참고)\b.*\Z",
    re.DOTALL | re.IGNORECASE,
)
_BOLD = re.compile(r"(\*{1,3})(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_HEADING = re.compile(r"\A(?:#{1,6}|>|[-*•]|1[.)])\s+")
_PAIRS = {
    '"': '"',
    "'": "'",
    "“": "”",
    "‘": "’",
    "«": "»",
    "„": "“",
    "「": "」",
    "『": "』",
    "《": "》",
    "＂": "＂",
    "`": "`",
}


def tidy(answer: str) -> str:
    """Extract the prompt from an answer, on one line; empty if the answer contains none."""
    text = _OPEN.sub("", _CLOSED.sub("", answer)).strip()
    if fence := _FENCE.search(text):
        text = fence[1].strip()
    before = None
    while text != before:  # wrappings are nested: **"..."**, or a label before a quotation
        before = text
        text = _AFTERWORD.sub("", _HEADING.sub("", _OPENING.sub("", text))).strip()
        text = unquoted(_BOLD.sub(r"\2", text).strip())
    return " ".join(text.split())


def unquoted(text: str) -> str:
    """Remove quotation marks around a whole text, but not from a text that only begins with a quote."""
    last = _PAIRS.get(text[:1], "")
    if len(text) < 3 or not text.endswith(last) or not last:
        return text
    inner = text[1:-1]
    if f"\\{last}" in inner:
        return inner.replace(f"\\{last}", last) if last not in inner.replace(f"\\{last}", "") else text
    marks = re.sub(r"(?<=\w)'(?=\w)", "", text)  # an apostrophe is not a mark
    if text[0] == last and marks.count(last) % 2:
        return text
    place = inner.find(last)
    # In `"SALE" beside "OPEN"` the next mark closes; in `"a sign with "SALE" on it"` it opens another quote.
    opens = place > 0 and inner[place - 1].isspace() and not inner[place + 1 : place + 2].isspace()
    closed_inside = place >= 0 and (text[0] == last or text[0] not in inner[:place])
    return text if closed_inside and not (text[0] == last and opens) else inner.strip()
