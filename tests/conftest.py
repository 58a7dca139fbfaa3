"""Small real models and data: a Llama and a BERT with their tokenizers, and rows of patents.

torch is imported where it is used: the process that distributes the tests to others needs none.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may access a hub
# Tiny models gain nothing from threads, and parallel processes are slowed down by them.
os.environ["OMP_NUM_THREADS"] = "1"

import gc
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from helpers import FULL_LANE, Cli, Outcome, full, tiny_run, verified_here
from kept import FolderCache
from patclass.bundle import read_bundle
from patclass.bundle.registry import SHIPPED, locate
from patclass.cli.main import run
from patclass.core.settings import data_like
from patclass.data.corpus import load_corpus
from patclass.inference import Classifier, load
from patclass.store.database import Database, locate_store
from postgres import Postgres, postgres

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# The slowest modules: they start first, so that they do not delay the end of the run.
LONGEST = (
    *("test_whole_loop", "test_resume", "test_browser", "test_containers", "test_under_load"),
    *("test_run", "test_models", "test_docs", "test_crash", "test_shipped", "test_background"),
    *("test_accounts", "test_app", "test_serve", "test_openvino", "test_up", "test_commands"),
    *("test_schemathesis", "test_drift", "test_bad_input"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="long counts, and limits by the clock (make test-full)"
    )


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(50_000)  # as the command line does: imports are a fifth faster
    if config.getoption("--full"):
        os.environ[FULL_LANE] = "1"
    else:
        os.environ.pop(FULL_LANE, None)
    # Examples have no time limit.
    slow = [HealthCheck.too_slow]
    examples = full(30, 200)
    # The same examples in every fast run, so that a change fails by its own fault alone; others in
    # every full one, to find what nobody has thought of.
    settings.register_profile(
        "suite",
        deadline=None,
        suppress_health_check=slow,
        max_examples=examples,
        derandomize=not os.environ.get(FULL_LANE),
    )
    settings.load_profile("suite")
    # When a shell runs the tests in the background, their child processes would ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run long modules first, and tests marked ``full`` only in the full lane."""
    skipped = pytest.mark.skip(reason="only in the full lane: make test-full")
    for item in items:
        if item.get_closest_marker("full") and not config.getoption("--full"):
            item.add_marker(skipped)
    items.sort(key=lambda item: LONGEST.index(s) if (s := item.path.stem) in LONGEST else 99)


def pytest_collection_finish() -> None:
    """What has been imported stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


WORDS = {
    "A": "plough seed harvest crop soil tillage cow milking garment shoe toothbrush",
    "C": "polymer catalyst alkyl acid reaction compound enzyme alloy solvent molar",
    "H": "circuit antenna transistor voltage battery signal electrode inductor gate amplifier",
}


def patent_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Rows that a tiny model can learn: each label has its own vocabulary."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(count):
        code = list(WORDS)[number % len(WORDS)]
        words = WORDS[code].split()
        picks = torch.randint(len(words), (12 + number % 9,), generator=generator).tolist()
        rows.append(
            {
                "id": f"P{seed}-{number}",
                "title": f"The {words[picks[0]]} and {words[picks[1]]}",
                "abstract": "A device with " + " ".join(words[pick] for pick in picks) + ".",
                "main_code": f"{code}0{1 + number % 2}B 1/00",
            }
        )
    return rows


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_splits(folder: Path) -> None:
    """Train, validation and test files of rows that a tiny model can learn."""
    for split, count, seed in (("train", 90, 1), ("validation", 18, 2), ("test", 24, 3)):
        write_jsonl(folder / f"{split}.jsonl", patent_rows(count, seed))


def tree_rows(count: int, seed: int = 0) -> list[dict[str, object]]:
    """The same rows with all their symbols: some have the tag, a few have a rare class."""
    rows: list[dict[str, object]] = []
    for number, row in enumerate(patent_rows(count, seed)):
        main = "C07D 1/00" if number % 30 == 10 else row["main_code"]
        also = "Y02E 10/00" if number % 4 == 0 else "G06F 1/00"
        rows.append(row | {"main_code": main, "cpc": [main, also]})
    return rows


def write_tree_splits(folder: Path) -> None:
    """Like ``write_splits``, for a model of the whole tree."""
    for split, count, seed in (("train", 90, 1), ("validation", 18, 2), ("test", 24, 3)):
        write_jsonl(folder / f"{split}.jsonl", tree_rows(count, seed))


def _corpus() -> list[str]:
    return [f"{row['title']}. {row['abstract']}" for row in patent_rows(60)]


def _llama_tokenizer() -> Tokenizer:
    """Byte-level, with a beginning token, an end token and no padding token: like Llama's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
    )
    return tokenizer


def _bert_tokenizer() -> Tokenizer:
    """WordPiece with truncation and padding switched on in the file, as MiniLM's has it.

    The words are listed rather than learnt: the library's trainer breaks ties differently in
    every process, so the model would differ between runs of the tests.
    """
    words = {word for text in _corpus() for word in re.findall(r"\w+", text.lower())}
    letters = sorted({letter for word in words for letter in word} | set(".,;:"))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    pieces = [*letters, *(f"##{letter}" for letter in letters), *sorted(words - set(letters))]
    vocabulary = {piece: number for number, piece in enumerate([*special, *pieces])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return tokenizer


@pytest.fixture(autouse=True)
def _read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files in this process, as a new one takes a second; tests/security starts real ones."""
    monkeypatch.setattr("patclass.core.bounded._limited", True)


@pytest.fixture(scope="session", autouse=True)
def _done_once() -> Iterator[None]:
    """Leave out what was done before in this process: a minute of all tests."""
    from once import do_once

    with pytest.MonkeyPatch.context() as patch:
        do_once(patch)
        yield


@pytest.fixture(scope="session")
def folder_cache(pytestconfig: pytest.Config) -> FolderCache:
    """A cache of folders shared by all processes and runs of the tests."""
    return FolderCache(pytestconfig.cache.mkdir("patclass"))


@pytest.fixture(scope="session")
def tiny_llama(folder_cache: FolderCache) -> Path:
    """A real Llama with random weights, stored in float32 with its language-model head."""
    return folder_cache.folder("tiny-llama", _make_llama)


def _make_llama(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _llama_tokenizer()
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="session")
def tiny_bert(folder_cache: FolderCache) -> Path:
    """A real BERT encoder with random weights."""
    return folder_cache.folder("tiny-bert", _make_bert)


def _make_bert(folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel

    tokenizer = _bert_tokenizer()
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        initializer_range=0.3,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(params=["tiny_bert", "tiny_llama"])
def tiny_base(request: pytest.FixtureRequest) -> Path:
    """Both kinds of base: encoder and decoder."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def patents(tmp_path: Path) -> Path:
    """A folder of train, validation and test files."""
    folder = tmp_path / "patents"
    folder.mkdir()
    write_splits(folder)
    return folder


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store in a file."""
    found = locate_store(tmp_path / "store.db", {})
    yield found
    found.close()


@pytest.fixture(scope="session")
def bundle(tiny_bert: Path, folder_cache: FolderCache) -> Path:
    """A small trained bundle; its folder also holds the data it was trained on."""

    def make(home: Path) -> None:
        write_splits(home)
        tiny_run(tiny_bert, home, home / "model", epochs=8, learning_rate=1e-2)

    return folder_cache.folder("tiny-bundle", make) / "model"


@pytest.fixture(scope="session")
def classifier(bundle: Path) -> Classifier:
    """The bundle, loaded."""
    return load(bundle, "cpu")


@pytest.fixture(scope="session")
def tree_bundle(tiny_bert: Path, folder_cache: FolderCache) -> Path:
    """A small trained bundle of sections, classes and subclasses, beside its data."""
    more = {"labels": "cpc", "min_leaf_rows": 5, "epochs": 8, "learning_rate": 1e-2}

    def make(home: Path) -> None:
        write_tree_splits(home)
        tiny_run(tiny_bert, home, home / "model", **more)

    return folder_cache.folder("tiny-tree", make) / "model"


@pytest.fixture(scope="session")
def tree_classifier(tree_bundle: Path) -> Classifier:
    """The bundle of the tree, loaded."""
    return load(tree_bundle, "cpu")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Run the command line in this process and return its exit code and output."""
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["patclass", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stop:
            run()
        out, err = capsys.readouterr()
        return Outcome(stop.value.code, err, out)

    yield call
    signal.signal(signal.SIGTERM, before)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def patclass(tmp_path: Path) -> Run:
    """Run the command line in a process of its own, in an empty folder."""

    def run(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "patclass", *map(str, arguments)],
            cwd=options.pop("cwd", tmp_path),
            env=os.environ | options.pop("env", {}),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def exported(tree_bundle: Path, folder_cache: FolderCache) -> Path:
    """The tiny bundle of sections, classes and subclasses for OpenVINO, in float32."""
    return (
        folder_cache.folder("exported", lambda home: export_float(tree_bundle, home / "model"))
        / "model"
    )


@pytest.fixture(scope="session")
def exported_flat(bundle: Path, folder_cache: FolderCache) -> Path:
    """The tiny bundle of sections for OpenVINO, in float32."""
    return (
        folder_cache.folder("exported-flat", lambda home: export_float(bundle, home / "model"))
        / "model"
    )


@pytest.fixture(scope="session")
def exported_shipped(folder_cache: FolderCache) -> Path:
    """The shipped model for OpenVINO, in float32: the same answers from a server without torch."""

    def make(home: Path) -> None:
        export_float(locate(SHIPPED), home / "model", texts=20, data="sample")

    return folder_cache.folder("exported-shipped", make) / "model"


def export_float(bundle: Path, target: Path, texts: int = 60, data: str | None = None) -> None:
    """Write a bundle for OpenVINO, in float32; compare on other data than its own if named."""
    from patclass.export.run import export

    opened = read_bundle(bundle)
    corpus = load_corpus(data_like(opened.description.data_settings(), {"data": data}), opened.tree)
    with verified_here():
        export(opened, "openvino-f32", target, corpus, texts=texts)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server in which every test has its own databases."""
    with postgres() as running:
        yield running
