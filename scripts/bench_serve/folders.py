"""What the parts of a rival's model folder are called; here, so that no rival loads their maker."""

ADAPTER = "adapter"
MERGED = "merged"
