"""The model: a pretrained base, a LoRA adapter, pooling and a float32 head."""
