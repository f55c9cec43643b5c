"""The commands, a module for each noun. What is heavy is imported when a command runs, so that `--help` is quick."""
