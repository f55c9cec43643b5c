"""Session Export: streams users' agent session files to admins, every access audited."""

__version__ = "0.1.0"
