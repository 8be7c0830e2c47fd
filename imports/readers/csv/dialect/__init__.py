"""How a file is written: its encoding, its delimiter and quotes, where its header is."""
