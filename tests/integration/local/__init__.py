"""The local stack on real processes: nothing is mocked."""
