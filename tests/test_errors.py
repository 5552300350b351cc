"""What a library's error says, in one line."""

import pytest

from rewardkit.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one"), "one"),
        (ValueError("\n one\ntwo"), "one"),
        (OSError(""), "OSError"),
        (KeyError(), "KeyError"),
    ],
)
def test_the_first_line_of_an_error_is_never_nothing(error: Exception, line: str) -> None:
    assert first_line(error) == line
