"""Very many participants on measured outcomes: as arrays, and one by one to check them."""
