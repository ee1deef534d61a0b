"""Memory: what happened, what was decided, and what everybody holds, in PostgreSQL. It remembers and never decides."""
