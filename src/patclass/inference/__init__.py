"""Inference: one object that answers, and whole files streamed through it."""

from patclass.inference.classifier import Classifier, load
from patclass.inference.prediction import Candidate, Options, Prediction

__all__ = ["Candidate", "Classifier", "Options", "Prediction", "load"]
