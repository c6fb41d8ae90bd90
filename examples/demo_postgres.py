"""`make demo-postgres`: the demo on a workspace in PostgreSQL, on a server of its own.

Only the place of the workspace differs, and who can change its events: the server's superuser.
"""

from __future__ import annotations

import os
import shutil
import tempfile

import demo
from tampering import print_verdict

from tests.postgres.server import Server, running_server


def main() -> None:
    demo.FOLDER = demo.FOLDER / "postgres"
    shutil.rmtree(demo.FOLDER, ignore_errors=True)  # Its key is of a workspace that is gone.
    with running_server() as server, tempfile.TemporaryDirectory() as spools:
        os.environ["RUNLORE_SPOOL_DIR"] = spools  # The server does not stay, so these need not.
        uri = server.uri("demo")
        demo.show(uri, lambda position: tamper(server, uri, position))
        demo.console.print(f"\nThe workspace was in [bold]{uri}[/], the chart is in {demo.FOLDER}.")


def tamper(server: Server, uri: str, position: int) -> None:
    """Change one tag in a copy of the database, as a superuser can, and verify both."""
    demo.console.rule("audit: an edited copy")
    server.execute("CREATE DATABASE tampered TEMPLATE postgres")
    copy = uri.replace("/postgres?", "/tampered?")
    server.execute(
        "UPDATE demo.stored_events SET state = "
        "replace(encode(state, 'escape'), 'fantastic run', 'excellent run')::bytea "
        f"WHERE notification_id = {position:d}",
        database="tampered",
    )
    for name, place in (("workspace", uri), ("tampered", copy)):
        print_verdict(name, place, demo.console)


if __name__ == "__main__":
    main()
