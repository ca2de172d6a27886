"""Documents that this service makes."""
