"""The studies of the field's claims, one module each: NTM and DNC beside today's models on the field's tasks."""

TITLE = "The field, side by side"
NAMES = ("undertrained", "controller", "hierarchy", "correcting", "recall")
OTHER_NAMES: dict[str, str] = {}
NOTE = (
    "NTM and DNC have the rates of their recipes. Every other model is trained at each rate of a list, each time for"
    " about as many seconds as an NTM takes, or more, and has the one whose median error at the last validation, over"
    " its seeds, is lowest; validations are on the trained difficulties alone. Where a model was trained for less time"
    " than the NTM, nothing is concluded from its doing worse. The usual NTM has the settings of the papers that it is"
    " named after. Numbers are medians over seeds with quartiles; *learned* means an error rate of at most 10 % at a"
    " validation; no model is told a length, unless its name says so. At a test a memory has a slot for every step that"
    " is heard; in `correcting` it has those of training. To reverse, NTM and DNC learn with fewer slots than steps,"
    " 6/5 of the longest word, as by their recipes."
)
