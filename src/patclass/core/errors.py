"""Every error that patclass raises on purpose. Knows nothing of the rest of the package.

Each message names the value, what was expected and the way out; the command line prints
it without a traceback and exits with 2.
"""


class PatclassError(Exception):
    """Base of all errors that a person can act upon."""


class ConfigError(PatclassError):
    """A setting is unknown, misspelt or out of range."""


class DataError(PatclassError):
    """Patents or labels cannot be read or used."""


class ModelError(PatclassError):
    """A base model is unknown, unreachable, altered or of an unsupported kind."""


class TrainingError(PatclassError):
    """A run cannot start, go on or be trusted."""


class BundleError(PatclassError):
    """A bundle is incomplete, altered or does not answer as it did when saved."""


class StoreError(PatclassError):
    """What is to be remembered cannot be kept or read."""


class OutputError(PatclassError):
    """Something cannot be written."""


def cannot_write(target: object, problem: OSError) -> OutputError:
    """Turn a failed write into a message that says what to do."""
    reason = problem.strerror or str(problem)
    return OutputError(
        f"cannot write {target}: {reason}. Free some space, gain the right to write there, "
        "or name another place."
    )
