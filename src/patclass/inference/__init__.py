"""Inference: one object that answers, and whole files streamed through it."""

from patclass.inference.answer import Candidate, Options, Prediction
from patclass.inference.classifier import Classifier, load

__all__ = ["Candidate", "Classifier", "Options", "Prediction", "load"]
