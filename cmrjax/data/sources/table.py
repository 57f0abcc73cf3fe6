"""The public datasets that `prepare --source` knows, each by its module."""

from cmrjax.data.sources import acdc, emidec, mnms, mnms2
from cmrjax.data.sources.public import PublicSource

PUBLIC: dict[str, PublicSource] = {
    "acdc": acdc.SOURCE,
    "mnms": mnms.SOURCE,
    "mnms2": mnms2.SOURCE,
    "emidec": emidec.SOURCE,
}
