from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from patclass.errors import ModelError
from patclass.model.base import resolve_base
from patclass.model.tokenizer import TextTokenizer

TEXT = "A device with antenna circuit voltage inductor gate amplifier signal electrode."


def test_truncation_and_padding_in_the_file_are_not_trusted(tiny_bert: Path):
    rows = TextTokenizer.load(tiny_bert, 64).encode([TEXT, "soil"])
    assert len(rows[0]) > 8
    assert len(rows[1]) < 8


def test_text_is_cut_at_the_limit_with_its_special_tokens(tiny_bert: Path):
    (row,) = TextTokenizer.load(tiny_bert, 10).encode([TEXT])
    assert len(row) == 10
    assert (row[0], row[-1]) == (2, 3)


def test_a_tokenizer_without_padding_token_uses_a_reserved_one_that_exists(tiny_llama: Path):
    tokenizer = TextTokenizer.load(tiny_llama, 64)
    assert tokenizer.pad_id == 2  # <|finetune_right_pad_id|>, as in Llama 3.2


def test_a_tokenizer_without_any_special_token_pads_with_an_existing_id():
    plain = Tokenizer(models.WordLevel({"soil": 0, "seed": 1}, unk_token="soil"))
    assert TextTokenizer(plain, 8).pad_id == 0


def test_rows_are_padded_to_the_longest_and_masked(tiny_llama: Path):
    tokenizer = TextTokenizer.load(tiny_llama, 64)
    batch = tokenizer.pad([[5, 6, 7], [8]])
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, tokenizer.pad_id, tokenizer.pad_id]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_saved_tokenizer_encodes_alike(tiny_base: Path, tmp_path: Path):
    tokenizer = TextTokenizer.load(tiny_base, 32)
    tokenizer.save(tmp_path)
    assert TextTokenizer.load(tmp_path, 32).encode([TEXT]) == tokenizer.encode([TEXT])


def test_characters_are_capped_before_the_tokenizer_sees_them():
    tokenizer = TextTokenizer.load(resolve_base("minilm").folder, 256)
    capped = tokenizer.encode(["." * 256 * 20])
    assert tokenizer.encode(["." * 900_000]) == capped


def test_a_broken_file_is_named(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        TextTokenizer.load(tmp_path, 8)
