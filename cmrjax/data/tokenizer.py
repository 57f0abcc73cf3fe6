"""WordPiece over radiology sentences (the `tokenizers` library), given or trained on site.

A tokenizer says by itself what it puts around a sentence: ours [CLS] before it, BERT's [CLS] before
and [SEP] after.
"""

import json
import string
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from cmrjax.core.errors import UserError
from cmrjax.core.types import PAD_ID
from cmrjax.core.writer import write_bytes_atomic

# A word that fewer patients share may itself identify one of them.
MIN_PATIENTS = 5
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TOKENIZER_FILE = "tokenizer.json"
# What transformers writes beside a vocabulary; says whether the letters' case was kept.
_SETTINGS_FILE = "tokenizer_config.json"
# Known whatever the reports hold, so that a prompt is never made of unknown pieces.
_LETTERS = string.ascii_lowercase + string.digits + "%.,:;()/<>=+-"


def _empty(vocabulary: dict[str, int] | None = None) -> Tokenizer:
    model = models.WordPiece(vocabulary or {}, unk_token="[UNK]", max_input_chars_per_word=40)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        # Digits one by one: "EF 43 %" and "EF 44 %" then share all but one token.
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.WordPiece()
    if vocabulary:
        _surround(tokenizer, "[CLS] $A")
    return tokenizer


def _surround(tokenizer: Tokenizer, template: str) -> None:
    """Puts special tokens around every sentence."""
    named = [word for word in template.split() if word != "$A"]
    tokens = [(token, tokenizer.token_to_id(token)) for token in named]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=tokens)


def train_tokenizer(
    sentences: Iterable[tuple[str, str]], *, vocabulary_size: int, min_patients: int = MIN_PATIENTS
) -> Tokenizer:
    """Trains a WordPiece vocabulary on the words that enough patients share.

    Args:
        sentences: `(patient id, de-identified sentence)` of training patients alone.
        vocabulary_size: largest number of tokens; all letters are in it whatever this says.
        min_patients: a word seen in the reports of fewer patients does not enter.

    Raises:
        UserError: no word is shared by `min_patients` patients; says whether there is no text, or
            that of too few.
    """
    tokenizer = _empty()
    patients: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for patient, sentence in sentences:
        for word in words(tokenizer, sentence):
            patients[word].add(patient)
            counts[word] += 1
    kept = sorted(word for word in counts if len(patients[word]) >= min_patients)
    if not kept:
        raise _no_words(len(set().union(*patients.values())), min_patients)
    # The trainer numbers letters in the order of a hash table, and breaks ties by number. Named
    # beforehand in sorted order, they leave it nothing to choose: equal text, equal vocabulary.
    letters = sorted({*_LETTERS, *(letter for word in kept for letter in word)})
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[*SPECIAL, *letters, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    tokenizer.train_from_iterator((word for word in kept for _ in range(counts[word])), trainer)
    return _empty(tokenizer.get_vocab())


def _no_words(patients: int, needed: int) -> UserError:
    """Why no vocabulary can be made of the text of so many patients."""
    if not patients:
        return UserError(
            "no training patient has a report with text in the sections that are read",
            where="tokenizer",
            fix="prepare the dataset with --reports, or name other config.data.report_sections",
        )
    if patients < needed:
        who = "1 training patient has" if patients == 1 else f"{patients} training patients have"
        problem = f"only {who} a report, and a word enters the "
        problem += f"vocabulary when {needed} share it"
    else:
        problem = f"none of the {patients} training patients' words is shared by {needed} of them"
    return UserError(
        problem, where="tokenizer", fix="prepare more patients, or give config.text.vocabulary"
    )


def words(tokenizer: Tokenizer, sentence: str) -> list[str]:
    """The normalised words of a sentence, before they are cut into pieces."""
    normal = tokenizer.normalizer.normalize_str(sentence)  # type: ignore[union-attr]
    return [w for w, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]  # type: ignore[union-attr]


def from_vocabulary(path: Path, *, lowercase: bool = True) -> Tokenizer:
    """A tokenizer that cuts text exactly as Hugging Face's `BertTokenizer` does.

    Args:
        path: BERT's `vocab.txt`, one token a line, its number the line's; or a `tokenizer.json`,
            which says all by itself.
        lowercase: of a `vocab.txt`: fold case and strip accents, as the "uncased" ones want it.

    Raises:
        UserError: the file is missing; its first token is not [PAD]; [UNK], [CLS] or [SEP] is
            missing; or the tokenizer_config.json beside it says otherwise of the case.
    """
    if not path.is_file():
        raise UserError(
            "no such vocabulary file", where=path.name, fix="check config.text.vocabulary"
        )
    if path.suffix == ".json":
        tokenizer = _read(path)
        _require_tokens(tokenizer.get_vocab(), ("[CLS]",), path.name)
        return tokenizer
    # Lines end with \n alone: U+2028, where str.splitlines() would cut, is a token of some.
    lines = path.read_bytes().decode("utf-8", "replace").removesuffix("\n").split("\n")
    vocabulary = {token.removesuffix("\r"): i for i, token in enumerate(lines)}
    _require_tokens(vocabulary, ("[UNK]", "[CLS]", "[SEP]"), path.name)
    _require_case(path.with_name(_SETTINGS_FILE), lowercase)
    model = models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([token for token in SPECIAL if token in vocabulary])
    _surround(tokenizer, "[CLS] $A [SEP]")
    return tokenizer


def beside_weights(folder: Path) -> Tokenizer | None:
    """The tokenizer in a folder of weights as Hugging Face lays it out; None without one.

    Raises:
        UserError: a file is not readable, or no BERT tokenizer.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return from_vocabulary(folder / TOKENIZER_FILE)
    if (folder / "vocab.txt").is_file():
        lowercase = _said_case(folder / _SETTINGS_FILE)
        return from_vocabulary(folder / "vocab.txt", lowercase=lowercase is not False)
    return None


def _require_tokens(vocabulary: Mapping[str, int], needed: tuple[str, ...], where: str) -> None:
    if vocabulary.get(SPECIAL[0]) != PAD_ID:
        raise UserError("the first token is not [PAD]", where=where, fix="give a BERT vocab.txt")
    if missing := [token for token in needed if token not in vocabulary]:
        raise UserError(f"it has no {', '.join(missing)}", where=where, fix="give a BERT vocab.txt")


def _require_case(settings: Path, lowercase: bool) -> None:
    said = _said_case(settings)
    if said is not None and said is not lowercase:
        raise UserError(
            f"lowercase is {lowercase}, but do_lower_case is {said}",
            where=settings.name,
            fix="set config.text.lowercase as the vocabulary was made",
        )


def _said_case(settings: Path) -> bool | None:
    """What tokenizer_config.json says; None where it says nothing."""
    try:
        return json.loads(settings.read_text(encoding="utf-8")).get("do_lower_case")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError):
        raise UserError("not readable JSON", where=settings.name) from None


def save_tokenizer(workdir: Path, tokenizer: Tokenizer) -> None:
    """Writes `tokenizer.json` into a workdir."""
    write_bytes_atomic(workdir / TOKENIZER_FILE, tokenizer.to_str(pretty=True).encode())


def load_tokenizer(workdir: Path) -> Tokenizer:
    """Reads `tokenizer.json` of a workdir.

    Raises:
        UserError: it is missing or is not a tokenizer.
    """
    return _read(workdir / TOKENIZER_FILE)


def _read(path: Path) -> Tokenizer:
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises a bare Exception
        raise UserError("cannot read the tokenizer", where=path.name) from error
    # `encode` cuts and pads by itself, to the model's own length.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if tokenizer.post_processor is None and tokenizer.token_to_id("[CLS]") is not None:
        _surround(tokenizer, "[CLS] $A")  # written before a tokenizer said it by itself
    return tokenizer


def encode(tokenizer: Tokenizer, sentences: Sequence[str], *, max_tokens: int) -> np.ndarray:
    """Turns sentences into ids: the pieces between special tokens, cut or padded to `max_tokens`.

    Returns:
        int32 `[n, max_tokens]`.
    """
    room = max(max_tokens - tokenizer.num_special_tokens_to_add(is_pair=False), 0)
    ids = np.full((len(sentences), max_tokens), PAD_ID, np.int32)
    encoded = tokenizer.encode_batch(list(sentences), add_special_tokens=False)
    for row, encoding in zip(ids, encoded, strict=True):
        # Cut by hand: `enable_truncation` would change a tokenizer that other threads use.
        encoding.truncate(room)
        pieces = tokenizer.post_process(encoding).ids[:max_tokens]
        row[: len(pieces)] = pieces
    return ids
