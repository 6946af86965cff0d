"""The contracts in one place, for the author of a leaf:

    from netwright.models import MODELS
    from netwright.testing.contracts import check_model

    def test_my_network_keeps_the_contract_of_models():
        check_model(MODELS.get("my-network"))

Each check raises `AssertionError` with a sentence that says what is owed.
"""

from netwright.testing.augmentations import check_augmentation
from netwright.testing.conditions import check_condition, check_finding
from netwright.testing.initialisers import check_initialiser
from netwright.testing.losses import check_loss
from netwright.testing.models import check_model
from netwright.testing.optimizers import check_optimizer
from netwright.testing.options import check_options
from netwright.testing.schedules import check_schedule
from netwright.testing.treatments import check_treatment

__all__ = [
    "check_augmentation",
    "check_condition",
    "check_finding",
    "check_initialiser",
    "check_loss",
    "check_model",
    "check_optimizer",
    "check_options",
    "check_schedule",
    "check_treatment",
]
