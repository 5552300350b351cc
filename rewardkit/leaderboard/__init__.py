"""Compare image sets or models on one prompt set: tables with intervals, win rates, and one page to show."""
