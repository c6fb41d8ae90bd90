"""The fixtures of tests/workspaces.py."""

from tests.workspaces import exp as exp
from tests.workspaces import folder_ws as folder_ws
from tests.workspaces import project as project
from tests.workspaces import run as run
from tests.workspaces import ws as ws
