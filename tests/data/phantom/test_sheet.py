from PIL import Image

from cmrjax.data.phantom.findings import truth
from cmrjax.data.phantom.scanner import DEMO
from cmrjax.data.phantom.sheet import contact_sheet


def test_contact_sheet_has_a_row_a_patient(tmp_path):
    contact_sheet([truth(0, 0), truth(0, 1)], profile=DEMO, path=tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (8 * 144, 2 * 160)
        low, high = image.convert("L").getextrema()
        assert low == 0
        assert high == 255
