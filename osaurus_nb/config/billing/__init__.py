"""What may be spent, what models cost by the user's own word, and how long the ledger is kept.

It is in `billing/settings.json`, beside the ledger. A person may edit the file: of a faulty one the last good reading
stays in force, and what is wrong is told by its place. Keys that we do not know are kept. Amounts are US dollars, as
text.
"""

from osaurus_nb.config.billing.file import BillingFile
from osaurus_nb.config.billing.settings import BillingSettings

__all__ = ["BillingFile", "BillingSettings"]
