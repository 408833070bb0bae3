"""What upstream's API serves, read from the installed Python client, beside what this one does."""
