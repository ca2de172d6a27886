"""Every query of the enrolment service, a module for each subject. Only ``service`` calls them."""
