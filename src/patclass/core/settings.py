"""Settings of a training run: small typed groups, each a table of the TOML file.

Also the defaults of the learning loop that help texts show.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import SettingsConfigDict

from patclass.core.config import Settings, SettingsGroup

# Ten points more of any section are noticed in so many predictions (docs/log.md); in half as
# many only those of the rarer sections.
WINDOW = 2000

# Weight of a text with feedback in training, relative to a row of the data.
FEEDBACK_WEIGHT = 2.0

# New feedback from which on training a candidate is worth its cost.
LEAST_FEEDBACK = 100


# No base has positions for more.
MOST_TOKENS = 131_072

# Beyond, an adapter is no smaller than what it adapts.
MOST_RANK = 512

# The roles whose column in a table can be stated.
STATED_ROLES = ("id", "title", "abstract", "claims", "description", "codes")

# The options that say how a table is written.
FORM_OPTIONS = ("delimiter", "encoding", "sheet")

# Settings of a table that overrule what would be recognised.
TABLE_SETTINGS = (*STATED_ROLES, *FORM_OPTIONS)


# What can be named as data.
DATA_FORMS = (
    "a CSV, TSV, Excel, JSON, JSONL or Parquet file, patent documents of offices (XML, PDF, "
    "archives), a folder of train/validation/test files, a hub data set (owner/name:config), or "
    "'sample'"
)


class DataSettings(SettingsGroup):
    """Which patents, which text, which labels."""

    data: str = Field(
        "sample",
        description=f"Patents to learn from: {DATA_FORMS}.",
    )
    text: str = Field(
        "auto",
        description="Column of the text, or fields joined by '+' (title+abstract). "
        "auto: 'text' if there is one, else title+abstract.",
    )
    labels: str = Field(
        "auto",
        description="cpc (the tree of sections, classes and subclasses from CPC/IPC symbols), one "
        "level of it (section, class, subclass, main_group, subgroup), a list such as A61,G06,H04, "
        "or a column. auto: the column 'label' if there is one, else section.",
    )
    finest: Literal["section", "class", "subclass", "main_group", "subgroup"] = Field(
        "subgroup",
        description="With labels cpc: the finest level of the tree. Main groups and subgroups "
        "need 20 training rows.",
    )
    multi: bool = Field(
        False,
        description="The column of labels holds several a row, with semicolons between them; lists "
        "in JSON and Parquet are recognised without this.",
    )
    data_name: str | None = Field(
        None, description="What the model card calls the data. Default: its file or folder."
    )
    min_leaf_rows: int = Field(
        5, ge=1, description="With labels cpc: codes of fewer training rows become 'other'."
    )
    codes: str | None = Field(
        None,
        validation_alias=AliasChoices("codes", "code_column"),  # its name in older bundles
        description="Column of the CPC/IPC symbols if it has an unusual name; no other is read.",
    )
    id: str | None = Field(
        None, description="Column of the publication number, if it is not recognised."
    )
    title: str | None = Field(None, description="Column of the title, if it is not recognised.")
    abstract: str | None = Field(
        None, description="Column of the abstract, if it is not recognised."
    )
    claims: str | None = Field(None, description="Column of the claims, if it is not recognised.")
    description: str | None = Field(
        None, description="Column of the description, if it is not recognised."
    )
    delimiter: str | None = Field(
        None,
        description="Character between the cells of delimited text, or 'tab', if it is not "
        "recognised.",
    )
    encoding: str | None = Field(
        None,
        description="Encoding of delimited text, such as cp1252 or shift_jis, if it is not "
        "recognised.",
    )
    sheet: str | None = Field(
        None, description="Sheet of a workbook, if it is not the one with the usual columns."
    )
    train_rows: int | None = Field(
        None, ge=2, description="Train on this many rows: seeded, shuffled, stratified."
    )
    validation_rows: int | None = Field(None, ge=1, description="Validate on this many rows.")
    test_rows: int | None = Field(None, ge=1, description="Test on this many rows.")
    seed: int = Field(0, ge=0, description="Seed of subsets, batches, dropout and head.")


class BaseModelSettings(SettingsGroup):
    """Which pretrained model, and how it is run."""

    base: str = Field(
        "minilm",
        description="Pretrained model: a preset (minilm, smollm2-135m, llama-3.2-1b), a hub id, a "
        "folder or a GGUF file; or a bundle, by its folder or as 'shipped', whose adapter training "
        "starts from.",
    )
    revision: str | None = Field(None, description="Revision of a hub base; presets pin their own.")
    max_tokens: int = Field(
        256, ge=8, le=MOST_TOKENS, description="Tokens of each text that are read."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where to compute.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Number format of the frozen base; adapter and head stay float32."
    )


class LoraSettings(SettingsGroup):
    """The low-rank adapter (Hu et al. 2021, arXiv:2106.09685)."""

    r: int = Field(8, ge=1, le=MOST_RANK, description="Rank of the adapter.")
    alpha: int = Field(16, ge=1, description="Scale of the adapter: alpha / r.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the adapter.")
    targets: str = Field(
        "auto",
        description="Linear layers that get an adapter: comma-separated names, 'all-linear', "
        "or auto (query and value projections of the architecture).",
    )
    lora_layers: int | None = Field(
        None,
        ge=1,
        description="Adapt only so many of the upper layers. What the layers below make of the "
        "texts is then computed once instead of in every epoch. Default: all layers.",
    )


class FitSettings(SettingsGroup):
    """The training loop."""

    epochs: int = Field(3, ge=1, description="Passes over the training rows.")
    learning_rate: float | None = Field(
        None, gt=0, description="Peak learning rate. Default: 1e-3 for encoders, 2e-4 for decoders."
    )
    batch_tokens: int = Field(
        4096, ge=8, description="Tokens in a batch, padding included; rows follow from it."
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of steps with a rising rate.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    balance: float = Field(
        0,
        ge=0,
        le=1,
        description="How far rare labels count more: 0 for all rows alike, 1 for all labels "
        "alike, in between an exponent.",
    )
    best_by: Literal["accuracy", "macro_f1"] = Field(
        "accuracy",
        description="Figure on validation, averaged over the levels, by which the best epoch is "
        "chosen.",
    )
    field_dropout: float = Field(
        0,
        ge=0,
        lt=1,
        description="How often a training text is replaced, anew in every epoch, by the title, the "
        "abstract or the claims alone, so that each of them can be classified. Rows without the "
        "fields of the text are then learnt from by their claims.",
    )
    prefix_cache: bool = Field(
        True,
        description="With lora_layers and several epochs: keep what the lower layers compute on "
        "disk, beside the checkpoints, until the run is finished.",
    )
    teacher: str | None = Field(
        None,
        description="Finished bundle with the same labels whose probabilities are learnt from as "
        "well (distillation), such as one of a larger base. They are computed once and stored "
        "beside it.",
    )
    teacher_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="With a teacher: what its probabilities count in the loss; the rest is the "
        "labels'.",
    )
    mixed_precision: bool = Field(
        True,
        description="Multiply in bfloat16 while training, where that is measured to be faster; "
        "weights and answers stay float32.",
    )
    gradient_checkpointing: bool = Field(
        False, description="Save memory by computing activations twice."
    )
    checkpoint_steps: int = Field(
        50,
        ge=1,
        description="Steps between checkpoints, from which an interrupted run is resumed; there "
        "is also one every five minutes.",
    )


class AnswerSettings(SettingsGroup):
    """Components of the bundle, and how texts are truncated."""

    truncation: Literal["head", "head+tail", "windows"] = Field(
        "head",
        description="How texts longer than the token budget are read: their head, head and tail, "
        "or overlapping windows whose logits are averaged.",
    )
    linear: bool = Field(
        True,
        description="Mix a linear model on words into every level; "
        "validation decides what it counts.",
    )
    index_rows: int = Field(
        20_000,
        ge=0,
        description="Training patents kept for the search of similar patents; 0: none.",
    )
    index_titles: bool = Field(True, description="Keep their titles as well as their numbers.")
    embed_base: bool = Field(
        False,
        description="Make a bundle that needs no other file: a copy of the packed base in it, the "
        "adapter and the head in float16, no page and no curve.",
    )


# As ``data``: there is no example at all.
NO_DATA = "none"


class FewShotSettings(SettingsGroup):
    """Learning categories from few examples, where ``base`` is a bundle."""

    few_rows: int = Field(
        500,
        ge=0,
        description="With a bundle as base, a table of up to so many rows is learnt in the way "
        "that does best in cross-validation, and none is set aside.",
    )
    method: Literal["auto", "combined", "embeddings", "names", "lora"] = Field(
        "auto",
        description="How to learn from few rows: a head on the bundle's embeddings, drawn towards "
        "the labels' names (combined), from the rows alone (embeddings) or the names alone "
        "(names), or the encoder tuned as well (lora). auto: compare them all.",
    )
    descriptions: str | None = Field(
        None,
        description="Table of the columns label and description, also of labels without a row; "
        f"with data '{NO_DATA}' there need be no row at all.",
    )


class OutputSettings(SettingsGroup):
    """Where the result goes, and what counts as success."""

    output: Path = Field(Path("final_model"), description="Folder of the finished bundle.")

    @field_validator("output")
    @classmethod
    def _has_a_name(cls, output: Path) -> Path:
        if output.name in ("", ".."):
            raise ValueError("name a folder that is to be made, such as final_model")
        return output

    allow_weak: bool = Field(
        False, description="Exit with 0 even if the model does not beat TF-IDF + regression."
    )


class TrainSettings(Settings):
    """All settings of ``patclass train``; the groups are the tables of the TOML file."""

    model_config = SettingsConfigDict(env_prefix="PATCLASS_TRAIN_")

    data: DataSettings = DataSettings()
    base: BaseModelSettings = BaseModelSettings()
    lora: LoraSettings = LoraSettings()
    fit: FitSettings = FitSettings()
    answer: AnswerSettings = AnswerSettings()
    few: FewShotSettings = FewShotSettings()
    output: OutputSettings = OutputSettings()


def is_same_data(data: str, other: str) -> bool:
    """Whether two settings name the same data: in the same words, or by paths of one file."""
    if data == other:
        return True
    try:
        return Path(data).samefile(other)
    except (OSError, ValueError):  # one of them is no path, or is gone
        return False


def data_like(stored: DataSettings, flags: Mapping[str, Any]) -> DataSettings:
    """The data of a training run, or other data that is read in the same way.

    :param flags: settings by name, ``data`` among them; None means not given.
    :raises ConfigError: if a value does not fit.
    """
    defaults = dict(stored)
    if flags["data"] is not None:
        # Limits of the training run mean nothing for other rows,
        defaults |= dict.fromkeys(("train_rows", "validation_rows", "test_rows"))
        # nor do corrections of its files for other files
        if not is_same_data(flags["data"], stored.data):
            defaults |= dict.fromkeys(TABLE_SETTINGS)
    return TrainSettings.load(flags, environment={}, defaults=defaults).data
