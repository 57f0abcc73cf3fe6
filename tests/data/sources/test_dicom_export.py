"""Which files of an export are looked at."""

from cmrjax.data.sources.dicom_export import group_studies, list_files


def test_every_file_is_listed_once_and_links_are_counted_not_followed(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "a.dcm").write_bytes(b"1")
    (tmp_path / "b" / "deep" / "c").write_bytes(b"2")
    (tmp_path / "b" / "link.dcm").symlink_to(tmp_path / "a.dcm")
    (tmp_path / "b" / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "b" / "round").symlink_to(tmp_path)  # a folder again: neither listed nor followed
    paths, left_out = list_files(tmp_path)
    assert paths == [str(tmp_path / "a.dcm"), str(tmp_path / "b" / "deep" / "c")]
    assert left_out == {"file.link": 2}
    assert list_files(tmp_path / "a.dcm") == ([str(tmp_path / "a.dcm")], {})


def test_a_study_keeps_all_its_accession_numbers():
    found = [("1.2", "A2", "b"), ("1.2", "", "c"), ("1.2", "A1", "a"), ("1.1", "", "d")]
    assert group_studies(found) == {"1.1": ((), ("d",)), "1.2": (("A1", "A2"), ("a", "b", "c"))}
