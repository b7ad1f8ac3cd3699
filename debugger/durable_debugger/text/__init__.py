"""Text for terminals: cell widths, glyphs, durations and styled lines. Pure, and used with and without Textual."""
