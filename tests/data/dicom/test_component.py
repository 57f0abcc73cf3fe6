import pytest

from cmrjax.data.dicom.component import component_of


@pytest.mark.parametrize(
    ("image_type", "component"),
    [
        ("ORIGINAL/PRIMARY/M/RETRO/NORM/DIS2D", "magnitude"),
        ("ORIGINAL/PRIMARY/OTHER", "magnitude"),
        ("ORIGINAL/PRIMARY/CARDIAC/NONE/MAGNITUDE", "magnitude"),
        ("", "magnitude"),
        ("ORIGINAL/PRIMARY/P/ND", "phase"),
        ("ORIGINAL/PRIMARY/PHASE MAP/P/FFE", "phase"),
        ("DERIVED/PRIMARY/PHASE CONTRAST M/P/PCA", "velocity"),
        ("ORIGINAL/PRIMARY/FLOW_ENCODED/NONE/MAGNITUDE", "velocity"),
        ("ORIGINAL/PRIMARY/VELOCITY/NONE/PHASE", "velocity"),
        ("ORIGINAL/PRIMARY/R_IR/R/IR", "real"),
        ("ORIGINAL/PRIMARY/CARDIAC/NONE/REAL", "real"),
        ("ORIGINAL/PRIMARY/CARDIAC/NONE/IMAGINARY", "imaginary"),
        ("DERIVED/PRIMARY/M/IN_PHASE", "in_phase"),
        ("DERIVED/PRIMARY/OPP_PHASE/M/OTHER", "out_phase"),
        ("ORIGINAL/PRIMARY/OP/OP/FFE", "out_phase"),
        ("DERIVED/PRIMARY/DIXON/WATER", "water"),
        ("DERIVED/PRIMARY/M/NORM/FAT", "fat"),
        ("derived/primary/mpr", "reformat"),
        ("DERIVED/PRIMARY/PROJECTION IMAGE", "reformat"),
        ("ORIGINAL/PRIMARY/M/MEAN", "magnitude"),
    ],
)
def test_what_vendors_write(image_type, component):
    assert component_of(image_type.split("/")) == component
