"""Measuring a model and its baselines on one split of a corpus."""

from tqdm import tqdm

from patclass.arrays import softmax
from patclass.data.corpus import Corpus
from patclass.evaluation.baselines import majority, tfidf_regression
from patclass.evaluation.metrics import evaluate
from patclass.evaluation.report import Report
from patclass.model.classifier import PatentClassifier
from patclass.model.scoring import score
from patclass.model.tokenizer import TextTokenizer


def measure(
    model: PatentClassifier, tokenizer: TextTokenizer, corpus: Corpus, split: str
) -> Report:
    """Evaluate ``model`` on ``split``, and both baselines fitted on the corpus' train rows."""
    rows, codes = corpus[split], corpus.labels.codes
    with tqdm(total=len(rows), desc=f"scoring {split}", unit="row", disable=None) as bar:
        logits = score(model, tokenizer, [row.text for row in rows], bar.update)
    return Report(
        split=split,
        train_rows=len(corpus["train"]),
        leaked_rows=corpus.leaked(split),
        model=evaluate([row.label for row in rows], softmax(logits), codes),
        majority=majority(corpus["train"], rows, codes),
        tfidf=tfidf_regression(corpus["train"], corpus["validation"], rows, codes),
    )
