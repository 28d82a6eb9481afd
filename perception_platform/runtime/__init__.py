"""Mailboxes and histories between stages: pure, and safe to use from several threads."""
