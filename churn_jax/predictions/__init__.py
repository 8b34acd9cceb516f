"""What models predict, as files: our own format, workdirs of runs, anybody's files, alignment."""
