"""The encoding of a text, with words of one token each and with real tokenizers; its batches."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from patclass.core.errors import ModelError
from patclass.model.base import resolve_base
from patclass.model.tokenizer import (
    CHARS_PER_TOKEN,
    HEAD_SHARE,
    MAX_WINDOWS,
    OVERLAP,
    TRUNCATIONS,
    EncodedText,
    TextTokenizer,
    Truncation,
    fill_batches,
    passage_spans,
    scoring_batches,
    training_batches,
    window_spans,
)

quick = settings(deadline=None, max_examples=150)
counts = st.integers(0, 20_000)
# At least eight tokens are encoded, of which two may be special.
rooms = st.integers(6, 2_000)
every_policy = pytest.mark.parametrize("truncation", TRUNCATIONS)

SHORT = "A device with antenna circuit voltage inductor gate amplifier."
LONG = " ".join([SHORT, "Soil, seed and plough; the cow: milking (garment)!"] * 20)
TEXTS = ["", " ", "Soil.", SHORT, LONG, "x" * 3000, "Größe 特許 \U0001f404 " * 50, LONG[:777]]


# Spans


@quick
@example(5_000, 254)
@example(255, 254)
@given(counts, rooms)
def test_windows_overlap_and_cover_every_token(tokens: int, budget: int):
    windows = window_spans(tokens, budget)
    assert windows[0][0] == 0
    assert len(windows) <= MAX_WINDOWS
    for start, end in windows:
        assert end - start == min(tokens, budget)
        assert 0 <= start <= end <= tokens
    for (start, end), (following, _) in pairwise(windows):
        assert start < following < end
    step = round(budget * (1 - OVERLAP))
    if tokens <= budget + (MAX_WINDOWS - 1) * step:
        assert windows[-1][1] == tokens
    else:
        assert len(windows) == MAX_WINDOWS
        assert windows[-1][1] == budget + (MAX_WINDOWS - 1) * step


@quick
@given(rooms, st.data())
def test_consecutive_windows_share_about_a_quarter_except_the_last(
    budget: int, data: st.DataObject
):
    windows = window_spans(data.draw(st.integers(budget + 1, 20_000)), budget)
    shared = [end - following for (_, end), (following, _) in pairwise(windows)]
    assert all(count == budget - round(budget * (1 - OVERLAP)) for count in shared[:-1])
    assert all(count >= budget * OVERLAP - 1 for count in shared)


@pytest.mark.parametrize(
    ("tokens", "budget", "windows"),
    [
        (0, 8, [(0, 0)]),
        (8, 8, [(0, 8)]),
        (9, 8, [(0, 8), (1, 9)]),
        (14, 8, [(0, 8), (6, 14)]),
        (15, 8, [(0, 8), (6, 14), (7, 15)]),
    ],
)
def test_windows_by_hand(tokens: int, budget: int, windows: list[tuple[int, int]]):
    assert window_spans(tokens, budget) == windows


@quick
@given(counts, rooms, st.sampled_from(TRUNCATIONS))
def test_no_passage_exceeds_the_token_budget(tokens: int, budget: int, truncation: Truncation):
    passages = passage_spans(tokens, budget, truncation)
    assert 1 <= len(passages) <= (MAX_WINDOWS if truncation == "windows" else 1)
    for spans in passages:
        assert sum(end - start for start, end in spans) == min(tokens, budget)
        positions = [position for start, end in spans for position in range(start, end)]
        assert positions == sorted(set(positions))
        assert all(0 <= position < tokens for position in positions)


@every_policy
@pytest.mark.parametrize("tokens", [0, 1, 8])
def test_a_short_text_is_one_passage_under_every_policy(truncation: Truncation, tokens: int):
    assert passage_spans(tokens, 8, truncation) == [[(0, tokens)]]


def test_head_and_tail_have_three_quarters_and_the_rest():
    assert passage_spans(100, 8, "head+tail") == [[(0, 6), (98, 100)]]
    assert passage_spans(100, 8, "head") == [[(0, 8)]]
    assert round(254 * HEAD_SHARE) == 190
    assert passage_spans(1000, 254, "head+tail") == [[(0, 190), (936, 1000)]]


# Words that are one token each, without special tokens


def words(max_tokens: int) -> TextTokenizer:
    vocabulary = {"?": 0} | {f"{number:02}": number for number in range(1, 100)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return TextTokenizer(tokenizer, max_tokens)


def numbers(count: int) -> str:
    """``01 02 03 …``: two characters per word, and a space between words."""
    return " ".join(f"{number:02}" for number in range(1, count + 1))


def read(text: str, truncation: Truncation, max_tokens: int = 4) -> EncodedText:
    return words(max_tokens).encode([text], truncation)[0]


def test_the_head_of_a_text_is_encoded():
    encoding = read(numbers(10), "head")
    (passage,) = encoding.passages
    assert passage.ids == (1, 2, 3, 4)
    assert (passage.start, passage.end) == (0, 11)
    assert encoding.share == pytest.approx(12 / 29)  # four words, each with its space


def test_the_head_and_tail_of_a_text_are_encoded():
    encoding = read(numbers(10), "head+tail")
    (passage,) = encoding.passages
    assert passage.ids == (1, 2, 3, 10)
    assert (passage.start, passage.end) == (0, 29)
    assert encoding.share == pytest.approx(11 / 29)  # three words with their spaces, one without


def test_the_windows_of_a_text_are_encoded():
    encoding = read(numbers(10), "windows")
    assert [passage.ids for passage in encoding.passages] == [
        (1, 2, 3, 4),
        (4, 5, 6, 7),
        (7, 8, 9, 10),
    ]
    places = [(passage.start, passage.end) for passage in encoding.passages]
    assert places == [(0, 11), (9, 20), (18, 29)]
    assert encoding.share == 1


def test_the_number_of_windows_is_limited():
    encoding = read(numbers(99), "windows")
    assert len(encoding.passages) == MAX_WINDOWS
    assert encoding.passages[-1].ids == (46, 47, 48, 49)
    assert encoding.share == pytest.approx(49 * 3 / (99 * 3 - 1))


@every_policy
@pytest.mark.parametrize("text", ["", "01", "01 02 03 04", "  01 02  ", "01 02\n"])
def test_a_short_text_is_encoded_completely(truncation: Truncation, text: str):
    encoding = read(text, truncation)
    (passage,) = encoding.passages
    assert encoding.share == 1
    assert text[passage.start : passage.end] == text.strip()


def test_head_and_tail_reach_the_end_of_a_text_of_any_length():
    text = "01 " * 5_000 + "99"
    assert read(text, "head+tail").passages[0].ids == (1, 1, 1, 99)


def test_characters_are_capped_before_the_head_is_cut():
    text = "?" * (4 * CHARS_PER_TOKEN) + " 01 02"
    encoding = read(text, "head")
    assert encoding.passages[0].ids == (0,)
    assert encoding.share == pytest.approx(4 * CHARS_PER_TOKEN / len(text))


# Real tokenizers


@pytest.mark.parametrize("max_tokens", [8, 16, 64])
def test_the_head_policy_equals_encode(tiny_base: Path, max_tokens: int):
    tokenizer = TextTokenizer.load(tiny_base, max_tokens)
    encodings = tokenizer.encode(TEXTS, "head")
    found = [[list(p.ids) for p in encoding.passages] for encoding in encodings]
    assert found == [[ids] for ids in tokenizer.token_ids(TEXTS)]


@every_policy
def test_special_tokens_frame_every_passage(tiny_base: Path, truncation: Truncation):
    tokenizer = TextTokenizer.load(tiny_base, 16)
    (empty,) = tokenizer.token_ids([""])
    before, after = ([2], [3]) if tiny_base.name.startswith("tiny-bert") else ([0], [])
    assert empty == before + after
    for encoding in tokenizer.encode(TEXTS, truncation):
        for passage in encoding.passages:
            assert len(passage.ids) <= 16
            assert list(passage.ids[: len(before)]) == before
            assert list(passage.ids[len(passage.ids) - len(after) :]) == after
            content = passage.ids[len(before) : len(passage.ids) - len(after)]
            assert not set(content) & set(before + after)


@every_policy
def test_offsets_refer_to_the_text(tiny_base: Path, truncation: Truncation):
    tokenizer = TextTokenizer.load(tiny_base, 16)
    names = Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    text = " ".join([SHORT] * 40)  # words that both tokenizers know
    (encoding,) = tokenizer.encode([text], truncation)
    first, last = (1, -2) if tiny_base.name.startswith("tiny-bert") else (1, -1)
    for passage in encoding.passages:
        part = text[passage.start : passage.end]
        start, end = (
            names.id_to_token(passage.ids[n]).removeprefix("##").replace("Ġ", " ")
            for n in (first, last)
        )
        same = str.lower if tiny_base.name.startswith("tiny-bert") else str
        assert same(part).startswith(start)
        assert same(part).endswith(end)


def test_windows_cover_a_long_text_from_end_to_end(tiny_base: Path):
    (encoding,) = TextTokenizer.load(tiny_base, 128).encode([LONG], "windows")
    assert 1 < len(encoding.passages) < MAX_WINDOWS
    assert encoding.share == 1
    assert encoding.passages[0].start == 0
    assert encoding.passages[-1].end == len(LONG)
    for passage, following in pairwise(encoding.passages):
        assert passage.start < following.start < passage.end


def test_the_read_share_grows_with_the_token_budget(tiny_base: Path):
    shares = [
        TextTokenizer.load(tiny_base, size).encode([LONG], "head")[0].share for size in (8, 32, 128)
    ]
    assert 0 < shares[0] < shares[1] < shares[2] < 1
    both = TextTokenizer.load(tiny_base, 32).encode([LONG], "head+tail")[0].share
    assert both == pytest.approx(shares[1], rel=0.25)


def test_encoding_passages_does_not_change_the_limit_of_encode(tiny_base: Path):
    tokenizer = TextTokenizer.load(tiny_base, 16)
    before = tokenizer.token_ids([LONG])
    tokenizer.encode([LONG], "windows")
    assert tokenizer.token_ids([LONG]) == before
    assert len(before[0]) == 16


def test_no_texts_give_no_encodings(tiny_bert: Path):
    assert TextTokenizer.load(tiny_bert, 16).encode([], "windows") == []


@settings(deadline=None, max_examples=80)
@example("a\u0301" * 40, 8, "windows")
@given(st.text(max_size=200), st.sampled_from([8, 12, 300]), st.sampled_from(TRUNCATIONS))
def test_any_text_is_encoded(
    tiny_bert: Path, tiny_llama: Path, text: str, max_tokens: int, truncation: Truncation
):
    for base in (tiny_bert, tiny_llama):
        tokenizer = TextTokenizer.load(base, max_tokens)
        (encoding,) = tokenizer.encode([text], truncation)
        assert 0 <= encoding.share <= 1
        assert 1 <= len(encoding.passages) <= MAX_WINDOWS
        for passage in encoding.passages:
            assert len(passage.ids) <= max_tokens
            assert 0 <= passage.start <= passage.end <= len(text)
        if truncation == "head" or len(tokenizer.token_ids([text])[0]) < max_tokens:
            assert [list(passage.ids) for passage in encoding.passages] == tokenizer.token_ids(
                [text]
            )


@pytest.mark.parametrize("text", ["soil\u200b\u200b", "\u200bsoil", "\x00soil seed\x00"])
def test_dropped_characters_do_not_count_as_unread(tiny_bert: Path, text: str):
    assert TextTokenizer.load(tiny_bert, 16).encode([text], "head")[0].share == 1


TEXT = "A device with antenna circuit voltage inductor gate amplifier signal electrode."


def test_truncation_and_padding_of_the_file_are_ignored(tiny_bert: Path):
    rows = TextTokenizer.load(tiny_bert, 64).token_ids([TEXT, "soil"])
    assert len(rows[0]) > 8
    assert len(rows[1]) < 8


def test_text_is_cut_at_the_limit_with_its_special_tokens(tiny_bert: Path):
    (row,) = TextTokenizer.load(tiny_bert, 10).token_ids([TEXT])
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
    assert TextTokenizer.load(tmp_path, 32).token_ids([TEXT]) == tokenizer.token_ids([TEXT])


def test_characters_are_capped_before_the_tokenizer_sees_them():
    tokenizer = TextTokenizer.load(resolve_base("minilm").folder, 256)
    capped = tokenizer.token_ids(["." * 256 * 20])
    assert tokenizer.token_ids(["." * 900_000]) == capped


def test_a_broken_file_is_named(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        TextTokenizer.load(tmp_path, 8)


lengths_of_rows = st.lists(st.integers(1, 300), max_size=150)
budgets = st.integers(1, 2_000)
seeds = st.integers(0, 2**32 - 1)


def padded_size(lengths: Sequence[int], batch: Sequence[int]) -> int:
    return max(lengths[position] for position in batch) * len(batch)


def check(lengths: Sequence[int], batches: list[list[int]], budget: int) -> None:
    assert sorted(p for batch in batches for p in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or padded_size(lengths, batch) <= budget


def abstracts(rows: int) -> list[int]:
    """Token counts like those of real abstracts: mean near 122, 95 % below 240."""
    draws = np.random.default_rng(0).lognormal(np.log(112), 0.45, rows)
    return [int(length) for length in np.clip(draws, 8, 512)]


def padding_share(lengths: Sequence[int], batches: list[list[int]]) -> float:
    return 1 - sum(lengths) / sum(padded_size(lengths, batch) for batch in batches)


@quick
@given(lengths_of_rows, budgets, seeds)
def test_training_batches_hold_every_row_once_within_the_budget(
    lengths: list[int], budget: int, seed: int
):
    check(lengths, training_batches(lengths, budget, np.random.default_rng(seed)), budget)


@quick
@given(lengths_of_rows, budgets)
def test_scoring_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int):
    check(lengths, scoring_batches(lengths, budget), budget)


@quick
@given(lengths_of_rows, budgets, st.randoms())
def test_batches_keep_the_order_and_are_filled_greedily(
    lengths: list[int], budget: int, random: object
):
    order = list(range(len(lengths)))
    random.shuffle(order)
    batches = fill_batches(lengths, order, budget)
    assert [position for batch in batches for position in batch] == order
    for batch, following in pairwise(batches):
        assert padded_size(lengths, [*batch, following[0]]) > budget


@quick
@given(lengths_of_rows, budgets, seeds)
def test_the_batches_of_an_epoch_depend_on_the_seed_alone(
    lengths: list[int], budget: int, seed: int
):
    first, second = (
        training_batches(lengths, budget, np.random.default_rng(seed)) for _ in range(2)
    )
    assert first == second


def test_the_next_epoch_has_different_batches():
    lengths, rng = abstracts(1_000), np.random.default_rng(0)
    first, second = (
        {frozenset(batch) for batch in training_batches(lengths, 2_048, rng)} for _ in range(2)
    )
    assert len(first & second) < len(first) / 10


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", [512, 2_048, 4_096])
def test_a_training_batch_of_abstracts_has_little_padding(budget: int, seed: int):
    lengths = abstracts(2_000)
    batches = training_batches(lengths, budget, np.random.default_rng(seed))
    assert padding_share(lengths, batches) < 0.08


@pytest.mark.parametrize("budget", [512, 2_048, 4_096])
def test_a_scoring_batch_has_even_less_padding(budget: int):
    lengths = abstracts(2_000)
    assert padding_share(lengths, scoring_batches(lengths, budget)) < 0.03


def test_short_and_long_batches_alternate_in_training():
    lengths = abstracts(2_000)
    batches = training_batches(lengths, 1_024, np.random.default_rng(0))
    longest = [max(lengths[position] for position in batch) for batch in batches]
    assert abs(np.corrcoef(range(len(longest)), longest)[0, 1]) < 0.2


def test_the_first_scoring_batch_holds_the_longest_row():
    lengths = abstracts(300)
    batches = scoring_batches(lengths, 1_024)
    longest = [max(lengths[position] for position in batch) for batch in batches]
    assert longest[0] == max(lengths)
    assert longest == sorted(longest, reverse=True)


def test_a_row_longer_than_the_budget_is_a_batch_of_its_own():
    assert fill_batches([3, 50, 3, 3], [0, 1, 2, 3], 10) == [[0], [1], [2, 3]]


def test_no_rows_give_no_batches():
    assert training_batches([], 10, np.random.default_rng(0)) == []
    assert scoring_batches([], 10) == []
