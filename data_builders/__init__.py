"""One folder for each data set: its builder, its description and where to get the files."""
