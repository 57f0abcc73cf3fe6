"""The public datasets that `prepare --source` knows, each by its module."""

from cmrjax.data.sources import acdc, emidec, kaggle_dsb, mnms, mnms2, rvsc, scd, ukb
from cmrjax.data.sources.public import PublicSource

PUBLIC: dict[str, PublicSource] = {
    "acdc": acdc.SOURCE,
    "mnms": mnms.SOURCE,
    "mnms2": mnms2.SOURCE,
    "scd": scd.SOURCE,
    "kaggle_dsb": kaggle_dsb.SOURCE,
    "ukb": ukb.SOURCE,
    "emidec": emidec.SOURCE,
    "rvsc": rvsc.SOURCE,
}
