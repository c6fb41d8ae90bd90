"""Azure's `azureml.telemetry`: nothing is ever sent anywhere."""

from runlore.azure.telemetry import INSTRUMENTATION_KEY as INSTRUMENTATION_KEY
from runlore.azure.telemetry import get_telemetry_log_handler as get_telemetry_log_handler
from runlore.azure.telemetry import set_diagnostics_collection as set_diagnostics_collection
