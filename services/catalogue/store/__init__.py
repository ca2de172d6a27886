"""Every query of the catalogue, named for what it returns. Nobody commits here: the edge does."""
