"""Names that both directions of the dialect share."""

from __future__ import annotations

from typing import Final

#: The name of this dialect where opaque state is kept.
NAME = "google"
#: Stands where a call of another model's has no signature; documented by the vendor.
SKIP_SIGNATURE = "skip_thought_signature_validator"

#: Cards with these quirks: see `models.Quirk`.
ALWAYS_THINKS: Final = "always_thinks"
BUDGET_THINKING: Final = "thinking_budget"
DEFAULT_SAMPLING: Final = "default_sampling"
NO_PREFILL: Final = "no_prefill"
ONE_CANDIDATE: Final = "one_candidate"
SCHEMA_SUBSET: Final = "schema_subset"
UNSIGNED_CALLS: Final = "unsigned_calls"


def bare(model: str) -> str:
    """A model's id without the `models/` that the dialect puts before it."""
    return model.removeprefix("models/")
