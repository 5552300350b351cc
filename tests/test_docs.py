"""The Python code in README.md and docs/python.md runs as it stands, each document from top to bottom."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUN = ["README.md", "docs/python.md"]
DOCUMENTS = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
NEEDS_A_TRAINED_MODEL = "# needs a trained model"
"""First line of a block that cannot run by itself; nothing else is skipped."""


def blocks(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", RUN)
def test_the_code_of_a_document_runs(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    runnable = [block for block in blocks(document) if not block.startswith(NEEDS_A_TRAINED_MODEL)]
    assert runnable
    for number, block in enumerate(runnable):
        exec(compile(block, f"{document}, block {number}", "exec"), names)


def test_only_one_block_needs_a_trained_model() -> None:
    (skipped,) = [block for name in RUN for block in blocks(name) if block.startswith(NEEDS_A_TRAINED_MODEL)]
    assert 'RewardModel.load("runs/demo/rm/rm")' in skipped


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_that_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    here = re.findall(r"github(?:usercontent)?\.com/rewardkit/rewardkit/(?:(?:blob|tree)/)?main/([^)#\s]+)", text)
    beside = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    missing = [link for link in here if not (ROOT / link).exists()]
    missing += [link for link in beside if not (ROOT / document).parent.joinpath(link).exists()]
    assert not missing
    assert document != "README.md" or not beside, "README.md is shown on PyPI too: its links are absolute"
