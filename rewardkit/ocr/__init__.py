"""Read the text in images with RapidOCR, and score it against the text a prompt quotes.

RapidOCR's PP-OCR models are in its wheel, so nothing is downloaded. They read Latin, Chinese and Japanese;
they silently misread Korean, Cyrillic, Greek and others, so a prompt that quotes those is refused, not scored wrong.
Korean is read by tesseract if it is installed with its `kor` model.
"""

from rewardkit.ocr.engine import Engine, reading_order
from rewardkit.ocr.measurable import SCRIPTS, characters, check_measurable, recogniser_file, unknown_letters, unreadable
from rewardkit.ocr.reward import OcrReward
from rewardkit.ocr.text import accuracy, edit_distance, hit_rate, kept, normalise

__all__ = [
    "SCRIPTS",
    "Engine",
    "OcrReward",
    "accuracy",
    "characters",
    "check_measurable",
    "edit_distance",
    "hit_rate",
    "kept",
    "normalise",
    "reading_order",
    "recogniser_file",
    "unknown_letters",
    "unreadable",
]
