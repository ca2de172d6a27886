"""What every page, feed and letter has in common."""
