"""What the three services share, tried on each."""
