"""A project folder of its own for each test."""

from tests.workspaces import project as project
