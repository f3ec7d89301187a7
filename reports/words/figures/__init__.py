"""What figures say: titles, captions, descriptions for who cannot see them, and the texts in the drawing."""
