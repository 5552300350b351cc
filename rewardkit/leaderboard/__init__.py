"""Compare image sets or models on one prompt set: tables with intervals, win rates, and an HTML page."""
