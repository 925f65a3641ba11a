"""The studies of the field's claims, one module each: NTM and DNC beside today's models on the field's tasks."""

TITLE = "The field, side by side"
NAMES = ("undertrained", "controller", "hierarchy", "correcting", "recall")
OTHER_NAMES: dict[str, str] = {}
