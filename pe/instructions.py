"""System prompts for general instruct models; a rewriter that was trained for the task needs none."""

from typing import Literal

from rewardkit.prompts import language

Task = Literal["plain", "expand", "shorten"]
"""`plain`: no system prompt (a trained rewriter); `expand`: short prompt to detailed one; `shorten`: the reverse."""

EXPAND_EN = (
    "You write prompts for a text-to-image model. Turn the user's short prompt into one detailed description of the "
    "picture: the subject first, then its colours, size and place, the background, the style and the light. "
    "Keep everything the user asked for and contradict none of it. Text in quotation marks is what must be written in "
    "the picture: copy it letter by letter, in quotation marks, never translate it, and add no other quoted text. "
    "Say what is there, not what is missing. Answer in the prompt's language, with the description and nothing else."
)
EXPAND_ZH = (
    "你为文生图模型写提示词。把用户的短提示词扩写成一段完整的画面描述：先写主体，再写颜色、大小和位置，"
    "然后写背景、风格和光线。用户要求的内容要全部保留，不得矛盾。引号里的文字是要写进画面的：逐字照抄并保留引号，"
    "不要翻译，也不要添加别的引号文字。只写画面里有什么，不写没有什么。只输出描述本身。"
)
SHORTEN_EN = (
    "Shorten the user's image description to the few words a hurried person would type: the subject and what must be "
    "there. Leave out style, light and quality words. Copy text in quotation marks letter by letter, in quotation "
    "marks. Answer in the language of the description, with the short prompt and nothing else."
)
SHORTEN_ZH = (
    "把用户的画面描述缩短成普通人随手会输入的几个词：只留主体和必须出现的内容，去掉风格、光线和画质的词。"
    "引号里的文字逐字照抄并保留引号。只输出短提示词。"
)


def system_prompt(task: Task, prompt: str) -> str | None:
    """Return the system prompt of a task, Chinese for a Chinese prompt and otherwise English; none for `plain`."""
    chinese = language(prompt) == "zh"
    match task:
        case "plain":
            return None
        case "expand":
            return EXPAND_ZH if chinese else EXPAND_EN
        case "shorten":
            return SHORTEN_ZH if chinese else SHORTEN_EN


def messages(task: Task, prompt: str) -> list[dict[str, str]]:
    """Return the conversation up to the rewrite: the system prompt if the task has one, then the prompt."""
    system = system_prompt(task, prompt)
    head = [] if system is None else [{"role": "system", "content": system}]
    return [*head, {"role": "user", "content": prompt}]
