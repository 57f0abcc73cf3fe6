"""What the page takes of an attention evaluation: its newest step, whole pairs of pictures."""

import io
from base64 import b64decode

from PIL import Image

from cmrjax.reporting import seen
from cmrjax.reporting.seen import seen_cines


def picture(kind: str, width: int = 1400) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, 20), "red").save(out, kind)
    return out.getvalue()


def evaluation(workdir, name, step, files):
    folder = workdir / "evals" / name / str(step)
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("[]")
    for file in files:
        (folder / file).write_bytes(picture("PNG" if file.endswith("png") else "WEBP"))


def pair(stem):
    return (f"{stem}.png", f"{stem}.webp")


def test_the_newest_step_of_each_attention_folder(tmp_path):
    evaluation(tmp_path, "attention", 9, pair("00000000deadbeef_sax"))
    evaluation(tmp_path, "attention", 10, pair("11111111deadbeef_4ch"))
    evaluation(tmp_path, "attention_acdc", 9, pair("22222222deadbeef_sax"))
    evaluation(tmp_path, "linear_probe", 9, ("roc.png",))
    found = seen_cines(tmp_path)
    assert [(s.name, s.view, s.step) for s in found] == [
        ("11111111", "4ch", 10),
        ("22222222", "sax", 9),
    ]
    address, content = found[0].sheet.split(",")
    assert address == "data:image/webp;base64"
    assert Image.open(io.BytesIO(b64decode(content))).size[0] == 1000


def test_what_is_not_a_whole_pair_is_left_out(tmp_path):
    names = ("00000000_sax.png", "roc.png", "roc.webp", "11111111_sax.webp")
    evaluation(tmp_path, "attention", 9, names)
    (tmp_path / "evals" / "attention" / ".9.1.tmp").mkdir()
    assert seen_cines(tmp_path) == []


def test_a_page_shows_only_so_many(tmp_path):
    evaluation(tmp_path, "attention", 9, sum((pair(f"{i:08x}_sax") for i in range(11)), ()))
    assert len(seen_cines(tmp_path)) == seen.MAX_SHOWN


def test_a_run_without_such_an_evaluation(tmp_path):
    assert seen_cines(tmp_path) == []
