"""Trained models to and from the Hugging Face Hub, or any folder; needs the extra ``hub``."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from ntm_lab.types import SequenceModel
from ntm_lab.zoo.card import CARD, WEIGHTS, read_card, write
from ntm_lab.zoo.find import Trained, card_of, find

try:
    from huggingface_hub import ModelCard, PyTorchModelHubMixin, snapshot_download
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("ntm_lab.zoo.hub needs huggingface_hub: pip install 'ntm_lab[hub]'") from error

README = """---
{{ card_data }}
---

# {{ card.name }}

A trained model of ntm_lab: `logits, state = HubModel.from_pretrained("…")(inputs)`, with `HubModel` of
`ntm_lab.zoo.hub`.
Its `card.json`:

```json
{{ text }}
```
"""


class HubModel(SequenceModel, PyTorchModelHubMixin, library_name="ntm_lab", model_card_template=README):
    """A trained model that can be published, made from any that `find` finds:

        model = HubModel(find("runs/…"))
        model.save_pretrained("folder")                # with push_to_hub=True also to the Hub
        model = HubModel.from_pretrained("folder")     # or from the Hub: "owner/name"

    The folder holds the weights and the card (`ntm_lab.zoo.card`), and `ntm_lab.load` accepts it too. The current
    weights are saved; the card describes those that were found. `from_pretrained` takes the ``trust`` of
    `find` for a model whose card names classes of other packages.

    Raises FileNotFoundError and ValueError as `find` and `card_of` do.
    """

    def __init__(self, found: Trained) -> None:
        super().__init__()
        self.card = card_of(found)
        self.task = found.task
        self.model = found.model
        self.signals = found.model.signals
        self.input_size, self.output_size = found.model.input_size, found.model.output_size
        self.train(found.model.training)

    @property
    def slots(self) -> int | None:
        return self.model.slots

    @property
    def slot_width(self) -> int | None:
        return self.model.slot_width

    def resize(self, slots: int) -> None:
        self.model.resize(slots)

    def initial_state(self, batch_size: int, slots: int | None = None) -> Any:
        return self.model.initial_state(batch_size, slots)

    def forward(self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        return self.model(inputs, state, lengths)

    def trace(
        self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None, signals: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        return self.model.trace(inputs, state, lengths, signals)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The page that the Hub shows, with the card in it."""
        return super().generate_model_card(*args, card=self.card, text=json.dumps(self.card, indent=2), **kwargs)

    def _save_pretrained(self, save_directory: Path) -> None:
        write(save_directory, self.card, self.model.state_dict())
        # The Hub counts downloads by this file, and the mixin warns where there is none.
        named = {key: self.card[key] for key in ("name", "task", "model", "controller")}
        (save_directory / "config.json").write_text(json.dumps(named, indent=2) + "\n")

    @classmethod
    def _from_pretrained(cls, *, model_id: str, trust: str | Collection[str] = (), **where: Any) -> Self:
        """``where`` says how to download: revision, cache_dir, force_download, local_files_only and token."""
        folder = Path(model_id)
        if not folder.is_dir():
            folder = Path(snapshot_download(model_id, allow_patterns=[CARD, WEIGHTS], **where))
        read_card(folder)  # a card is required: a run, which could hold code, is not loaded from here
        return cls(find(folder, trust=trust))
