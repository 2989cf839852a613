"""Ray Serve over the pipeline: a thin layer."""
