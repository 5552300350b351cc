"""The records of preference data, and the rows and cells they are read from."""
