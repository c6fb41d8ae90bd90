"""Printing data as JSON, TSV, CSV or a table, whole or as selected by a query."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runlore.cli.frame.guard import encodable, unguarded
from runlore.cli.output.columns import Columns
from runlore.cli.output.separated import as_csv, as_tsv
from runlore.domain.visible_text import visible, visible_json

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult


@dataclass(frozen=True)
class Output:
    """The form and the destination of one command's data."""

    form: str
    query: ParsedResult | None
    metadata_file: Path | None
    raw: bool = False

    @classmethod
    def of(
        cls, form: str | None, query: str | None, metadata_file: Path | None, *, raw: bool = False
    ) -> Output:
        """The output for the options of a command, checked before the command does anything.

        Raises UsageError for an invalid query, ClickException if the file exists.
        """
        if metadata_file is not None and metadata_file.exists():
            raise click.ClickException(f"{metadata_file} exists already; give a new file")
        compiled = None
        if query is not None:
            from runlore.cli.output.queries import compiled_query

            compiled = compiled_query(query)
        form = form or ("table" if _is_terminal() else "json")
        return cls(form, compiled, metadata_file, raw)

    @property
    def is_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return _is_terminal()

    @property
    def is_table(self) -> bool:
        """Whether the data is shown as a table for people, not as what a query selects of it."""
        return self.form == "table" and self.query is None

    def as_form(self, form: str) -> Output:
        """The same output in another form."""
        return replace(self, form=form)

    def put(self, data: Any, columns: Columns | None = None, *, heads: Sequence[str] = ()) -> None:
        """Print the data; without a query a table shows only the `columns`.

        `heads` are the column names of a list of records, for the case that it is empty.
        """
        if self.query is not None:
            data, columns, heads = self.chosen(data), None, ()
        if self.metadata_file is not None:
            self._keep(data)
        write(self._text(data, columns, heads), escaped=True)

    def chosen(self, data: Any) -> Any:
        """The part of the data that the query selects; all of it without a query."""
        if self.query is None:
            return data
        from runlore.cli.output.queries import selected

        return selected(self.query, data)

    def line(self, text: str) -> None:
        """Print one line of a continuing output immediately."""
        write(visible(text) + "\n")

    def json_line(self, data: Any) -> None:
        """Print the data immediately, as JSON in one line."""
        text = json.dumps(data, ensure_ascii=False, default=str)
        write(visible_json(text, _encoding()) + "\n")

    def put_drawn(self, data: Any, text: str) -> None:
        """Print the data as drawn by the command, whose every part is escaped already."""
        self.keep(data)
        write(text, escaped=True)

    def keep(self, data: Any) -> None:
        """Write the data to the metadata file, if there is one."""
        if self.metadata_file is not None:
            self._keep(data)

    def say(self, *lines: str, data: Any) -> None:
        """Print sentences instead of the data, which go to the metadata file only."""
        if self.metadata_file is not None:
            self._keep(data)
        write("".join(f"{visible(line)}\n" for line in lines))

    def _text(self, data: Any, columns: Columns | None, heads: Sequence[str]) -> str:
        match self.form:
            case "json":
                return as_json(data, _encoding())
            case "jsonc":
                from runlore.cli.output.tables import colored_json

                return colored_json(as_json(data, _encoding()))
            case "table":
                from runlore.cli.output.tables import as_table

                return as_table(data, columns, heads)
            case "csv":
                return as_csv(data, heads, raw=self.raw)
            case _:
                return as_tsv(data, raw=self.raw)

    def _keep(self, data: Any) -> None:
        assert self.metadata_file is not None, "the caller checks"
        try:
            with self.metadata_file.open("x", encoding="utf-8") as file:
                file.write(as_json(data))
        except OSError as error:
            raise click.ClickException(
                f"cannot write {self.metadata_file}: {error.strerror}"
            ) from error


def as_json(data: Any, encoding: str = "utf-8") -> str:
    """Indented JSON; values that JSON lacks, such as NaN and infinities, become text.

    Characters that would act, hide or reorder are escaped, and those that the encoding lacks.
    """
    options: dict[str, Any] = {"indent": 2, "ensure_ascii": False, "default": str}
    try:
        text = json.dumps(data, allow_nan=False, **options)
    except ValueError:
        text = json.dumps(_finite(data), **options)
    return visible_json(text, encoding) + "\n"


def _finite(data: Any) -> Any:
    match data:
        case dict():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
        case float() if not math.isfinite(data):
            return str(data)
        case _:
            return data


def write(text: str, *, escaped: bool = False) -> None:
    """Write to stdout; a reader that closes the pipe (`| head`) ends the command quietly.

    Text whose parts are `escaped` already may hold colours.
    """
    if sys.stdout is None:  # Closed, as daemons and `>&-` have it.
        return
    stdout = unguarded(sys.stdout) if escaped else sys.stdout
    try:
        stdout.write(encodable(text, stdout))
        stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(0) from None


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _encoding() -> str:
    return (sys.stdout and sys.stdout.encoding) or "utf-8"
