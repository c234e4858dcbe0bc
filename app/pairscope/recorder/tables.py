"""The tables that the recorder writes, as SQLAlchemy's Core has them."""

from __future__ import annotations

from pairscope.store import models

MESSAGES = models.Message.__table__
TRANSFERS = models.Transfer.__table__
JOBS = models.Job.__table__
PROCESSES = models.Process.__table__
POSITIONS = models.Position.__table__
RATES = models.Rate.__table__
QUARANTINE = models.Quarantine.__table__
