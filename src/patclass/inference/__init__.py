"""Inference: one object that answers, and whole files streamed through it."""

from patclass.inference.classifier import Candidate, Classifier, Prediction, load

__all__ = ["Candidate", "Classifier", "Prediction", "load"]
