"""The vocabulary: equal for equal text, nothing that one patient alone wrote, typed refusals."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.data import tokenizer as wordpiece

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "hf" / "tokenizer"
COMMON = ("The left ventricle is dilated.", "LVEF is 35 %.", "No pericardial effusion.")


def corpus(patients: int = 8):
    """Every patient has the common sentences; one says a name often, four a rare word."""
    for i in range(patients):
        for sentence in COMMON:
            yield f"p{i}", sentence
    for _ in range(50):
        yield "p0", "Zylberstajn was seen by Zylberstajn."
    for i in range(4):
        yield f"p{i}", "Quokka quokka quokka."
    for i in range(5):
        yield f"p{i}", "Thrombus thrombus."
        yield f"p{i}", "αβγδεζηθ ικλμνξοπ бвгджзик."  # letters that are not named beforehand


def train(**changes):
    return wordpiece.train_tokenizer(corpus(), **{"vocabulary_size": 500} | changes)


def test_two_trainings_give_the_same_bytes():
    assert train().to_str() == train().to_str()
    backwards = wordpiece.train_tokenizer(reversed(list(corpus())), vocabulary_size=500)
    assert backwards.get_vocab() == train().get_vocab()


def test_a_word_that_fewer_than_five_patients_share_is_not_in_the_vocabulary():
    tokens = {token.removeprefix("##") for token in train().get_vocab()}
    assert {"ventricle", "thrombus", "dilated"} <= tokens
    for word in ("zylberstajn", "quokka"):
        # Nor any piece of it longer than the letters that are always there, "was" and "by" apart.
        pieces = {word[i:j] for i in range(len(word)) for j in range(i + 2, len(word) + 1)}
        of_others = {p for p in pieces if any(p in s.lower() for s in (*COMMON, "thrombus"))}
        assert not (pieces - of_others) & tokens
    assert "quokka" in train(min_patients=4).get_vocab()


def test_a_rare_word_is_still_spelt_without_unknown_tokens():
    tokenizer = train()
    for sentence in ("Zylberstajn", "LVEF 61 %, 12.5 mm (>= 10)"):
        ids = wordpiece.encode(tokenizer, [sentence], max_tokens=40)[0]
        assert tokenizer.token_to_id("[UNK]") not in ids


def test_the_vocabulary_is_no_larger_than_asked_and_starts_with_padding():
    tokenizer = train(vocabulary_size=180)
    assert tokenizer.get_vocab_size() == 180
    assert [tokenizer.id_to_token(i) for i in range(5)] == list(wordpiece.SPECIAL)


def test_sentences_become_ids_with_a_start_cut_and_padded():
    tokenizer = train()
    word = tokenizer.token_to_id
    ids = wordpiece.encode(tokenizer, ["LVEF is 35 %.", "No effusion", ""], max_tokens=6)
    start = word("[CLS]")
    # Lower case, digits one by one; the full stop is the seventh token and is cut.
    expected = [start, *(word(w) for w in ("lvef", "is", "3", "5", "%"))]
    assert ids[0].tolist() == expected
    assert ids[1].tolist() == [start, word("no"), word("effusion"), 0, 0, 0]
    assert ids[2].tolist() == [start, 0, 0, 0, 0, 0]
    assert ids.dtype == np.int32
    assert wordpiece.encode(tokenizer, [], max_tokens=6).shape == (0, 6)


@pytest.mark.parametrize(
    ("patients", "says"),
    [
        (0, "no training patient has a report .*--reports"),
        (1, "only 1 training patient has a report, .* when 5 share it.*more patients"),
        (4, "only 4 training patients have a report, .* when 5 share it.*more patients"),
        (6, "none of the 6 training patients' words is shared by 5 of them.*vocabulary"),
    ],
)
def test_text_without_shared_words_is_refused_with_what_is_true(patients, says):
    sentences = [(f"p{i}", f"Alone{'abcdef'[i]} here{'abcdef'[i]}") for i in range(patients)]
    if patients == 4:  # all alike, and still too few
        sentences = [(f"p{i}", "No effusion.") for i in range(patients)] * 9
    with pytest.raises(UserError) as caught:
        wordpiece.train_tokenizer(sentences, vocabulary_size=100)
    assert re.search(says, str(caught.value)), str(caught.value)
    assert ("--reports" in str(caught.value)) == (patients == 0)


def test_a_saved_tokenizer_comes_back(tmp_path):
    tokenizer = train()
    wordpiece.save_tokenizer(tmp_path, tokenizer)
    again = wordpiece.load_tokenizer(tmp_path)
    assert again.get_vocab() == tokenizer.get_vocab()
    for one, other in zip(
        wordpiece.encode(tokenizer, list(COMMON), max_tokens=9),
        wordpiece.encode(again, list(COMMON), max_tokens=9),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_a_workdir_without_a_readable_tokenizer_is_the_users_error(tmp_path):
    for content in (None, "", "{}", '{"model": 1}'):
        if content is not None:
            (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(UserError, match=r"tokenizer\.json: cannot read"):
            wordpiece.load_tokenizer(tmp_path)


def vocabulary(tmp_path, *tokens):
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    return path


def test_a_given_vocabulary_numbers_its_lines(tmp_path):
    # The line separator is a token of its own line in some published vocabularies.
    path = vocabulary(
        tmp_path, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2028", "dilated", "ven", "##tricle"
    )
    tokenizer = wordpiece.from_vocabulary(path)
    assert tokenizer.get_vocab_size() == 8
    ids = wordpiece.encode(tokenizer, ["Dilated ventricle", "quokka"], max_tokens=6)
    assert ids.tolist() == [[2, 5, 6, 7, 3, 0], [2, 1, 3, 0, 0, 0]]


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_given_vocabulary_cuts_text_as_transformers_does(lowercase):
    tokenizer = wordpiece.from_vocabulary(GOLDEN / "vocab.txt", lowercase=lowercase)
    rows = json.loads((GOLDEN / "expected.json").read_text())
    rows = [row for row in rows if row["lowercase"] is lowercase]
    assert len(rows) > 10
    sentences = [row["text"] for row in rows]
    for name, length in (("ids", 24), ("first_6", 6)):
        expected = [row[name] + [0] * (length - len(row[name])) for row in rows]
        found = wordpiece.encode(tokenizer, sentences, max_tokens=length).tolist()
        for sentence, ours, theirs in zip(sentences, found, expected, strict=True):
            assert ours == theirs, sentence


def test_a_given_vocabulary_comes_back_from_a_workdir_and_by_its_file(tmp_path):
    tokenizer = wordpiece.from_vocabulary(GOLDEN / "vocab.txt")
    wordpiece.save_tokenizer(tmp_path, tokenizer)
    sentences = [row["text"] for row in json.loads((GOLDEN / "expected.json").read_text())]
    ids = wordpiece.encode(tokenizer, sentences, max_tokens=9)
    for again in (
        wordpiece.load_tokenizer(tmp_path),
        wordpiece.from_vocabulary(tmp_path / "tokenizer.json"),
    ):
        np.testing.assert_array_equal(wordpiece.encode(again, sentences, max_tokens=9), ids)


def test_a_tokenizer_that_pads_and_cuts_by_itself_does_not_do_so_here(tmp_path):
    tokenizer = wordpiece.from_vocabulary(GOLDEN / "vocab.txt")
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=5)
    wordpiece.save_tokenizer(tmp_path, tokenizer)
    again = wordpiece.load_tokenizer(tmp_path)
    ids = wordpiece.encode(again, ["the left ventricle is dilated"], max_tokens=9)[0]
    assert (ids != 0).sum() == 7


def test_a_tokenizer_written_before_it_named_its_special_tokens_still_starts_with_cls(tmp_path):
    tokenizer = train()
    expected = wordpiece.encode(tokenizer, list(COMMON), max_tokens=7)
    old = json.loads(tokenizer.to_str()) | {"post_processor": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(old))
    again = wordpiece.load_tokenizer(tmp_path)
    np.testing.assert_array_equal(wordpiece.encode(again, list(COMMON), max_tokens=7), expected)
    assert (expected[:, 0] == again.token_to_id("[CLS]")).all()


def test_the_case_must_be_what_the_vocabularys_folder_says(tmp_path):
    path = vocabulary(tmp_path, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "The")
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    with pytest.raises(UserError, match="lowercase is True, but do_lower_case is False"):
        wordpiece.from_vocabulary(path)
    cased = wordpiece.from_vocabulary(path, lowercase=False)
    assert wordpiece.encode(cased, ["The"], max_tokens=4).tolist() == [[2, 4, 3, 0]]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ((), "the first token is not"),
        (("the", "[PAD]", "[UNK]", "[CLS]"), "the first token is not"),
        (("[PAD]", "[UNK]", "the"), r"has no \[CLS\]"),
        (("[PAD]", "[CLS]", "the"), r"has no \[UNK\]"),
    ],
)
def test_a_vocabulary_that_is_not_berts_is_refused(tmp_path, tokens, message):
    with pytest.raises(UserError, match=rf"vocab\.txt: .*{message}"):
        wordpiece.from_vocabulary(vocabulary(tmp_path, *tokens))


def test_a_missing_or_binary_vocabulary_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"vocab\.txt: no such vocabulary file"):
        wordpiece.from_vocabulary(tmp_path / "vocab.txt")
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match=r"vocab\.txt: "):
        wordpiece.from_vocabulary(tmp_path / "vocab.txt")
