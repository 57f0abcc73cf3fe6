import json
import re
import shutil

import pytest
from PIL import Image

from cmrjax import inspect
from cmrjax.core.errors import UserError
from cmrjax.data.card import data_card
from cmrjax.data.records import RecordSource
from tests.data.builders import write_small_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspect") / "dataset"
    write_small_dataset(folder)
    return folder


def test_json_card(dataset, capsys):
    assert inspect.main([str(dataset), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["studies"], card["patients"], card["cines"]) == (12, 12, 24)
    assert card["by_view"] == {"sax": 24}
    assert card["by_source"] == {"dicom": 12}
    assert card["labels"]["finding"] == {"kind": "binary", "known": 12, "positive": 12}
    assert card["labels"]["lvef"] == {"kind": "regression", "known": 0}
    assert sum(card["splits"][s]["patients"] for s in ("train", "val", "test")) == 12
    assert sum(card["splits"]["folds"]) == 12
    assert card["contract"]["size"] == 16
    assert {"rejected", "series"} <= card.keys()


def test_text_and_pages(dataset, tmp_path, capsys):
    inspect.main([str(dataset), "--output", str(tmp_path / "card.html")])
    inspect.main([str(dataset), "--output", str(tmp_path / "sheet.png")])
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        f"cmrjax inspect: wrote {tmp_path / n}" for n in ("card.html", "sheet.png")
    ]
    assert "12 patients, 12 studies, 24 cines" in out
    assert re.search(r"finding +binary +known 12, positive 12\n", out)
    assert re.search(r"lvef +regression +known 0\n", out)
    page = (tmp_path / "card.html").read_text()
    assert "data:image/webp;base64," in page
    assert "http:" not in page
    assert "https:" not in page
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.format, sheet.mode) == ("PNG", "RGB")


def test_reasons_are_explained(dataset):
    card = data_card(RecordSource(dataset)) | {"rejected": {"cine.one_phase": 3}}
    assert re.search(r"cine\.one_phase +3  a single image, no cine\n", inspect.as_text(card))


def test_nothing_of_a_dataset_reaches_the_terminal_as_a_control_character(dataset, tmp_path):
    card = data_card(RecordSource(dataset))
    label = {"kind": "multiclass", "known": 3, "classes": {"DCM\x1b[31m": 3}}
    text = inspect.as_text(card | {"name": "a\x1b]0;b\x07\nc", "labels": {"x\x9b2J": label}})
    assert all(c.isprintable() or c == "\n" for c in text)
    assert r"DCM\x1b[31m 3" in text
    assert text.startswith(r"a\x1b]0;b\x07 c: 12 patients")


@pytest.mark.parametrize(
    "tasks",
    [
        {"a\x1b[1m": {"kind": "binary"}},
        {"group": {"kind": "multiclass", "classes": ["NOR", "SECRET\x07"]}},
    ],
)
def test_names_with_control_characters_are_refused(dataset, tmp_path, tasks):
    copy = shutil.copytree(dataset, tmp_path / "copy")
    info = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps(info | {"label_tasks": tasks}))
    with pytest.raises(UserError, match="task or class has a control character") as caught:
        inspect.main([str(copy)])
    assert "SECRET" not in str(caught.value)


def test_what_found_no_partner_is_counted(dataset):
    counts = {"reports_without_study": 3, "ids_of_several_people": 2, "labels_without_study": 0}
    card = data_card(RecordSource(dataset)) | {"counts": counts}
    text = inspect.as_text(card)
    assert re.search(r"^reports and tables\n  reports without a study +3  their key", text, re.M)
    assert re.search(r"^patients\n  patient ids of several people +2  by name", text, re.M)
    assert "labels without a study" not in text


def test_refusals(dataset, tmp_path):
    with pytest.raises(UserError, match="html or"):
        inspect.main([str(dataset), "--output", str(tmp_path / "x.pdf")])
    with pytest.raises(UserError, match="not a dataset"):
        inspect.main([str(tmp_path)])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written: File exists"):
        inspect.main([str(dataset), "--output", str(tmp_path / "file" / "card.html")])
