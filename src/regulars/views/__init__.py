"""Pictures: read models for screens and reports - SQL in, plain rows out."""
