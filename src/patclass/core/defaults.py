"""Defaults that help texts show. Imports nothing, so that help comes at once."""

# Ten points more of any section are noticed in so many answers, see docs/log.md; in half as many
# only those of the rarer ones.
WINDOW = 2000

# What a verdict counts in training beside a row of the data.
FEEDBACK_WEIGHT = 2.0

# So many new verdicts make a new candidate worth its while.
LEAST_FEEDBACK = 100
