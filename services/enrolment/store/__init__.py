"""Queries of the enrolment service, one module for each subject. Only ``service`` calls them."""
