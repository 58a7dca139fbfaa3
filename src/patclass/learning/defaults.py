"""What the loop does where nothing else is asked. Imports nothing, so that help comes at once."""

# What a verdict counts in training beside a row of the data.
FEEDBACK_WEIGHT = 2.0

# So many new verdicts make a new candidate worth its while.
LEAST_FEEDBACK = 100
