"""What runs prove: result folders, ship gates, the safety case, and the report of all three."""
