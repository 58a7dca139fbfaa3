"""Defaults that help texts show. Imports nothing, so that help comes at once."""

# Ten points more of any section are noticed in so many answers, see docs/log.md; in half as many
# only those of the rarer ones.
WINDOW = 2000

# Weight of a text with feedback in training, relative to a row of the data.
FEEDBACK_WEIGHT = 2.0

# So many new verdicts make a new candidate worth its while.
LEAST_FEEDBACK = 100
