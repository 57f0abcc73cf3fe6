"""Writes the golden texts of the resolved configs: `python -m tests.refresh_goldens`.

A golden makes every change of a config's value show in a diff, wherever the value comes from.
"""

import json
from pathlib import Path

from cmrjax.core.config import load_config

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "configs"
COMMAND = "python -m tests.refresh_goldens"
# Golden file -> what follows `--config configs/`. Every file in configs/ has at least one.
CONFIGS = {
    "eval_attention": "eval_attention.py",
    "eval_linear_probe": "eval_linear_probe.py",
    "eval_retrieval": "eval_retrieval.py",
    "eval_zero_shot": "eval_zero_shot.py",
    "eval_zero_shot_acdc": "eval_zero_shot.py:acdc",
    "multitask_snaauw2019": "multitask_snaauw2019.py",
    "multitask_snaauw2019_debug": "multitask_snaauw2019.py:debug",
    "multitask_snaauw2019_diagnosis": "multitask_snaauw2019.py:diagnosis",
    "multitask_snaauw2019_segmentation": "multitask_snaauw2019.py:segmentation",
    "pretrain_acdc": "pretrain_acdc.py",
    "pretrain_acdc_phantom": "pretrain_acdc.py:phantom",
    "pretrain_mae": "pretrain_mae.py",
    "pretrain_mae_debug": "pretrain_mae.py:debug",
    "pretrain_mae_debug_videos": "pretrain_mae.py:debug_videos",
    "pretrain_mae_videos": "pretrain_mae.py:videos",
    "pretrain_dino_jacob2025": "pretrain_dino_jacob2025.py",
    "pretrain_dino_jacob2025_debug": "pretrain_dino_jacob2025.py:debug",
    "pretrain_phantom": "pretrain_phantom.py",
    "pretrain_phantom_mvit": "pretrain_phantom.py:mvit",
    "pretrain_phantom_supervised": "pretrain_phantom.py:supervised",
    "pretrain_acdc_frames": "pretrain_acdc_frames.py",
    "pretrain_acdc_frames_dino": "pretrain_acdc_frames.py:dino",
    "pretrain_acdc_frames_supervised": "pretrain_acdc_frames.py:supervised",
    "pretrain_public": "pretrain_public.py",
    "pretrain_shad2026": "pretrain_shad2026.py",
    "pretrain_shad2026_debug": "pretrain_shad2026.py:debug",
}


def resolved(spec: str) -> str:
    """The config as JSON text, as a job gets it, keys sorted."""
    config = load_config(str(ROOT / "configs" / spec))
    return json.dumps(config, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Writes every golden; removes those that no config has any more."""
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.glob("*.json"):
        if path.stem not in CONFIGS:
            path.unlink()
    for name, spec in CONFIGS.items():
        (GOLDEN / f"{name}.json").write_text(resolved(spec))


if __name__ == "__main__":
    main()
