"""Where submitted runs execute: targets place and end them, one supervisor per run executes them.

definition     what a submitted run is executed with, as it stands in the log
target         the interface of a compute target, and how one is found by its name
local, pool    the targets of this machine: without a limit, and with N slots
launch         a supervisor, started apart from the process that starts it
supervisor     the process that executes a run and records what becomes of it
script         the processes of the script: started, waited for, ended
leash          ends the script's processes if the supervisor is killed
outcome        what an exit means for the run
sweep          what readers do about supervisors that were killed
run_folder     the files of a run while it executes
handover       the environment of a queued run, kept in memory until it starts
"""
