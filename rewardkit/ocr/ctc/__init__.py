"""`ocr-ctc`: the likelihood of the wanted text under RapidOCR's recogniser, with a gradient to the pixels."""

from rewardkit.ocr.ctc.recogniser import Recogniser
from rewardkit.ocr.ctc.reward import OcrCtcReward

__all__ = ["OcrCtcReward", "Recogniser"]
