"""What is looked at where nothing else is asked. Imports nothing, so that help comes at once."""

# Ten points more of any section are noticed in so many answers, see docs/log.md; in half as many
# only those of the rarer ones.
WINDOW = 2000
