"""The commands, a module for each noun. Heavy modules are imported when a command runs, so that `--help` is quick."""
