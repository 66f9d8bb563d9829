"""Names that both directions of the dialect share."""

from __future__ import annotations

#: The name of this dialect where opaque state is kept.
NAME = "google"
#: Stands where a call of another model's has no signature; documented by the vendor.
SKIP_SIGNATURE = "skip_thought_signature_validator"

#: A card with this quirk thinks by `thinkingBudget` and knows no levels (Gemini 2.5).
BUDGET_THINKING = "thinking_budget"
#: A card with this quirk wants no signature on a call (Gemini before 3).
UNSIGNED_CALLS = "unsigned_calls"
#: A card with this quirk takes schemas only as the vendor's subset of OpenAPI.
SCHEMA_SUBSET = "schema_subset"


def bare(model: str) -> str:
    """A model's id without the `models/` that the dialect puts before it."""
    return model.removeprefix("models/")
