"""The studies of all machines, one module each: what each of them learns, how soon, and what makes it learn."""

TITLE = "The machines, compared"
NAMES = ("tasks", "repairs", "one_shot", "late_write", "memory")
OTHER_NAMES: dict[str, str] = {}
