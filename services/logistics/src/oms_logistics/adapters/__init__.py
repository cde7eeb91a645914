"""Everything that speaks SQL or reads stored documents."""
