"""Every letter with sample data, and its golden file."""
