"""The known formats of pairs, one per file."""

from rewardkit.data.formats import genaibench, hpdv2, hpdv3, imagereward, mmrb2, pickapic, rapidata, richhf
from rewardkit.data.formats.format import Format
from rewardkit.data.formats.own import OWN

FORMATS: tuple[Format, ...] = (
    OWN,
    pickapic.FORMAT,
    hpdv2.TRAIN,
    hpdv2.TEST,
    hpdv3.FORMAT,
    imagereward.IMAGES,
    imagereward.LISTS,
    richhf.FORMAT,
    rapidata.FORMAT,
    mmrb2.FORMAT,
    genaibench.FORMAT,
)
