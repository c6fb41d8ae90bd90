"""The ten tasks of people at the Studio, beside the same tasks at MLflow, Aim and trackio."""
