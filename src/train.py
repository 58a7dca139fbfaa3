"""The original first run: Llama-3.2-1B on 1,000 / 100 rows of ccdv/patent-classification.

``python src/train.py`` saves the result in final_model/. Every setting can be overridden by
the flags, variables and TOML file of ``patclass train``; ``--help`` lists them.
"""

from patclass.cli.main import run_command
from patclass.cli.train import training_command

FIRST_RUN = {
    "base": "llama-3.2-1b",
    "data": "ccdv/patent-classification:abstract",
    "train_rows": 1000,
    "validation_rows": 100,
    "test_rows": 100,
}

if __name__ == "__main__":
    run_command(training_command(FIRST_RUN))
