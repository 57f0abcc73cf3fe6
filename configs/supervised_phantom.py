"""The supervised ceiling of the demo: the same trunk, trained on the labels themselves."""

from ml_collections import ConfigDict

from configs.pretrain_phantom import get_config as contrastive

FINDINGS = (
    "normal",
    "lv_dilation",
    "reduced_lvef",
    "asymmetric_septal_hypertrophy",
    "concentric_hypertrophy",
    "regional_akinesia",
    "rv_dilation",
    "rv_dysfunction",
    "la_dilation",
    "pericardial_effusion",
)


def get_config() -> ConfigDict:
    """As `pretrain_phantom`, with labels in the place of the reports."""
    config = contrastive()
    config.objective = ConfigDict(
        {"name": "supervised", "binary": FINDINGS, "regression": ("lvef",)}
    )
    config.text = ConfigDict({})
    return config
