"""The recurrence over a whole sequence as one operation, with a backward written by hand."""
