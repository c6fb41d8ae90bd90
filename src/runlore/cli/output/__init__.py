"""The data that a command prints, in the form that the user asked for."""

from runlore.cli.output.columns import Columns as Columns
from runlore.cli.output.output import Output as Output
from runlore.cli.output.output import write as write
