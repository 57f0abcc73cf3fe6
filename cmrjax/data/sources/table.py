"""The public datasets that `prepare --source` knows, each by its module."""

from cmrjax.data.sources import acdc
from cmrjax.data.sources.public import PublicSource

PUBLIC: dict[str, PublicSource] = {
    "acdc": acdc.SOURCE,
}
