"""A reference client of Tercet: a replica in memory, and the exchange that makes it equal with its collection."""

from .errors import ClientError, detail_of
from .exchange import sync
from .fingerprint import RangeSum
from .replica import Replica, Version
from .session import Report, SyncOptions

__all__ = ["ClientError", "RangeSum", "Replica", "Report", "SyncOptions", "Version", "detail_of", "sync"]
