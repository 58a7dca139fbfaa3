"""The HTTP service: loaded models behind a bounded queue. Needs no torch for exported bundles."""
