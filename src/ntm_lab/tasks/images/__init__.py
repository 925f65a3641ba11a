"""Where the images of one-shot classification come from."""

from ntm_lab.tasks.images.base import Images
from ntm_lab.tasks.images.digits import Digits
from ntm_lab.tasks.images.omniglot import Omniglot

__all__ = ["Digits", "Images", "Omniglot"]
