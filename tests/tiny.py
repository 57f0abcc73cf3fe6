"""A tiny dataset written by the real writer, for tests that need one but not its contents."""

from pathlib import Path

import numpy as np

from cmrjax.data.contract import VIEWS, DatasetContract
from cmrjax.data.shards import PackedRecord, record_features, write_dataset
from cmrjax.data.splits import Splits

TASKS = ("bright", "lvef")
SENTENCES = {
    True: ("The blood pool is bright.", "Bright blood is seen throughout."),
    False: ("The blood pool is dark.", "No bright blood is seen."),
}


def tiny_contract(*, frames: int = 4, size: int = 16, masks: bool = False) -> DatasetContract:
    return DatasetContract(
        spacing_mm=2.0,
        size=size,
        frames=frames,
        orientation="acquired",
        intensity="percentile:1-99.5",
        dtype="uint8",
        crop="motion",
        views=VIEWS,
        masks=masks,
        id_namespace="public:tiny",
    )


def write_tiny_dataset(
    directory: Path,
    *,
    patients: int = 24,
    cines: int = 2,
    seed: int = 0,
    frames: int = 4,
    size: int = 16,
    masks: bool = False,
) -> Path:
    """Bright and dark squares whose reports say which; every third patient is held out.

    With masks, the middle 8 x 8 pixels of the first frame are drawn, but for every fourth patient.
    """
    contract = tiny_contract(frames=frames, size=size, masks=masks)
    features = record_features(contract, sorted(TASKS))
    rng = np.random.default_rng(seed)
    directory.mkdir(parents=True)
    assignment, packed = {}, []
    for i in range(patients):
        patient, study = f"{i:016x}", f"{i + 4096:016x}"
        bright = bool(rng.integers(2))
        split = ("train", "train", "test", "train", "train", "val")[i % 6]
        assignment[patient] = (split, i % 5)
        wording = SENTENCES[bright][int(rng.integers(2))]
        records = []
        for view, number in (("sax", 0), ("4ch", 0), ("2ch", 0))[:cines]:
            cine = rng.integers(0, 60, (contract.frames, size, size)) + 120 * bright
            example = {
                "cine": cine.astype(np.uint8),
                "view": view,
                "slice_index": number,
                "slice_position_mm": 0.0,
                "gap_mm": 0.0,
                "trigger_times_ms": np.arange(contract.frames, dtype=np.float32),
                "spacing_mm": np.full(2, 2, np.float32),
                "original_spacing_mm": np.full(2, 2, np.float32),
                "original_size": np.full(2, size, np.int32),
                "original_frames": contract.frames,
                "origin_mm": np.zeros(3, np.float32),
                "orientation": np.array([1, 0, 0, 0, 1, 0], np.float32),
                "crop_centre": np.full(2, size / 2, np.float32),
                "crop_confidence": 1.0,
                "intensity_window": np.array([0, 255], np.float32),
                "patient_id": patient,
                "study_id": study,
                "series_id": f"{i:08x}{number:08x}",
                "report": f"HISTORY: Dyspnoea. FINDINGS: {wording} IMPRESSION: As above.",
                "labels": {"bright": float(bright), "lvef": 40.0 + 20 * bright},
            }
            if masks:
                drawn = np.zeros(contract.frames, np.uint8)
                drawn[0] = i % 4 > 0
                mask = np.zeros_like(example["cine"])
                mask[0, 4:12, 4:12] = 3 * drawn[0]
                example |= {"mask": mask, "mask_frames": drawn, "mask_classes": 8 * drawn}
            payload = features.serialize_example(example)
            records.append(PackedRecord(payload, study, patient, view, number))
        packed.append((study, records))
    info = {
        "name": "tiny",
        "source": "phantom",
        "public": True,
        "text_source": "report",
        "label_tasks": {"bright": {"kind": "binary"}, "lvef": {"kind": "regression"}},
        "counts": {"patients": patients, "studies": patients, "cines": patients * cines},
        "rejected": {},
        "licence": "made by a test",
    }
    write_dataset(
        directory,
        info=info,
        contract=contract,
        splits=Splits(5, assignment),
        studies=packed,
        shards=2,
    )
    return directory


def tiny_config(dataset: Path, **changes) -> dict:
    """A contrastive run on the tiny dataset: a whole config as plain data."""
    config = {
        "data": {
            "dataset": str(dataset),
            "cines": 2,
            "sentences": 1,
            "statements": 4,
            "clip_frames": 4,
            "max_tokens": 10,
        },
        "steps": 8,
        "batch_size": 8,
        "seed": 3,
        "checkpoint_every": 3,
        "log_every": 1,
        "mesh": {"data": 1},
        "model": {"variant": "N", "tubelet": (4, 8, 8), "joint": 16},
        "text": {"vocabulary_size": 60, "width": 32, "depth": 1, "heads": 2},
        "objective": {"name": "contrastive"},
        "optim": {"learning_rate": 1e-3, "warmup_steps": 2},
        "augment": {},
    }
    return config | changes
