import pickle
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cmrjax import verify
from cmrjax.cli import run
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.data import tfrecord
from cmrjax.data.records import INDEX_FILE, RecordSource, load_index, shard_paths, studies
from tests.data.builders import write_small_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "dataset"
    write_small_dataset(folder)
    return folder


@pytest.fixture
def copy(dataset, tmp_path):
    return shutil.copytree(dataset, tmp_path / "dataset")


def test_a_record_comes_back_as_written(dataset):
    source = RecordSource(dataset)
    record = source[0]
    assert len(source) == 24
    assert record["cine"].shape == (4, 16, 16)
    assert record["cine"].dtype == np.uint8
    assert record["report"].startswith("Findings: Kammergröße")
    assert record["labels"]["finding"] == 1.0
    assert np.isnan(record["labels"]["lvef"])
    assert record["slice_index"] == source.index.slice_index[0]


def test_rows_choose_and_order_records(dataset):
    whole, some = RecordSource(dataset), RecordSource(dataset, rows=np.array([5, 2]))
    assert len(some) == 2
    assert some[0]["study_id"] == whole[5]["study_id"]
    assert some[1]["study_id"] == whole[2]["study_id"]


def test_source_survives_pickling(dataset):
    source = RecordSource(dataset)
    before = source[3]["cine"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[3]["cine"], before)


def test_index_is_rebuilt_when_missing_or_broken(copy):
    stored = load_index(copy)
    for broken in (None, b"not a zip file"):
        (copy / INDEX_FILE).unlink()
        if broken:
            (copy / INDEX_FILE).write_bytes(broken)
        rebuilt = load_index(copy)
        for name, column in vars(stored).items():
            np.testing.assert_array_equal(getattr(rebuilt, name), column)
        assert (copy / INDEX_FILE).is_file()


def test_studies_are_grouped_and_sorted(dataset):
    source = RecordSource(dataset)
    grouped = studies(source.index)
    assert [s.study_id for s in grouped] == sorted(s.study_id for s in grouped)
    assert all(len(s.rows) == 2 and s.views == ("sax", "sax") for s in grouped)
    assert [int(source.index.slice_index[r]) for r in grouped[0].rows] == [0, 1]
    mine = source.splits.patients("train")
    assert {s.patient_id for s in studies(source.index, mine)} == mine


def test_tfds_opens_the_directory_and_its_features_decode_our_records(dataset):
    builder = tfds.builder_from_directory(str(dataset))
    source = RecordSource(dataset)
    assert builder.info.splits["cines"].num_examples == len(source)
    decoded = builder.info.features.deserialize_example_np(source.payload(7))
    np.testing.assert_array_equal(decoded["cine"], source[7]["cine"])
    names = sorted(p.name for p in shard_paths(dataset))
    assert sorted(builder.info.splits["cines"].filenames) == names


def test_every_flipped_byte_of_a_record_is_found(copy):
    """Each byte of the framing and of the payload's ends, and some of its inside."""
    path, index = shard_paths(copy)[0], load_index(copy)
    whole = path.read_bytes()
    at, length = int(index.offset[1]), int(index.length[1])
    framing = [*range(at, at + 20), *range(at + 12 + length - 4, at + 16 + length)]
    inside = np.random.default_rng(1).integers(at + 12, at + 12 + length, 40).tolist()
    for position in (*framing, *inside):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        with pytest.raises(CorruptDataError, match=rf"{path.name}, record 1: "):
            RecordSource(copy)[1]
        _, wrong = verify.verify_dataset(copy)
        assert len(wrong) == 1
        assert f"{path.name}, record 1" in wrong[0]


@pytest.mark.parametrize("cut", [1, 3000])
def test_a_truncated_shard_is_found(copy, cut):
    path = shard_paths(copy)[1]
    path.write_bytes(path.read_bytes()[:-cut])
    source = RecordSource(copy)
    with pytest.raises(CorruptDataError, match=path.name):
        list(map(source.__getitem__, range(len(source))))
    with pytest.raises(CorruptDataError, match=path.name) as caught:
        verify.main([str(copy)])
    assert caught.value.exit_code == 3


def test_records_that_are_lost_or_added_are_found(copy):
    path = shard_paths(copy)[0]
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: load_index(copy).offset[1]])
    assert "records where" in verify.verify_dataset(copy)[1][0]


def test_missing_shard_and_missing_dataset(copy, tmp_path, capsys):
    verify.main([str(copy)])
    assert "24 records, all whole" in capsys.readouterr().out
    shard_paths(copy)[0].unlink()
    with pytest.raises(CorruptDataError, match="shard is missing"):
        RecordSource(copy)[0]
    assert "missing" in verify.verify_dataset(copy)[1][0]
    with pytest.raises(UserError, match="not a dataset"):
        RecordSource(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no dataset, no workdir"):
        verify.main([str(tmp_path)])


DESCRIBING = ("contract", "dataset", "dataset_info", "features", "manifest", "splits")


@pytest.mark.parametrize("name", [*(f"{name}.json" for name in DESCRIBING), "series.jsonl"])
def test_whatever_describes_the_records_and_was_changed_is_damage(copy, name, capsys):
    path = copy / name
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    last_line = whole[: whole.rstrip().rfind(b"\n") + 1]
    for content in (flipped, last_line, whole[:middle], b"", None):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        assert run("verify", [str(copy)]) == 3
        # Of a hash that was changed nobody can tell whether it or its file is wrong.
        assert name in capsys.readouterr().err or name == "manifest.json"
    path.write_bytes(whole)
    assert run("verify", [str(copy)]) == 0


def test_a_patient_moved_to_another_split_is_damage(copy, capsys):
    path = copy / "splits.json"
    text = path.read_text()
    path.write_text(text.replace('"test"', '"train"', 1))
    assert path.read_text() != text
    assert run("verify", [str(copy)]) == 3
    assert "splits.json: is missing, or is not what prepare wrote" in capsys.readouterr().err


def test_masked_crc_of_the_standard_vector():
    # RFC 3720: 32 zero bytes have CRC32C 0x8a9136aa.
    crc = 0x8A9136AA
    assert tfrecord.masked_crc(bytes(32)) == (
        (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    )
