"""The process: the application and its parts, listening and signals, reload, the log, metrics."""
