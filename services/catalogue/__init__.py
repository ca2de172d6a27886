"""The catalogue: offers, sessions and their lifecycle, replays and other resources."""
