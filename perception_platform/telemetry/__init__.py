"""What the stack says, as metrics and traces of the field's own formats."""
