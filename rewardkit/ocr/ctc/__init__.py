"""`ocr-ctc`: how likely the wanted text is to RapidOCR's recogniser, with a gradient to the pixels."""

from rewardkit.ocr.ctc.recogniser import Recogniser
from rewardkit.ocr.ctc.reward import OcrCtcReward

__all__ = ["OcrCtcReward", "Recogniser"]
