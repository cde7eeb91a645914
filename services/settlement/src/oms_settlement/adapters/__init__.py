"""Everything that speaks SQL, or reads the file store."""
