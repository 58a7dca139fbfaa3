"""Inference: one object that answers, and whole files streamed through it."""

from patclass.inference.classifier import Classifier, load
from patclass.inference.prediction import Options, Prediction, ScoredLabel

__all__ = ["Classifier", "Options", "Prediction", "ScoredLabel", "load"]
