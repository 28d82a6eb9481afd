"""Networks of our own: from data to a folder that the perception layer loads. Needs PyTorch (docs/training.md)."""
