"""What a report says: every sentence of it, made from numbers and codes; nothing is computed here."""
