"""Every query of the catalogue, named for what it returns. The edge commits."""
