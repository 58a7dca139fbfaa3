"""Every error that patclass raises on purpose. Knows nothing of the rest of the package.

Each message names the value, what was expected and the remedy; the command line prints it without
a traceback and exits with 2.
"""

import re
from collections.abc import Callable
from typing import Literal

# Why a patent cannot be had by its number.
OfficeReason = Literal[
    "number_invalid", "unknown_number", "no_text", "office_busy", "office_unavailable"
]


class PatclassError(Exception):
    """Base of all errors that a user can act upon.

    Messages name settings as Python does (``max_tokens``), never as a flag. A raiser passes the
    names that stand in the message as ``setting``, so that the command line can show flags.
    """

    def __init__(self, message: str = "", *, setting: str | tuple[str, ...] = ()) -> None:
        """Keep the message and the settings that it is about.

        :param setting: name of a setting, or several; each should occur in ``message``.
        """
        super().__init__(message)
        self.settings = (setting,) if isinstance(setting, str) else setting

    def message(self, spelling: Callable[[str], str] = str) -> str:
        """The message, with the first mention of each of its settings spelt as ``spelling`` does.

        A setting that the message does not mention is put in front of it.
        """
        text = str(self)
        for name in self.settings:
            mention = re.search(rf"(?<![\w/.'-]){re.escape(name)}(?![\w/'-])", text)
            if mention is None:
                text = f"{spelling(name)}: {text}"
            else:
                text = f"{text[: mention.start()]}{spelling(name)}{text[mention.end() :]}"
        return text


class ConfigError(PatclassError):
    """A setting is unknown, misspelt or out of range."""


class DataError(PatclassError):
    """Patents or labels cannot be read or used."""


class ModelError(PatclassError):
    """A base model is unknown, unreachable, altered or of an unsupported kind."""


class TrainingError(PatclassError):
    """A training run cannot start, be resumed or be trusted."""


class BundleError(PatclassError):
    """A bundle is incomplete, altered or does not answer as it did when saved."""


class StoreError(PatclassError):
    """The store cannot be written or read."""


class OutputError(PatclassError):
    """A file or folder cannot be written."""


class OfficeError(PatclassError):
    """A patent cannot be had by its number.

    :param reason: for programs: ``number_invalid`` (it is no publication number),
        ``unknown_number``, ``no_text`` (there is none in English), ``office_busy`` (later it may
        work) or ``office_unavailable``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        reason: OfficeReason = "office_unavailable",
        setting: str | tuple[str, ...] = (),
    ) -> None:
        """Keep the message, the reason, and the settings that it is about."""
        super().__init__(message, setting=setting)
        self.reason = reason


def cannot_write(target: object, problem: OSError) -> OutputError:
    """The error for a failed write, with what to do about it."""
    reason = problem.strerror or str(problem)
    return OutputError(
        f"cannot write {target}: {reason}. Free disk space, change the "
        "permissions, or choose another path."
    )
