"""What a chat model answers, and the prompt in it."""

import pytest

from pe.answer import tidy

PROMPT = "A red circle on a white wall, soft light."


@pytest.mark.parametrize(
    "answer",
    [
        PROMPT,
        f"  {PROMPT}\n",
        f"<think>It should be red.</think>\n\n{PROMPT}",
        f"It should be red.</think>{PROMPT}",
        f'"{PROMPT}"',
        f"“{PROMPT}”",
        f"「{PROMPT}」",
        f"'{PROMPT}'",
        f"`{PROMPT}`",
        f"**{PROMPT}**",
        f"*{PROMPT}*",
        f'**"{PROMPT}"**',
        f"```\n{PROMPT}\n```",
        f"```text\n{PROMPT}\n```\nI hope this helps!",
        f"Here is the prompt:\n```\n{PROMPT}",
        f"Here is a more detailed prompt: {PROMPT}",
        f"Here's the rewritten description:\n\n{PROMPT}",
        f"Sure! Here is one:\n\n> {PROMPT}",
        f"Certainly, here you go:\n\n**Prompt:** {PROMPT}",
        f"**Rewritten prompt:**\n\n{PROMPT}",
        f"Prompt: {PROMPT}",
        f"### Final prompt:\n{PROMPT}",
        f'Prompt: "{PROMPT}"\n\nNote: I kept the colour.',
        f"{PROMPT}\n\nLet me know if you want it longer.",
        f"- {PROMPT}",
        f"1. {PROMPT}",
        f"好的，以下是改写后的提示词：\n{PROMPT}",
        f"提示词：{PROMPT}",
        PROMPT.replace(" ", "\n", 2),
    ],
)
def test_the_prompt_is_taken_out(answer: str) -> None:
    assert tidy(answer) == PROMPT


@pytest.mark.parametrize(
    ("answer", "prompt"),
    [
        ('"SALE" beside "OPEN"', '"SALE" beside "OPEN"'),
        ('"SALE" in red, on a wall', '"SALE" in red, on a wall'),
        ('"a sign with "SALE" on it"', 'a sign with "SALE" on it'),
        ('"a sign with \\"SALE\\" on it"', 'a sign with "SALE" on it'),
        ("「春」と「福」", "「春」と「福」"),
        ("「看板に「春」の文字」", "看板に「春」の文字"),
        ("'60s poster that says 'JAZZ'", "'60s poster that says 'JAZZ'"),
        ('A poster with the word **"SALE"**', 'A poster with the word "SALE"'),
        ("A sign: red letters", "A sign: red letters"),
        ("5 * 3 = 15 on a blackboard * chalk", "5 * 3 = 15 on a blackboard * chalk"),
        ("a file called my__init__.py", "a file called my__init__.py"),
        ("A note pinned on a wall", "A note pinned on a wall"),
        ("Great waves: a woodblock print of the sea", "Great waves: a woodblock print of the sea"),
    ],
)
def test_what_belongs_to_the_prompt_stays(answer: str, prompt: str) -> None:
    assert tidy(answer) == prompt


@pytest.mark.parametrize("answer", ["", "  \n", "<think>I wonder whether", "<think>done</think>", "<thinking>x"])
def test_an_answer_without_a_prompt_is_empty(answer: str) -> None:
    assert tidy(answer) == ""


def test_a_hostile_answer_takes_no_time() -> None:
    assert tidy("*" * 20_000 + " a") is not None
    assert tidy("Here is " * 5_000) is not None
    assert tidy('"' * 20_001) is not None
