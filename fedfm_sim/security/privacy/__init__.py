"""What can be learnt about a participant's data from what it sends, measured by attacking it."""
