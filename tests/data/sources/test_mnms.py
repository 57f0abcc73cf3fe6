import numpy as np
import pytest

from cmrjax import cli
from cmrjax.data.masks import HEART, LV, RV, class_bits
from cmrjax.data.sources import mnms
from tests.data.sources.layouts import (
    ED,
    ES,
    SLICES,
    by_case,
    heart,
    prepare,
    renumber,
    save_stack,
    split_of,
    volume_ml,
    write_table,
)

# Where each case lies, and what the table says of it.
CASES = {
    "A0S9V9": ("Training/Labeled", {"Pathology": "HCM", "Vendor": "B", "Sex": "M", "Age": 61}),
    "B1C2D3": ("Training/Labeled", {"Pathology": "NOR", "Vendor": "A", "Sex": "F", "Age": 30}),
    "C3D4E5": ("Training/Unlabeled", {"Pathology": "DCM", "Vendor": "C", "Sex": "", "Age": ""}),
    "A5C2D2": ("Validation", {"Pathology": "Myocarditis", "Vendor": "D", "Sex": "M", "Age": 44}),
    "A1K2P5": ("Testing", {"Pathology": "", "Vendor": "A", "Sex": "F", "Age": 52}),
}
TABLE = "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """M&Ms' own tree; one case is stored with other axes than the rest."""
    folder = tmp_path_factory.mktemp("mnms") / "OpenDataset"
    rows = []
    for i, (code, (where, facts)) in enumerate(CASES.items()):
        images, masks = heart(weak=1 - i / 8)
        drawn = np.zeros_like(masks)
        if "Unlabeled" not in where:
            drawn[:, [ED, ES]] = renumber(masks, mnms.CLASSES)[:, [ED, ES]]
        odd = {"swapped": i == 1, "axes": (1, -1, 1) if i == 1 else (1, 1, 1)}
        save_stack(folder / where / code / f"{code}_sa.nii.gz", images, **odd)
        save_stack(folder / where / code / f"{code}_sa_gt.nii.gz", drawn, **odd)
        rows.append(
            {
                "": i,
                "External code": code,
                "VendorName": "x",
                "Vendor": facts["Vendor"],
                "Centre": 1,
                "ED": ED,
                "ES": ES,
                "Age": facts["Age"],
                "Pathology": facts["Pathology"],
                "Sex": facts["Sex"],
                "Height": 172.0,
                "Weight": "",
            }
        )
    (folder / "Testing" / "._A1K2P5_sa.nii.gz").write_bytes(b"\0\5\x16\7")
    rows.append({**rows[0], "External code": "Z9Z9Z9"})
    write_table(folder / TABLE, rows)
    return folder


@pytest.fixture(scope="module")
def dataset(root, tmp_path_factory):
    words = ("--size", 32, "--frames", 8, "--spacing", 2)
    return prepare("mnms", root, tmp_path_factory.mktemp("out") / "d", *words)


def test_every_case_is_read_in_its_official_part(dataset):
    assert dataset.info["counts"]["patients"] == len(CASES)
    assert dataset.info["rejected"] == {"study.missing": 1}
    assert dataset.info["public"]
    assert dataset.contract.id_namespace == "public:mnms"
    assert [split_of(dataset, code) for code in CASES] == [*["train"] * 3, "val", "test"]


def test_cines_carry_their_masks_at_ed_and_es(dataset):
    records = by_case(dataset, list(CASES))
    for code in ("A0S9V9", "B1C2D3"):
        assert [r["slice_index"] for r in records[code]] == list(range(SLICES))
        middle = records[code][2]
        assert middle["view"] == "sax"
        assert middle["mask_frames"].tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
        assert set(middle["mask_classes"]) == {0, class_bits(HEART)}
        cavity, wall = middle["mask"][ED] == LV, middle["mask"][ED] == 2
        assert middle["cine"][ED][cavity].min() > middle["cine"][ED][wall].max()
        assert (middle["mask"][ES] == LV).sum() < cavity.sum()
        # The right ventricle lies on the left of the image, however the file was stored.
        across = [np.nonzero(middle["mask"][ED] == c)[1].mean() for c in (RV, LV)]
        assert across[0] < across[1]
    assert not any(r["mask_frames"].any() for r in records["C3D4E5"])


def test_labels_come_from_the_table_and_the_masks(dataset):
    records = by_case(dataset, list(CASES))
    first = records["A0S9V9"][0]["labels"]
    masks = heart()[1]
    assert mnms.GROUPS[int(first["group"])] == "HCM"
    assert (first["hcm"], first["nor"], first["male"], first["age"]) == (1, 0, 1, 61)
    assert mnms.VENDORS[int(first["vendor"])] == "B"
    assert first["height"] == 172
    assert np.isnan(first["weight"])
    assert first["lvedv_ml"] == pytest.approx(volume_ml(masks[:, ED], LV), rel=1e-5)
    assert first["rvesv_ml"] == pytest.approx(volume_ml(masks[:, ES], RV), rel=1e-5)
    other, unknown = (records[code][0]["labels"] for code in ("A5C2D2", "A1K2P5"))
    assert mnms.GROUPS[int(other["group"])] == "Other"
    assert np.isnan(unknown["group"])
    unlabelled = records["C3D4E5"][0]["labels"]
    assert mnms.GROUPS[int(unlabelled["group"])] == "DCM"
    assert np.isnan([unlabelled[name] for name in ("lvef", "lvedv_ml", "male", "age")]).all()


def test_two_frames_are_end_diastole_and_end_systole(root, tmp_path):
    dataset = prepare("mnms", root, tmp_path / "d", "--size", 32, "--frames", 2)
    pair = by_case(dataset, ["A0S9V9"])["A0S9V9"][2]
    assert pair["mask_frames"].tolist() == [1, 1]
    assert (pair["mask"] == LV).sum((1, 2)).tolist() == sorted((pair["mask"] == LV).sum((1, 2)))[
        ::-1
    ]
    assert pair["original_frames"] == 2


def test_odd_cases_are_counted(root, tmp_path):
    images, masks = heart()
    table = (root / TABLE).read_text().splitlines()
    for code, ed in (("D1", 0), ("D2", 99), ("D3", 0), ("D4", 0)):
        where = tmp_path / "in" / "Training" / "Labeled" / code
        save_stack(where / f"{code}_sa.nii.gz", images)
        save_stack(where / f"{code}_sa_gt.nii.gz", masks * (code != "D3"))
        if code == "D4":
            (where / f"{code}_sa.nii.gz").write_bytes(b"nothing")
        table.append(f"9,{code},x,A,1,{ed},4,40,NOR,F,170,60")
    (tmp_path / "in" / "t.csv").write_text("\n".join([table[0], *table[-4:], ",,,,,,,,,,,", ""]))
    dataset = prepare("mnms", tmp_path / "in", tmp_path / "d", "--size", 16)
    assert dataset.info["rejected"] == {
        "mask.empty": 1,
        "study.bad_nifti": 1,
        "study.no_phases": 1,
    }
    assert not by_case(dataset, ["D3"])["D3"][0]["mask_frames"].any()


def test_a_cycle_is_never_made_of_two_frames(tmp_path):
    images, masks = heart()
    rows = ["Index,External code,VendorName,Vendor,Centre,ED,ES,Age,Pathology,Sex,Height,Weight"]
    for code, shown in (("E1", [ED, ES]), ("E2", slice(None))):
        where = tmp_path / "in" / "Training" / "Labeled" / code
        save_stack(where / f"{code}_sa.nii.gz", images[:, shown])
        save_stack(where / f"{code}_sa_gt.nii.gz", masks[:, shown])
        rows.append(f"1,{code},x,A,1,0,{1 if code == 'E1' else ES},40,NOR,F,170,60")
    (tmp_path / "in" / "t.csv").write_text("\n".join(rows))
    dataset = prepare("mnms", tmp_path / "in", tmp_path / "d", "--size", 16, "--frames", 8)
    assert dataset.info["rejected"] == {"study.no_4d": 1}
    pairs = prepare("mnms", tmp_path / "in", tmp_path / "pairs", "--size", 16, "--frames", 2)
    assert pairs.info["counts"]["studies"] == 2


def test_another_folder_says_what_it_should_be(root, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = ["prepare", "--source", "mnms", "--output", str(tmp_path / "d"), "--input"]
    for folder in (tmp_path / "empty", root / "Testing" / "A1K2P5"):
        assert cli.main([*words, str(folder)]) == 2
        message = capsys.readouterr().err
        assert "OpenDataset" in message
        assert str(tmp_path) not in message
