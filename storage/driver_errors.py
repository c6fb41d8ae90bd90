"""What a database driver may report, in the classes of PEP 249, which every driver has.

`runlore.storage.errors` has better names for what people can do something about. The recorders of
`runlore.storage.recorder` raise the class of the same name of the `eventsourcing` library: its
import takes longer than many a command, so nothing else here derives from its classes.
"""

from __future__ import annotations


class DriverError(Exception):
    """An error of a database, or of its driver; `PersistenceError` in the library."""


class InterfaceError(DriverError):
    """An error of the way to a database rather than of the database."""


class DatabaseError(DriverError):
    """An error of a database."""


class DataError(DatabaseError):
    """A value that cannot be processed."""


class OperationalError(DatabaseError):
    """An error in the operation of a database, which a program need not have caused."""


class IntegrityError(DatabaseError):
    """A change that the database's own rules forbid."""


class InternalError(DatabaseError):
    """A database that has lost its own way."""


class ProgrammingError(DatabaseError):
    """A call that was wrong in itself."""


class NotSupportedError(DatabaseError):
    """Something that this database cannot do."""
