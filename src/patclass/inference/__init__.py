"""Inference: the classifier of a bundle, for single patents and for files."""

from patclass.inference.classifier import Classifier, load
from patclass.inference.prediction import AnswerWarning, Options, Prediction, ScoredLabel

__all__ = ["AnswerWarning", "Classifier", "Options", "Prediction", "ScoredLabel", "load"]
