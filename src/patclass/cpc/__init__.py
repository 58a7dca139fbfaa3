"""The CPC: symbols, the scheme's titles, and the tree of labels."""
