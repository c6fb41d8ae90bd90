"""Counts what a process asks of the machine; the code is to run in a fresh interpreter.

Syncs are those that Python calls: SQLite's own come with its commits, which are counted as well.
Statements and commits are those of the main thread: others write values at times of their own.
"""

from __future__ import annotations

COUNTING = """
import json, os, sqlite3, sys, threading

counts = dict.fromkeys(["syncs", "statements", "commits", "connections", "threads"], 0)

def counted(name, function):
    def call(*arguments, **named):
        counts[name] += 1
        return function(*arguments, **named)
    return call

def statement(text):
    if threading.current_thread() is threading.main_thread():
        counts["statements"] += 1
        counts["commits"] += text.startswith("COMMIT")

def traced(connect):
    def connected(*arguments, **named):
        connection = connect(*arguments, **named)
        connection.set_trace_callback(statement)
        return connection
    return counted("connections", connected)

os.fsync, os.fdatasync = counted("syncs", os.fsync), counted("syncs", os.fdatasync)
threading.Thread.start = counted("threads", threading.Thread.start)
sqlite3.connect = traced(sqlite3.connect)

def descriptors():
    return len(os.listdir("/proc/self/fd"))
"""
"""Then `counts` has the numbers so far, and `descriptors()` those that are open."""
