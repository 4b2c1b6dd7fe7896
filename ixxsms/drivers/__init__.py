"""One file per kind of trunk: a Submission in, events out. No file here knows the database."""
