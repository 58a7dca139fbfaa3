"""Similar patents: found, saved, read back, and none for dissimilar texts."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from patclass.core.errors import ModelError
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.predictor.neighbours import (
    UNLIKE_SHARE,
    Neighbour,
    NeighbourIndex,
    Record,
    build_index,
)

FILE = NeighbourIndex.FILE
TREE = LabelTree.flat(LabelSet.of_codes("AC"))

HIDDEN = 96
TOPICS = 12


def embeddings(count: int, seed: int) -> FloatArray:
    """Embeddings around a dozen topics, like those of a trained model."""
    centres = np.random.default_rng(0).normal(0, 1, (TOPICS, HIDDEN))
    rng = np.random.default_rng(seed)
    smoothing = rng.normal(0, 0.2, (count, HIDDEN))
    return (5 + centres[np.arange(count) % TOPICS] + smoothing).astype(np.float32)


def records(count: int, titles: bool = True) -> list[Record]:
    return [
        Record(f"EP{n}", f"Größe {n}" if titles else None, ("A", f"A{n % TOPICS:02}"))
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def index() -> NeighbourIndex:
    return build_index(embeddings(240, 1), records(240), embeddings(120, 2))


def test_every_patent_is_its_own_nearest_neighbour(index: NeighbourIndex):
    found = index.nearest(embeddings(240, 1), 1)
    assert [near[0].id for near in found] == [f"EP{n}" for n in range(240)]
    assert all(0.98 < near[0].similarity <= 1.01 for near in found)


def test_the_neighbours_of_a_new_text_share_its_topic_and_are_sorted(index: NeighbourIndex):
    for number, near in enumerate(index.nearest(embeddings(24, 3), 5)):
        assert len(near) == 5
        assert {neighbour.codes for neighbour in near} == {("A", f"A{number % TOPICS:02}")}
        similarities = [neighbour.similarity for neighbour in near]
        assert similarities == sorted(similarities, reverse=True)


def test_a_neighbour_identifies_its_patent(index: NeighbourIndex):
    near = index.nearest(embeddings(240, 1)[7:8], 1)[0][0]
    assert near == Neighbour("EP7", "Größe 7", ("A", "A07"), near.similarity)


def test_no_more_neighbours_than_patents_are_returned(index: NeighbourIndex):
    assert len(index.nearest(embeddings(1, 3), 1000)[0]) == 240
    assert index.nearest(np.empty((0, HIDDEN), np.float32), 3) == []


def test_similarity_is_at_most_one(index: NeighbourIndex):
    far = np.random.default_rng(4).normal(0, 1000, (50, HIDDEN)).astype(np.float32)
    for near in index.nearest(np.vstack([far, embeddings(50, 5)]), 3):
        assert all(-1.01 <= neighbour.similarity <= 1.01 for neighbour in near)


def test_dissimilar_texts_fall_below_the_threshold_and_ordinary_ones_do_not(
    index: NeighbourIndex,
):
    far = np.random.default_rng(6).normal(5, 10, (200, HIDDEN)).astype(np.float32)
    is_dissimilar = [near[0].similarity < index.unlike for near in index.nearest(far, 1)]
    usual = [near[0].similarity < index.unlike for near in index.nearest(embeddings(600, 7), 1)]
    assert np.mean(is_dissimilar) > 0.95
    assert np.mean(usual) < 5 * UNLIKE_SHARE


def test_without_held_out_texts_nothing_is_below_the_threshold():
    index = build_index(embeddings(24, 1), records(24), np.empty((0, HIDDEN), np.float32))
    far = np.random.default_rng(6).normal(5, 10, (20, HIDDEN)).astype(np.float32)
    assert all(near[0].similarity >= index.unlike for near in index.nearest(far, 1))


def test_it_round_trips_through_its_files(index: NeighbourIndex, tmp_path: Path):
    index.save(tmp_path)
    again = NeighbourIndex.load((tmp_path / FILE).read_bytes(), TREE)
    assert (again.records, again.unlike) == (index.records, index.unlike)
    pairs = zip(again.nearest(embeddings(9, 8), 4), index.nearest(embeddings(9, 8), 4), strict=True)
    for after, before in pairs:
        assert [near.id for near in after] == [near.id for near in before]
        similarities = [near.similarity for near in before]
        assert [near.similarity for near in after] == pytest.approx(similarities, abs=1e-6)
    for name in ("mean", "directions", "vectors"):
        before, after = getattr(index, name), getattr(again, name)
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_it_takes_about_a_byte_for_each_of_sixty_four_values(tmp_path: Path):
    sizes = []
    for count in (240, 1240):
        index = build_index(embeddings(count, 1), records(count, titles=False), embeddings(9, 2))
        index.save(tmp_path)
        sizes.append((tmp_path / FILE).stat().st_size)
    assert 64 < (sizes[1] - sizes[0]) / 1000 < 64 + 16


def test_titles_are_optional(tmp_path: Path):
    index = build_index(embeddings(24, 1), records(24, titles=False), embeddings(9, 2))
    index.save(tmp_path)
    again = NeighbourIndex.load((tmp_path / FILE).read_bytes(), TREE)
    near = again.nearest(embeddings(24, 1)[:1], 1)[0][0]
    assert (near.id, near.title) == ("EP0", None)


def test_fewer_patents_than_dimensions_are_enough(tmp_path: Path):
    index = build_index(embeddings(3, 1), records(3), embeddings(3, 2))
    index.save(tmp_path)
    again = NeighbourIndex.load((tmp_path / FILE).read_bytes(), TREE)
    assert [near[0].id for near in again.nearest(embeddings(3, 1), 1)] == [
        "EP0",
        "EP1",
        "EP2",
    ]


def test_a_single_patent_does_not_crash():
    index = build_index(embeddings(1, 1), records(1), embeddings(2, 2))
    assert index.nearest(embeddings(1, 3), 2)[0][0].id == "EP0"


@pytest.mark.parametrize("data", [b"", b"\x80\x04pickle", b"\xff" * 100])
def test_a_file_that_is_not_an_index_is_named(tmp_path: Path, data: bytes):
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(ModelError, match=r"cannot read .*neighbours\.safetensors"):
        NeighbourIndex.load((tmp_path / FILE).read_bytes(), TREE)


def corrupt(arrays: dict[str, np.ndarray], how: str) -> dict[str, np.ndarray]:
    changed = {
        "fewer vectors": {"vectors": arrays["vectors"][1:]},
        "fewer directions": {"directions": arrays["directions"][:, 1:]},
        "directions of one dimension": {"directions": arrays["directions"][:, 0]},
        "another mean": {"mean": arrays["mean"][1:]},
        "records that are no records": {"records": np.frombuffer(b"hello", np.uint8)},
        "records cut short": {"records": arrays["records"][:-9]},
    }
    remaining = {name: array for name, array in arrays.items() if name != how.removeprefix("no ")}
    return remaining | changed.get(how, {})


@pytest.mark.parametrize(
    "how",
    [
        *("no mean", "no directions", "no vectors", "no records"),
        *("fewer vectors", "fewer directions", "directions of one dimension", "another mean"),
        *("records that are no records", "records cut short"),
    ],
)
def test_damaged_arrays_are_detected_on_reading(index: NeighbourIndex, tmp_path: Path, how: str):
    index.save(tmp_path)
    arrays = corrupt(load_file(tmp_path / FILE), how)
    save_file(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, tmp_path / FILE
    )
    with pytest.raises(ModelError, match=r"cannot read .*neighbours\.safetensors"):
        NeighbourIndex.load((tmp_path / FILE).read_bytes(), TREE)


def test_a_text_of_the_index_is_not_its_own_neighbour():
    every = embeddings(60, 1)
    alone = build_index(every, records(60), every)
    assert alone.unlike > 0.99
    assert build_index(every, records(60), every, inside=True).unlike < 0.98
