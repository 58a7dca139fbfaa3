"""The exported graph reproduces torch, for any batch and any number of concurrent callers."""

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nncf
import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import full
from patclass.core.errors import ModelError
from patclass.engines.base import Outputs
from patclass.engines.openvino import (
    EMBEDDINGS,
    GRAPH,
    INPUTS,
    LOGITS,
    WEIGHTS,
    OpenVinoEngine,
    adds_exactly_in_int8,
    has_bfloat16,
)
from patclass.engines.openvino import LIMIT as ISA_LIMIT
from patclass.engines.torch import TorchEngine
from patclass.export.openvino import to_graph
from patclass.model.network import merged
from patclass.model.tokenizer import BATCH_TOKENS, STEP, TextTokenizer, cut_batches, rounded
from tiny_parts import (
    one_step,
    skip_without_eight_bit_weights,
    tiny_batch,
    tiny_classifier,
)

# Not a multiple of a step, so that the last width is narrower.
LIMIT = 100

MANY_LENGTHS = [1, 2, 31, 32, 33, 50, 63, 64, 65, 96, 97, 99, 100]

quick = settings(deadline=None, max_examples=full(60, 200))
thorough = settings(deadline=None, max_examples=25)

some_lengths = st.lists(st.integers(0, 3 * BATCH_TOKENS), max_size=60)


@dataclass(frozen=True)
class EnginePair:
    """One tuned model in both engines; row ``n`` has ``n + 1`` tokens."""

    graph: ov.Model
    tokenizer: TextTokenizer
    engine: OpenVinoEngine
    rows: list[list[int]]
    expected: Outputs

    def compiled(self, threads: int) -> OpenVinoEngine:
        return OpenVinoEngine(self.graph, self.tokenizer, exact=True, threads=threads)


def engine_pair(base: Path) -> EnginePair:
    model, tokenizer = tiny_classifier(base), TextTokenizer.load(base, LIMIT)
    one_step(model, tiny_batch(base))
    model = merged(model)
    vocabulary = model.backbone.get_input_embeddings().num_embeddings
    ids = np.random.default_rng(0).integers(vocabulary, size=(LIMIT, LIMIT)).tolist()
    rows = [row[: number + 1] for number, row in enumerate(ids)]
    alone = [TorchEngine(model, tokenizer).run([row]) for row in rows]
    expected = Outputs(
        *(np.concatenate([getattr(o, n) for o in alone]) for n in (EMBEDDINGS, LOGITS))
    )
    graph = to_graph(model)
    engine = OpenVinoEngine(graph, tokenizer, exact=True, threads=2)
    return EnginePair(graph, tokenizer, engine, rows, expected)


@pytest.fixture(scope="module")
def bert(tiny_bert: Path) -> EnginePair:
    return engine_pair(tiny_bert)


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> EnginePair:
    return engine_pair(tiny_llama)


@pytest.fixture(params=["bert", "llama"])
def pair(request: pytest.FixtureRequest) -> EnginePair:
    """Both kinds of base: encoder and decoder."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The input shapes passed to OpenVINO from now on."""
    seen: list[tuple[int, int]] = []
    infer = ov.InferRequest.infer

    def spy(request: ov.InferRequest, inputs: dict[str, np.ndarray]) -> object:
        assert inputs["input_ids"].shape == inputs["attention_mask"].shape
        seen.append(inputs["input_ids"].shape)
        return infer(request, inputs)

    monkeypatch.setattr(ov.InferRequest, "infer", spy)
    return seen


def assert_same(found: Outputs, expected: Outputs, picks: Sequence[int]) -> None:
    assert found.logits.dtype == found.embeddings.dtype == np.float32
    for name in (LOGITS, EMBEDDINGS):
        wanted = getattr(expected, name)[list(picks)]
        np.testing.assert_allclose(getattr(found, name), wanted, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("length", MANY_LENGTHS)
def test_a_single_row_is_scored_like_torch(pair: EnginePair, length: int):
    assert_same(pair.engine.run([pair.rows[length - 1]]), pair.expected, [length - 1])


def test_an_engine_of_few_threads_leaves_it_to_the_system_where_they_run(pair: EnginePair):
    """Bound to cores, the threads of several processes would all be bound to the first."""
    assert pair.compiled(1)._compiled.get_property("ENABLE_CPU_PINNING") is False


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_of_all_lengths_are_scored_like_torch(pair: EnginePair, threads: int):
    picks = np.random.default_rng(1).permutation(LIMIT)
    found = pair.compiled(threads).run([pair.rows[pick] for pick in picks])
    assert_same(found, pair.expected, picks)
    assert found.logits.shape == (LIMIT, 3)
    assert found.embeddings.shape == (LIMIT, 32)


def test_the_test_rows_differ_enough_to_detect_reordering(pair: EnginePair):
    logits = pair.expected.logits
    apart = np.abs(logits[:, None] - logits[None]).max(axis=2) + np.eye(LIMIT)
    assert np.median(apart.min(axis=1)) > 1e-3


@thorough
@given(picks=st.lists(st.integers(0, LIMIT - 1), min_size=1, max_size=40))
def test_any_batch_of_rows_is_scored_in_order(bert: EnginePair, picks: list[int]):
    assert_same(bert.engine.run([bert.rows[pick] for pick in picks]), bert.expected, picks)


def test_the_graph_can_be_loaded_from_disk(pair: EnginePair, tmp_path: Path):
    ov.save_model(pair.graph, tmp_path / GRAPH, compress_to_fp16=False)
    engine = OpenVinoEngine.load(tmp_path, pair.tokenizer, exact=True, threads=1)
    picks = [7, 99, 0]
    assert_same(engine.run([pair.rows[pick] for pick in picks]), pair.expected, picks)


def test_reduced_precision_is_close_to_the_original(bert: EnginePair):
    engine = OpenVinoEngine(bert.graph, bert.tokenizer, exact=False, threads=1)
    found = engine.run(bert.rows)
    np.testing.assert_allclose(found.logits, bert.expected.logits, rtol=0, atol=0.2)


# Two engines of which the older one goes first, as when a model is reloaded; then Ctrl-C.
INTERRUPT = """
import gc, signal, sys
from pathlib import Path
from patclass.engines.openvino import OpenVinoEngine
from patclass.model.tokenizer import TextTokenizer
folder, base = map(Path, sys.argv[1:])
tokenizer = TextTokenizer.load(base, 100)
older, newer = (OpenVinoEngine.load(folder, tokenizer, True, threads=1) for _ in range(2))
del older
gc.collect()
del newer
gc.collect()
signal.raise_signal(signal.SIGINT)
"""


def test_a_process_survives_signals_after_several_engines(
    bert: EnginePair, tiny_bert: Path, tmp_path: Path
):
    """On processors with AMX, they used to kill it."""
    ov.save_model(bert.graph, tmp_path / GRAPH, compress_to_fp16=False)
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPT, str(tmp_path), str(tiny_bert)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGINT
    assert done.stderr.endswith("KeyboardInterrupt\n")


# Computes the logits of rows from a graph in a folder, with one thread.
ANSWER = """
import sys
from pathlib import Path
import numpy as np
from patclass.engines.openvino import OpenVinoEngine
from patclass.model.tokenizer import TextTokenizer
folder, base = map(Path, sys.argv[1:])
engine = OpenVinoEngine.load(folder, TextTokenizer.load(base, 100), exact=False, threads=1)
np.save(folder / "logits.npy", engine.run(np.load(folder / "rows.npy").tolist()).logits)
"""


@pytest.mark.parametrize("gate", ["silu", "gelu"])
def test_a_gated_block_in_bfloat16_does_not_crash(
    llama: EnginePair, tiny_llama: Path, tmp_path: Path, gate: str
):
    """It used to crash on processors with AMX, so it runs in another process."""
    graph, rows = llama.graph.clone(), [row[:90] for row in llama.rows[-8:]]
    for node in graph.get_ordered_ops() if gate == "gelu" else ():
        if node.get_type_name() == "Swish":
            other = ov.opset13.gelu(node.input_value(0), "erf")
            for user in node.output(0).get_target_inputs():
                user.replace_source_output(other.output(0))
    ov.save_model(graph, tmp_path / GRAPH, compress_to_fp16=False)
    np.save(tmp_path / "rows.npy", rows)
    done = subprocess.run(
        [sys.executable, "-c", ANSWER, str(tmp_path), str(tiny_llama)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    expected = OpenVinoEngine(graph, llama.tokenizer, exact=True, threads=1).run(rows).logits
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=0, atol=0.2)


def test_rows_that_are_not_computed_are_an_error(tiny_bert: Path):
    """As with weights of eight bits where oneDNN is limited: OpenVINO returns none, in silence."""
    inputs = [ov.opset13.parameter([-1, -1], np.int64, name) for name in INPUTS]
    outputs = []
    for name, port in zip((EMBEDDINGS, LOGITS), inputs, strict=True):
        rows = ov.opset13.convert(port, "f32")
        none = ov.opset13.slice(rows, np.array([0]), np.array([0]), np.array([1]), np.array([0]))
        none.output(0).get_tensor().set_names({name})
        outputs.append(ov.opset13.result(none))
    for name, port in zip(INPUTS, inputs, strict=True):
        port.output(0).get_tensor().set_names({name})
    tokenizer = TextTokenizer.load(tiny_bert, LIMIT)
    with pytest.raises(ModelError, match=r"cannot compute \(1, 32\): it returns 0 rows"):
        OpenVinoEngine(ov.Model(outputs, inputs), tokenizer, exact=True, threads=1)


@pytest.mark.parametrize("threads", [1, 2])
def test_eight_bit_weights_are_unpacked_correctly_by_every_stream(pair: EnginePair, threads: int):
    """On processors with bfloat16, two streams once unpacked them incorrectly."""
    skip_without_eight_bit_weights(pair.graph, pair.tokenizer, pair.rows[0])
    graph = nncf.compress_weights(pair.graph.clone(), mode=nncf.CompressWeightsMode.INT8_ASYM)
    found = OpenVinoEngine(graph, pair.tokenizer, exact=False, threads=threads).run(pair.rows)
    np.testing.assert_allclose(found.logits, pair.expected.logits, rtol=0, atol=0.3)


def test_a_limited_onednn_has_no_bfloat16(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(ISA_LIMIT, "AVX2")
    assert not has_bfloat16()


def test_int8_is_probed_by_the_largest_products(monkeypatch: pytest.MonkeyPatch):
    """A processor whose sums of two products end at the largest number of sixteen bits."""
    assert adds_exactly_in_int8() is adds_exactly_in_int8.__wrapped__()
    given: list[np.ndarray] = []

    def overflowing(core: ov.Core, model: ov.Model, device: str) -> Callable[..., object]:
        def answer(activations: np.ndarray) -> list[np.ndarray]:
            given.append(activations)
            return [np.full((1, 64), 32 * (2**15 - 1), np.float32)]

        return answer

    monkeypatch.setattr(ov.Core, "compile_model", overflowing)
    assert not adds_exactly_in_int8.__wrapped__()
    assert given[0].max() == 255


def test_blocks_are_separated_in_a_copy(llama: EnginePair):
    """The given graph may be compiled or stored again."""

    def kinds() -> list[str]:
        operations = llama.graph.get_ordered_ops()
        products = [node for node in operations if node.get_type_name() == "Multiply"]
        return [node.get_attributes()["auto_broadcast"] for node in products]

    before = kinds()
    OpenVinoEngine(llama.graph, llama.tokenizer, exact=False, threads=1)
    assert kinds() == before
    assert set(before) == {"numpy"}


def test_no_rows_give_no_scores(pair: EnginePair):
    found = pair.engine.run([])
    assert found.logits.shape == (0, 3)
    assert found.embeddings.shape == (0, 32)


def test_an_empty_row_does_not_change_the_others(bert: EnginePair):
    found = bert.engine.run([bert.rows[4], [], bert.rows[2]])
    assert_same(Outputs(found.embeddings[::2], found.logits[::2]), bert.expected, [4, 2])


# Batches


@quick
@given(some_lengths)
def test_every_row_is_in_one_batch(lengths: list[int]):
    found = [position for batch in cut_batches(lengths) for position in batch]
    assert sorted(found) == list(range(len(lengths)))


@quick
@given(some_lengths)
def test_a_batch_has_a_power_of_two_rows_of_one_width_within_the_budget(lengths: list[int]):
    widths = []
    for batch in cut_batches(lengths):
        assert len(batch).bit_count() == 1
        (width,) = {rounded(lengths[position]) for position in batch}
        assert len(batch) == 1 or len(batch) * width <= BATCH_TOKENS
        widths.append(width)
    assert widths == sorted(widths, reverse=True)


@quick
@given(st.integers(1, 3 * BATCH_TOKENS), st.integers(1, 200))
def test_rows_of_similar_length_make_few_batches(length: int, count: int):
    """Full batches first, then the binary digits of the remainder."""
    full = 1 << (max(1, BATCH_TOKENS // rounded(length)).bit_length() - 1)
    assert len(list(cut_batches([length] * count))) == count // full + (count % full).bit_count()


@quick
@given(st.integers(1, 10_000))
def test_a_length_is_rounded_up_to_the_next_step(length: int):
    assert rounded(length) % STEP == 0
    assert length <= rounded(length) < length + STEP


def test_an_empty_row_is_padded_to_one_step():
    assert rounded(0) == STEP


def test_padding_never_exceeds_the_positions_of_the_model(
    bert: EnginePair, shapes: list[tuple[int, int]]
):
    for row in bert.rows:
        bert.engine.run([row])
    assert shapes == [(1, min(rounded(len(row)), LIMIT)) for row in bert.rows]
    assert {width for _, width in shapes} == {32, 64, 96, LIMIT}


def test_the_number_of_shapes_is_small(bert: EnginePair, shapes: list[tuple[int, int]]):
    """OpenVINO allocates memory per shape; hundreds of different requests use a dozen shapes."""
    generator = np.random.default_rng(2)
    sizes = generator.integers(1, 70, size=60).tolist()
    for size in sizes:
        picks = generator.integers(LIMIT, size=size)
        bert.engine.run([bert.rows[pick] for pick in picks])
    assert sum(rows for rows, _ in shapes) == sum(sizes)
    possible = {
        (1 << power, width)
        for width in (32, 64, 96, LIMIT)
        for power in range((BATCH_TOKENS // rounded(width)).bit_length())
    }
    assert set(shapes) <= possible
    assert len(possible) == 15


# Threads


@pytest.mark.parametrize("threads", [1, 3])
def test_concurrent_threads_get_their_own_scores(bert: EnginePair, threads: int):
    engine, generator = bert.compiled(threads), np.random.default_rng(3)
    questions = [generator.integers(LIMIT, size=size).tolist() for size in (1, 9, 2, 30) * 6]
    together = threading.Barrier(8)

    def run_questions(number: int) -> list[Outputs]:
        together.wait(timeout=30)
        return [engine.run([bert.rows[p] for p in picks]) for picks in questions[number::8]]

    with ThreadPoolExecutor(8) as pool:
        for number, results in enumerate(pool.map(run_questions, range(8))):
            for picks, found in zip(questions[number::8], results, strict=True):
                assert_same(found, bert.expected, picks)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_progress_adds_up(bert: EnginePair, threads: int, count: int):
    seen: list[int] = []
    bert.compiled(threads).run(bert.rows[:count], seen.append)
    assert sum(seen) == count
    assert all(seen)


def test_there_is_one_stream_per_available_core(bert: EnginePair, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("patclass.engines.openvino.cores", lambda: 3)
    assert bert.compiled(0).streams == 3
    assert bert.compiled(1).streams == 1


def test_a_cancelled_call_leaves_the_engine_usable(bert: EnginePair):
    def give_up(rows: int) -> None:
        raise InterruptedError

    for _ in range(3):  # more calls than streams
        with pytest.raises(InterruptedError):
            bert.engine.run(bert.rows, give_up)
    assert_same(bert.engine.run(bert.rows), bert.expected, range(LIMIT))


def test_one_thread_can_use_every_infer_request(bert: EnginePair, monkeypatch: pytest.MonkeyPatch):
    """Two threads that initialise the library at the same time would deadlock."""
    users, real = [], ov.InferRequest.infer

    def watch(request: ov.InferRequest, inputs: object) -> object:
        users.append((id(request), threading.current_thread()))
        return real(request, inputs)

    monkeypatch.setattr(ov.InferRequest, "infer", watch)
    engine = OpenVinoEngine(bert.graph, bert.tokenizer, True, 3)
    assert len({request for request, _ in users}) == 2 * engine.streams == 6
    assert {thread for _, thread in users} == {threading.current_thread()}


def test_a_failed_batch_leaves_the_engine_usable(bert: EnginePair, monkeypatch: pytest.MonkeyPatch):
    def fail(request: ov.InferRequest, inputs: object) -> object:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(ov.InferRequest, "infer", fail)
        for _ in range(3):
            with pytest.raises(ModelError, match="out of memory"):
                bert.engine.run(bert.rows)
    assert_same(bert.engine.run(bert.rows), bert.expected, range(LIMIT))


# Damage


@pytest.fixture
def stored(bert: EnginePair, tmp_path: Path) -> Path:
    """A graph on disk, to be damaged."""
    ov.save_model(bert.graph, tmp_path / GRAPH, compress_to_fp16=False)
    return tmp_path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    """The library quotes it in a message that is no text either."""
    path.write_bytes(path.read_bytes().replace(b'type="MatMul"', b'type="Mat\xd2ul"', 1))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: (folder / GRAPH).unlink(), id="no graph"),
        pytest.param(lambda folder: (folder / GRAPH).write_text(""), id="an empty graph"),
        pytest.param(lambda folder: (folder / GRAPH).write_text("{}"), id="no XML"),
        pytest.param(lambda folder: (folder / GRAPH).write_text("<net/>"), id="another XML"),
        pytest.param(lambda folder: cut(folder / GRAPH), id="half a graph"),
        pytest.param(lambda folder: garble(folder / GRAPH), id="no text"),
        pytest.param(lambda folder: (folder / WEIGHTS).unlink(), id="no weights"),
        pytest.param(lambda folder: cut(folder / WEIGHTS), id="half the weights"),
        pytest.param(shutil.rmtree, id="no folder"),
    ],
)
def test_a_damaged_graph_is_refused_with_its_name(
    bert: EnginePair, stored: Path, spoil: Callable[[Path], object]
):
    spoil(stored)
    with pytest.raises(ModelError, match=r"cannot read .*model\.xml"):
        OpenVinoEngine.load(stored, bert.tokenizer, exact=True)


@pytest.mark.parametrize("name", [EMBEDDINGS, LOGITS, "input_ids", "attention_mask"])
def test_an_unrelated_graph_is_refused_with_its_name(bert: EnginePair, tmp_path: Path, name: str):
    graph = bert.graph.clone()
    port = next(p for p in (*graph.inputs, *graph.outputs) if name in p.names)
    port.get_tensor().set_names({"other"})
    ov.save_model(graph, tmp_path / GRAPH, compress_to_fp16=False)
    with pytest.raises(
        ModelError, match=r"model\.xml has no embeddings and logits; export it again"
    ):
        OpenVinoEngine.load(tmp_path, bert.tokenizer, exact=True)
