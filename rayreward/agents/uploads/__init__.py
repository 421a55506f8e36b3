"""The files that a job uploads: OpenRLHF loads each by its path and looks for one name in it."""
