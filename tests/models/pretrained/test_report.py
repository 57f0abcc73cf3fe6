"""The load report: a line for what differs, equal layers as one, and patterns that are enough."""

import pytest

from cmrjax.models.pretrained.report import LoadError, LoadReport, Row


def row(path="", key="", layer=None, note="") -> Row:
    return Row(path=path, layer=layer, shape=(2, 3), keys=(key,), shapes=((3, 2),), note=note)


TAKEN = tuple(row("blocks/up/kernel", f"encoder.{i}.up.weight", layer=i) for i in range(3))


def report(**changes) -> LoadReport:
    return LoadReport(**{"layout": "vit", "where": "w", "taken": TAKEN} | changes)


def refused(**changes) -> LoadError:
    with pytest.raises(LoadError) as found:
        report(**changes).require(allow_missing=(), allow_unexpected=())
    assert "\n" not in str(found.value)
    return found.value


def test_equal_layers_are_one_line_and_a_layer_alone_is_named():
    missing = (row("blocks/down/kernel", "encoder.1.down.weight", layer=1, note="not (4, 2)"),)
    table = report(missing=missing).table().splitlines()
    assert table == [
        "w as vit: 3 taken, 0 resampled, 1 missing, 0 unexpected",
        "  taken       blocks/up/kernel (2, 3) <- encoder.*.up.weight (3, 2) x 3 layers",
        "  missing     blocks/down/kernel[1] (2, 3) <- encoder.1.down.weight (3, 2) (not (4, 2))",
    ]


def test_a_tensor_that_is_not_there_has_no_shape():
    absent = Row(path="norm/scale", shape=(3,), keys=("norm.weight",), shapes=(None,))
    assert absent.text() == "norm/scale (3,) <- norm.weight not in the source"


def test_the_patterns_of_a_refusal_allow_what_is_unexpected_and_nothing_that_is_taken():
    names = ("pooler.dense.weight", "pooler.dense.bias", "encoder.mask", "encoder.3.up.weight")
    error = refused(unexpected=tuple(row(key=name) for name in names))
    assert error.unexpected == ("pooler.*", "encoder.mask", "encoder.3.*")
    allowed = report(unexpected=tuple(row(key=name) for name in names))
    allowed.require(allow_missing=(), allow_unexpected=error.unexpected)


def test_what_is_missing_is_named_by_path_whatever_its_layer():
    rows = tuple(row("blocks/down/kernel", f"encoder.{i}.down.weight", layer=i) for i in range(2))
    error = refused(missing=(*rows, row("norm/scale", "norm.weight"), row("norm/bias", "norm.b")))
    assert error.missing == ("blocks/down/*", "norm/*")
    assert "--allow-missing 'blocks/down/*' 'norm/*'" in str(error)


def test_many_names_are_cut_in_the_line_and_whole_in_the_table():
    error = refused(unexpected=tuple(row(key=f"part{i}.weight") for i in range(20)))
    assert "and 12 more" in str(error)
    assert "part19.weight" in error.report.table()


def test_a_network_of_another_kind_cannot_be_allowed():
    error = refused(differences=("heads 4 in the source, 8 asked for",))
    assert str(error).endswith("use the model that the source holds")
    assert "differs     heads 4" in error.report.table()
