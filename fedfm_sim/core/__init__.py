"""The vocabulary shared by every layer; imports nothing else of fedfm-sim."""
